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

struct room {
  struct wwr_server *server;
  struct accounts accounts;
  size_t message_buffer; /* bytes that a reply may have */
};

/** Each answers one kind of request, and consumes it. */

/** "auth": {"name":NAME,"pass":PASSWORD}. */
void room_auth(const struct room *room, struct wwr_conn *conn,
               struct wwr_request *request, const struct wwr_payload *payload);

/** "history": the last messages, [{"user","msg","time","id"}], oldest first. */
void room_history(const struct room *room, struct wwr_request *request,
                  const struct wwr_payload *payload);

/** "who": who is here, [{"user","connections"}]. */
void room_who(const struct room *room, struct wwr_request *request);

/** A request can't be answered because the cluster can't. `certain`: what it
 * asked for will not happen. */
void room_fail(struct wwr_request *request, wwr_err err, bool certain);

#endif
