/* receive.c - what comes from the server.
 *
 * Before accept-conf that is the only message there may be. Then: replies find
 * their call by id, signals and session notices go to the hooks, all of it in
 * the order it arrived. A reply whose call is over (a late one), and what only
 * clients send, is ignored. What can't be parsed ends the connection, and
 * autoconnect brings it back. */
#include <stdlib.h>
#include <string.h>

#include "client.h"

enum { BUFFER_MIN = 32 };

static void handshake(struct wwr_client *client, const struct wwri_msg *msg) {
  struct wwr_view expected = wwr_view_str(client->subprotocol);
  wwr_err err = WWR_OK;
  if (msg->type != WWRI_ACCEPT_CONF) {
    err = WWR_E_PROTOCOL;
  } else if (msg->conf.major != WWRI_VERSION_MAJOR) {
    err = WWR_E_INCOMPATIBLE_VERSION;
  } else if (!wwr_view_equal(msg->name, expected)) {
    err = WWR_E_SUBPROTOCOL_MISMATCH;
  } else if (msg->conf.buffer_bytes < BUFFER_MIN) {
    err = WWR_E_PROTOCOL;
  } else if (msg->conf.buffer_bytes > client->opts.message_buffer_bytes) {
    err = WWR_E_BUFFER_OVERFLOW;
  }
  if (err != WWR_OK) {
    wwri_client_link_mismatch(client, err);
    return;
  }
  wwri_client_link_accepted(client, msg);
  wwri_client_calls_flush(client);
}

/* Replies */

static wwr_err error_of(enum wwri_msg_type type) {
  switch (type) {
    case WWRI_REPLY_SHUTDOWN:
      return WWR_E_SHUTDOWN;
    case WWRI_REPLY_SESSION_NOT_FOUND:
      return WWR_E_SESSION_NOT_FOUND;
    case WWRI_REPLY_MAX_SESSION_CONNS:
      return WWR_E_MAX_SESSION_CONNS;
    case WWRI_REPLY_SESSIONS_DISABLED:
      return WWR_E_SESSIONS_DISABLED;
    default:
      return WWR_E_INTERNAL;
  }
}

static wwr_err apply_session_reply(struct wwri_call *call,
                                   const struct wwr_reply *reply) {
  if (reply->err != WWR_OK) return WWR_OK;
  if (call->kind == WWRI_CALL_RESTORE) {
    return wwri_client_session_take(call->client, reply->payload.data);
  }
  if (call->kind == WWRI_CALL_CLOSE_SESSION) {
    wwri_client_session_forget(call->client);
  }
  return WWR_OK;
}

static void on_reply(struct wwr_client *client, const struct wwri_id *id,
                     const struct wwr_reply *reply) {
  struct wwri_id restore = wwri_client_wire_id(client->link.restore_id);
  wwr_err err;
  if (client->link.state == WWRI_LINK_RESTORING &&
      memcmp(restore.bytes, id->bytes, sizeof restore.bytes) == 0) {
    err = wwri_client_restore_end(client, reply);
    wwri_client_calls_flush(client);
  } else {
    struct wwri_call *call = wwri_client_call_answered(client, id);
    if (!call) return;
    err = apply_session_reply(call, reply);
    if (err == WWR_OK) {
      wwri_client_call_finish(call, reply);
    } else {
      wwri_client_call_fail(call, err);
    }
  }
  if (err != WWR_OK) wwri_client_link_break(client, err, WWRI_CLOSE_PROTOCOL);
}

/* Code and message as C strings; on the wire they are none. */
static void on_reply_error(struct wwr_client *client,
                           const struct wwri_msg *msg) {
  struct wwr_view text = msg->payload.data;
  struct wwr_reply reply = {.err = WWR_E_REQUEST};
  char code[WWRI_NAME_MAX + 1];
  char *message = malloc(text.len + 1);
  if (message) {
    memcpy(code, msg->name.data, msg->name.len);
    code[msg->name.len] = '\0';
    if (text.len > 0) memcpy(message, text.data, text.len);
    message[text.len] = '\0';
    reply.error_code = code;
    reply.error_message = message;
  } else {
    reply.err = WWR_E_NOMEM;
  }
  on_reply(client, &msg->id, &reply);
  free(message);
}

/* The rest */

static void on_signal(struct wwr_client *client, const struct wwri_msg *msg) {
  struct wwr_message message = {msg->name, msg->payload};
  if (!client->opts.hooks.on_signal) return;
  client->opts.hooks.on_signal(&message, client->opts.user_data);
}

static void on_created(struct wwr_client *client, const struct wwri_msg *msg) {
  wwr_err err = wwri_client_session_take(client, msg->payload.data);
  if (err != WWR_OK) wwri_client_link_break(client, err, WWRI_CLOSE_PROTOCOL);
}

static void dispatch(struct wwr_client *client, const struct wwri_msg *msg) {
  switch (msg->type) {
    case WWRI_REPLY_BINARY:
    case WWRI_REPLY_UTF8:
    case WWRI_REPLY_UTF16:
      on_reply(client, &msg->id, &(struct wwr_reply){.payload = msg->payload});
      break;
    case WWRI_REPLY_ERROR:
      on_reply_error(client, msg);
      break;
    case WWRI_REPLY_SHUTDOWN:
    case WWRI_REPLY_INTERNAL_ERROR:
    case WWRI_REPLY_SESSION_NOT_FOUND:
    case WWRI_REPLY_MAX_SESSION_CONNS:
    case WWRI_REPLY_SESSIONS_DISABLED:
      on_reply(client, &msg->id,
               &(struct wwr_reply){.err = error_of(msg->type)});
      break;
    case WWRI_SIGNAL_BINARY:
    case WWRI_SIGNAL_UTF8:
    case WWRI_SIGNAL_UTF16:
      on_signal(client, msg);
      break;
    case WWRI_NOTIFY_SESSION_CREATED:
      on_created(client, msg);
      break;
    case WWRI_NOTIFY_SESSION_CLOSED:
      wwri_client_session_forget(client);
      break;
    default: /* only clients send it, or a second accept-conf */
      break;
  }
}

static void on_message(struct wwri_pipe *pipe, struct wwr_view bytes) {
  struct wwr_client *client = pipe->user;
  struct wwri_msg msg;
  if (client->link.state == WWRI_LINK_CLOSING) return;
  bool first = client->link.state == WWRI_LINK_HANDSHAKE;
  wwr_err err = wwri_decode(bytes, &msg);
  if (err != WWR_OK && first) {
    wwri_client_link_mismatch(client, err);
  } else if (err != WWR_OK) {
    wwri_client_link_break(client, err, WWRI_CLOSE_PROTOCOL);
  } else if (first) {
    handshake(client, &msg);
  } else {
    dispatch(client, &msg);
  }
}

static void on_violation(struct wwri_pipe *pipe, uint16_t close_code) {
  struct wwr_client *client = pipe->user;
  if (client->link.state == WWRI_LINK_CLOSING) return;
  if (client->link.state == WWRI_LINK_HANDSHAKE) {
    wwri_client_link_mismatch(client, WWR_E_PROTOCOL);
  } else {
    wwri_client_link_break(client, WWR_E_PROTOCOL, close_code);
  }
}

const struct wwri_pipe_events wwri_client_pipe_events = {
    on_message, on_violation, wwri_client_link_closed};
