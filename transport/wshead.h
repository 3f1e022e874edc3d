/* wshead.h - the usual request for a WebSocket, recognised without an HTTP
 * server. Pure: no I/O, no memory.
 *
 * Only what nobody could read differently is taken for one; anything else,
 * whether wrong or merely uncommon, is OTHER and left to a full HTTP parser.
 * Whether the handshake's headers are right is for others to say. */
#ifndef WWRI_WSHEAD_H
#define WWRI_WSHEAD_H

#include "wwr_base.h"

enum { WWRI_WSHEAD_HEADERS_MAX = 48 };

enum wwri_wshead_kind {
  WWRI_WSHEAD_PARTIAL, /* may become a request for a WebSocket */
  WWRI_WSHEAD_UPGRADE, /* is one, and whole */
  WWRI_WSHEAD_OTHER
};

/** Points into the bytes it was read from, which are changed: every part ends
 * with a NUL. Filled for UPGRADE only. */
struct wwri_wshead {
  const char *path;  /* begins with '/' */
  const char *query; /* NULL when empty or absent */
  struct {
    const char *name;
    const char *value;
  } headers[WWRI_WSHEAD_HEADERS_MAX];
  size_t header_count;
  size_t len; /* of the whole head, with its empty line */
};

/** Read `len` bytes; what they begin with counts, more may follow. */
enum wwri_wshead_kind wwri_wshead_read(struct wwri_wshead *head, char *bytes,
                                       size_t len);

/** A header's value, whatever case its name has; NULL when absent. */
const char *wwri_wshead_find(const struct wwri_wshead *head, const char *name);

#endif
