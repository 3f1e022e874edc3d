/* room.h - what the files of chatroom-server share. */
#ifndef CHATROOM_ROOM_H
#define CHATROOM_ROOM_H

#include <webwire/wwr_server.h>

#include "accounts.h"

/** The channel of the room, how much of it can be asked for, and how long it is
 * kept. */
#define ROOM_CHANNEL "room"
enum {
  ROOM_HISTORY_MAX = 256,
  ROOM_HISTORY_DEFAULT = 50,
  ROOM_HISTORY_AGE_MS = 86400000 /* a day */
};

/** Where the page connects: connections made there are subscribed by "join". */
#define ROOM_JOIN_PATH "/join"

/** What the longest time and id need as text, the NUL included. */
enum { ROOM_TIME_SIZE = 32, ROOM_ID_SIZE = 48 };

struct room {
  struct wwr_server *server;
  struct accounts accounts;
  size_t message_buffer; /* bytes that a reply may have */
  char *join_head;       /* how the reply to "join" begins */
};

/** Prepare the answers about the room, which know the server. False: no
 * memory. */
bool room_asks_init(struct room *room);
void room_asks_deinit(struct room *room);

/** Each answers one kind of request, and consumes it. */

/** "auth": {"name":NAME,"pass":PASSWORD}. */
void room_auth(const struct room *room, struct wwr_conn *conn,
               struct wwr_request *request, const struct wwr_payload *payload);

/** "signout": closes the connection's session, on every connection of it. */
void room_sign_out(const struct room *room, struct wwr_conn *conn,
                   struct wwr_request *request);

/** "msg": any text, and "say": {"msg":TEXT,"cid":ID}, to everyone. */
void room_msg(const struct room *room, struct wwr_conn *conn,
              struct wwr_request *request, const struct wwr_payload *payload);
void room_say(const struct room *room, struct wwr_conn *conn,
              struct wwr_request *request, const struct wwr_payload *payload);

/** "join": the last messages, {"node":NAME,"history":[...]}, and from there on
 * all that follow. */
void room_join(const struct room *room, struct wwr_conn *conn,
               struct wwr_request *request, const struct wwr_payload *payload);

/** "history": the last messages, [{"user","msg","time","id"}], oldest first. */
void room_history(const struct room *room, struct wwr_request *request,
                  const struct wwr_payload *payload);

/** "who": who is here, [{"user","connections"}]. */
void room_who(const struct room *room, struct wwr_request *request);

/** A request can't be answered because the cluster can't. `certain`: what it
 * asked for will not happen. */
void room_fail(struct wwr_request *request, wwr_err err, bool certain);

/** True when a signal of `len` bytes fits into the reply to "join". */
bool room_fits_history(const struct room *room, size_t len);

/** RFC 3339 in UTC, with milliseconds; and EPOCH-OFFSET. */
void room_print_time(uint64_t time_ms, char out[ROOM_TIME_SIZE]);
void room_print_id(struct wwr_channel_id id, char out[ROOM_ID_SIZE]);

#endif
