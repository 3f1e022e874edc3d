/* webwired.h - the node: what its parts share. docs/channels.md has the
 * sub-protocol that they speak. */
#ifndef WEBWIRED_H
#define WEBWIRED_H

#include <webwire/wwr_server.h>

#include <pthread.h>
#include <stdatomic.h>

#include "auth.h"
#include "guard.h"
#include "policy.h"

#define WEBWIRED_SUBPROTOCOL "webwire-channels/1"

struct webwired {
  struct wwr_server *server;
  uint32_t message_buffer;

  /* Replaced when the settings are read again; looked at under the lock, by
   * pure functions only. */
  pthread_rwlock_t lock;
  struct policy *policy;
  struct auth *auth;

  /* As it was at the start: what channels keep does not change after it. */
  struct policy *first_policy;

  struct guard *guard;
  atomic_ullong sign_ins[AUTH_FAILED + 1]; /* by verdict */
};

/* --- requests.c ----------------------------------------------------------- */

/** Hooks; user_data is the webwired. */
bool webwired_on_upgrade(struct wwr_http *http, void *user_data);
void webwired_on_request(struct wwr_conn *conn, struct wwr_request *request,
                         const struct wwr_message *message, void *user_data);
void webwired_on_signal(struct wwr_conn *conn,
                        const struct wwr_message *message, void *user_data);
void webwired_on_channel(struct wwr_view channel, struct wwr_channel_opts *opts,
                         void *user_data);
int64_t webwired_on_session(const struct wwr_session *session, void *user_data);

/** A request for a channel or, when that is NULL, for none. The name of the
 * channel is right. Answers it, now or later. */
struct webwired_call {
  struct webwired *webwired;
  struct wwr_conn *conn;
  struct wwr_request *request;
  struct wwr_view channel;
  const struct wwr_payload *payload;
};

/** True when the connection may; else the request was answered. */
bool webwired_may(const struct webwired_call *call, int action);

/** What a channel's namespace is like. */
struct webwired_channel {
  bool logged;
  bool presence;
};
struct webwired_channel webwired_channel(struct webwired *webwired,
                                         struct wwr_view channel);

/** Answer with what went wrong. `certain`: nothing happened. */
void webwired_fail(struct wwr_request *request, wwr_err err, bool certain);

/** Answer "{}". */
void webwired_done(struct wwr_request *request);

/* --- publish.c, ask.c, signin.c ------------------------------------------- */

void webwired_publish(const struct webwired_call *call);
void webwired_subscribe(const struct webwired_call *call);
void webwired_unsubscribe(const struct webwired_call *call);
void webwired_history(const struct webwired_call *call);
void webwired_presence(const struct webwired_call *call);
void webwired_sign_in(const struct webwired_call *call);
void webwired_sign_out(const struct webwired_call *call);

#endif
