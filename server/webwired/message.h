/* message.h - JSON of requests and replies (docs/channels.md). Pure. */
#ifndef WEBWIRED_MESSAGE_H
#define WEBWIRED_MESSAGE_H

#include <webwire/wwr_channel.h>

enum { MESSAGE_HISTORY_MAX = 256 };

/** What "sub:" and "history:" ask for: the last `count` messages; after a place
 * the first ones. */
struct message_wish {
  uint32_t count;
  bool after;  /* only what comes after this place */
  bool before; /* ... before it */
  struct wwr_channel_id place;
};

/** Read {"history":N} or nothing. False: it is something else. */
bool message_read_sub(const struct wwr_payload *payload,
                      struct message_wish *out);

/** Read {"count":N,"after":{"epoch":E,"offset":O}}, both optional (count
 * MESSAGE_HISTORY_MAX), "before" in place of "after", or nothing. */
bool message_read_history(const struct wwr_payload *payload,
                          struct message_wish *out);

/** One message as compact JSON, to free(). Over `max` bytes: without its
 * payload, which is null then. NULL without memory. */
char *message_json(const struct wwr_channel_message *message, size_t max);

/** Messages, as many as fit. */
struct message_page {
  char *json; /* "[...]", to free(); NULL: no memory */
  bool more;  /* some did not fit */
};

/** A list of at most `max` bytes: of the messages that come after
 * `wish->place` the first, when a place was said; else the last. */
struct message_page message_page(const struct message_wish *wish,
                                 const struct wwr_channel_message *messages,
                                 size_t count, size_t max);

#endif
