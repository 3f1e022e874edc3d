/* display.h - what chatroom-client shows: the hooks of its client. They print
 * messages to stdout and notices to stderr. */
#ifndef CHATROOM_DISPLAY_H
#define CHATROOM_DISPLAY_H

#include <webwire/wwr_client.h>

/** Set the hooks in `opts`. */
void display_hooks(struct wwr_client_opts *opts);

/** Print the replies to "history" and "who" as notices; what is none of these
 * is not printed. */
void display_history(struct wwr_view json);
void display_who(struct wwr_view json);

/** Print a notice line "* what: more"; `more` may be NULL. */
void display_notice(const char *what, const char *more);

#endif
