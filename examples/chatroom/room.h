/* room.h - what the files of chatroom-server share. */
#ifndef CHATROOM_ROOM_H
#define CHATROOM_ROOM_H

#include <webwire/wwr_server.h>

#include "accounts.h"

struct room {
  struct wwr_server *server;
  struct accounts accounts;
};

/** Answer a request "auth": {"name":NAME,"pass":PASSWORD}. Consumes it. */
void room_auth(const struct room *room, struct wwr_conn *conn,
               struct wwr_request *request, const struct wwr_payload *payload);

#endif
