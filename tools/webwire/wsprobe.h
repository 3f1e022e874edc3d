/* wsprobe.h - a WebSocket connection that looks at everything itself: what a
 * load balancer answers, when and how it ends. By libcurl's raw connection. */
#ifndef WEBWIRE_WSPROBE_H
#define WEBWIRE_WSPROBE_H

#include "cli.h"

enum { WSPROBE_FRAME_MAX = 65536 };

struct wsprobe; /* opaque */

/** How the handshake ended. */
struct wsprobe_answer {
  int status;      /* of HTTP; 0: none came */
  char why[256];   /* when none came */
  char server[64]; /* the Server header, "" without */
};

/** Connect to a ws:// or wss:// URL and ask for the upgrade. NULL when it was
 * not granted; *out says why in any case. */
struct wsprobe *wsprobe_open(const struct cli *cli, struct wsprobe_answer *out);

/** NULL does nothing. */
void wsprobe_close(struct wsprobe *probe);

enum wsprobe_event {
  WSPROBE_FRAME,
  WSPROBE_QUIET, /* nothing for the time */
  WSPROBE_END    /* the connection is gone */
};

struct wsprobe_frame {
  unsigned opcode;
  const unsigned char *data; /* valid until the next call */
  size_t len;
};

/** Wait up to `ms` for a frame. */
enum wsprobe_event wsprobe_read(struct wsprobe *probe, long ms,
                                struct wsprobe_frame *out);

/** Send a frame of up to 125 bytes. */
bool wsprobe_write(struct wsprobe *probe, unsigned opcode, const void *data,
                   size_t len);

/** Of a monotonic clock. */
long wsprobe_now_ms(void);

#endif
