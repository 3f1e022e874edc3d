/* site.h - the chat page: the files of page/ and of client/js, embedded when
 * the program was built (cmake/EmbedSite.cmake), served by HTTP. A path is
 * looked up in the table as it is; there is no file system behind it. */
#ifndef CHATROOM_SITE_H
#define CHATROOM_SITE_H

#include <webwire/wwr_server.h>

struct site_file {
  const char *path; /* "/style.css" */
  const char *type;
  const char *etag; /* with its quotes; changes with the content */
  const unsigned char *bytes;
  size_t len;
};

extern const struct site_file site_files[];
extern const size_t site_file_count;

/** Choose the answer to a GET or HEAD (200, or 304 when If-None-Match says so),
 * 405 to other methods, 404 to other paths. */
void site_answer(struct wwr_http *http);

#endif
