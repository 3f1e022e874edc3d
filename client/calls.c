/* calls.c - requests and everything else that waits for the connection.
 *
 * A call is made and encoded on its caller's thread, travels to the loop as
 * mail, joins the queue of those who wait and is sent from its front as soon as
 * the client is connected: so order is kept whether or not there was a
 * connection. A request then waits in the table for the reply with its id.
 *
 * What fails: its deadline passes (waiting or sent), it is cancelled, the
 * client is closed (waiting: canceled, sent: disconnected), the connection
 * breaks (sent: disconnected; waiting ones stay), the server turns out to be
 * none for us (waiting: that mismatch), autoconnect is off and there is no
 * connection (at once: disconnected), it is larger than this server takes. Each
 * call gets exactly one result, from the loop.
 *
 * Cancelling needs no memory: the cancel mail is part of the call, which lives
 * until both that mail and the result are through. */
#include <stdlib.h>
#include <string.h>

#include "client.h"

struct wwri_id wwri_client_wire_id(uint64_t id) {
  struct wwri_id wire;
  memcpy(wire.bytes, &id, sizeof wire.bytes);
  return wire;
}

static size_t cost_of(const struct wwri_frame *frame) {
  return (size_t)frame->message_len + WWRI_CLIENT_HEADER_MAX;
}

/* Made */

static void drop_frame(struct wwri_call *call) {
  if (!call->frame) return;
  atomic_fetch_sub(&call->client->unsent_bytes, cost_of(call->frame));
  wwri_frame_unref(call->frame);
  call->frame = NULL;
}

static wwr_err make_frame(struct wwri_call *call, struct wwri_msg *msg) {
  struct wwr_client *client = call->client;
  msg->id = wwri_client_wire_id(call->id);
  wwr_err err =
      wwri_encode_frame(msg, client->opts.message_buffer_bytes, &call->frame);
  if (err != WWR_OK) return err;
  size_t cost = cost_of(call->frame);
  size_t before = atomic_fetch_add(&client->unsent_bytes, cost);
  if (before == 0 || before + cost <= client->opts.max_queued_bytes)
    return WWR_OK;
  drop_frame(call);
  return WWR_E_LIMIT;
}

static bool has_reply(const struct wwri_call *call) {
  return call->kind != WWRI_CALL_SIGNAL && call->kind != WWRI_CALL_CONNECT;
}

static wwr_err enter(struct wwri_call *call) {
  struct wwr_client *client = call->client;
  if (!has_reply(call)) return WWR_OK;
  pthread_mutex_lock(&client->locked.mutex);
  bool full = client->locked.calls.count >= client->opts.max_pending;
  if (!full) wwri_call_table_insert(&client->locked.calls, call);
  pthread_mutex_unlock(&client->locked.mutex);
  if (full) return WWR_E_LIMIT;
  if (call->kind == WWRI_CALL_REQUEST) atomic_fetch_add(&client->pending, 1);
  return WWR_OK;
}

static void on_arrive(struct wwri_mail *mail);
static void on_cancel(struct wwri_mail *mail);
static void on_deadline(struct wwri_timer *timer);

static void init_call(struct wwri_call *call, struct wwr_client *client,
                      uint32_t timeout_ms) {
  call->client = client;
  call->arrive.fn = on_arrive;
  call->cancel.fn = on_cancel;
  wwri_list_init(&call->link);
  wwri_timer_init(&call->deadline, on_deadline);
  call->id = atomic_fetch_add(&client->next_id, 1);
  call->closes = atomic_load(&client->closes);
  call->refs = 1;
  call->late = timeout_ms ? WWR_E_DEADLINE : WWR_E_TIMEOUT;
  call->timeout_ms = timeout_ms ? timeout_ms : client->opts.request_timeout_ms;
}

wwr_err wwri_client_call_new(struct wwri_call **out, struct wwr_client *client,
                             enum wwri_call_kind kind, struct wwri_msg *msg,
                             uint32_t timeout_ms, wwr_reply_fn done,
                             void *user_data) {
  *out = NULL;
  if (atomic_load(&client->freeing)) return WWR_E_CLOSED;
  struct wwri_call *call = calloc(1, sizeof *call);
  if (!call) return WWR_E_NOMEM;
  init_call(call, client, timeout_ms);
  call->kind = kind;
  call->done = done;
  call->user_data = user_data;
  wwr_err err = msg ? make_frame(call, msg) : WWR_OK;
  if (err == WWR_OK) err = enter(call);
  if (err != WWR_OK) {
    drop_frame(call);
    free(call);
    return err;
  }
  *out = call;
  return WWR_OK;
}

void wwri_client_call_post(struct wwri_call *call) {
  wwri_loop_post(call->client->loop, &call->arrive);
}

/* Ended */

static void unref(struct wwri_call *call) {
  pthread_mutex_t *mutex = &call->client->locked.mutex;
  pthread_mutex_lock(mutex);
  bool last = --call->refs == 0;
  pthread_mutex_unlock(mutex);
  if (last) free(call);
}

static void leave(struct wwri_call *call) {
  struct wwr_client *client = call->client;
  wwri_loop_timer_cancel(client->loop, &call->deadline);
  wwri_list_remove(&call->link);
  drop_frame(call);
  if (has_reply(call)) {
    pthread_mutex_lock(&client->locked.mutex);
    wwri_call_table_remove(&client->locked.calls, call);
    pthread_mutex_unlock(&client->locked.mutex);
  }
  call->state = WWRI_CALL_DONE;
}

static void give_result(struct wwri_call *call, const struct wwr_reply *reply) {
  if (call->kind == WWRI_CALL_REQUEST) {
    atomic_fetch_sub(&call->client->pending, 1);
  }
  wwr_reply_fn done = call->done;
  call->done = NULL;
  if (done) done(reply, call->user_data);
}

void wwri_client_call_finish(struct wwri_call *call,
                             const struct wwr_reply *reply) {
  bool told = call->state == WWRI_CALL_ABANDONED;
  leave(call);
  if (!told) give_result(call, reply);
  unref(call);
}

void wwri_client_call_fail(struct wwri_call *call, wwr_err err) {
  struct wwr_reply reply = {.err = err};
  wwri_client_call_finish(call, &reply);
}

void wwri_client_calls_fail(struct wwri_list *calls, wwr_err err) {
  struct wwri_list failing;
  struct wwri_list *node;
  wwri_list_init(&failing);
  wwri_list_splice(&failing, calls);
  while ((node = wwri_list_pop(&failing))) {
    wwri_client_call_fail(WWRI_CONTAINER(node, struct wwri_call, link), err);
  }
}

bool wwri_client_connect_waits(const struct wwr_client *client) {
  const struct wwri_list *node = client->waiting.next;
  for (; node != &client->waiting; node = node->next) {
    if (WWRI_CONTAINER(node, struct wwri_call, link)->kind ==
        WWRI_CALL_CONNECT) {
      return true;
    }
  }
  return false;
}

/* Its caller waits no more. A session call that was sent may still change the
 * session on the server: it stays, so that its late reply is understood. */
static void give_up(struct wwri_call *call, wwr_err err) {
  struct wwr_client *client = call->client;
  struct wwr_reply reply = {.err = err};
  bool session =
      call->kind == WWRI_CALL_RESTORE || call->kind == WWRI_CALL_CLOSE_SESSION;
  bool connect = call->kind == WWRI_CALL_CONNECT;
  if (session && call->state == WWRI_CALL_SENT) {
    call->state = WWRI_CALL_ABANDONED;
    give_result(call, &reply);
    return;
  }
  wwri_client_call_finish(call, &reply);
  if (connect && !wwri_client_connect_waits(client)) {
    wwri_client_link_abandon(client);
  }
}

static void on_deadline(struct wwri_timer *timer) {
  struct wwri_call *call = WWRI_CONTAINER(timer, struct wwri_call, deadline);
  give_up(call, call->late);
}

static void on_cancel(struct wwri_mail *mail) {
  struct wwri_call *call = WWRI_CONTAINER(mail, struct wwri_call, cancel);
  call->canceled = true;
  if (call->state == WWRI_CALL_WAITING || call->state == WWRI_CALL_SENT) {
    give_up(call, WWR_E_CANCELED);
  }
  unref(call);
}

void wwr_client_cancel(struct wwr_client *client, wwr_call id) {
  pthread_mutex_lock(&client->locked.mutex);
  struct wwri_call *call = wwri_call_table_find(&client->locked.calls, id);
  bool post = call && !call->cancel_posted;
  if (post) {
    call->cancel_posted = true;
    call->refs++;
  }
  pthread_mutex_unlock(&client->locked.mutex);
  if (post) wwri_loop_post(client->loop, &call->cancel);
}

/* Sent */

static wwr_err hand_over(struct wwri_call *call) {
  struct wwr_client *client = call->client;
  if (call->kind == WWRI_CALL_CONNECT) return WWR_OK;
  if (call->kind == WWRI_CALL_RESTORE && wwri_client_session_active(client)) {
    return WWR_E_SESSION_ACTIVE;
  }
  wwr_err err = wwri_client_link_send(client, call->frame);
  if (err == WWR_OK) drop_frame(call);
  return err;
}

/* Nothing to close on this connection. */
static bool only_forgets(const struct wwri_call *call) {
  return call->kind == WWRI_CALL_CLOSE_SESSION &&
         !wwri_client_session_active(call->client);
}

static void send_call(struct wwri_call *call) {
  struct wwr_client *client = call->client;
  if (only_forgets(call)) {
    wwri_client_session_forget(client);
    wwri_client_call_fail(call, WWR_OK);
    return;
  }
  wwr_err err = hand_over(call);
  if (err == WWR_E_DISCONNECTED) {
    /* The connection is about to end. It was not sent, so it may wait on. */
    client->link.broken = true;
    if (client->opts.autoconnect == WWR_AUTOCONNECT_ON) return;
  }
  if (err == WWR_OK && has_reply(call)) {
    wwri_list_remove(&call->link);
    wwri_list_append(&client->open, &call->link);
    call->state = WWRI_CALL_SENT;
    return;
  }
  wwri_client_call_fail(call, err);
}

void wwri_client_calls_flush(struct wwr_client *client) {
  struct wwri_client_link *link = &client->link;
  while (link->state == WWRI_LINK_UP && !link->broken &&
         !wwri_list_empty(&client->waiting)) {
    send_call(WWRI_CONTAINER(client->waiting.next, struct wwri_call, link));
  }
}

/* The cases in which a call does not join those who wait. */
static bool ends_at_once(struct wwri_call *call, wwr_err *err) {
  struct wwr_client *client = call->client;
  enum wwri_link_state state = client->link.state;
  bool up = state == WWRI_LINK_UP && !client->link.broken;
  *err = WWR_OK;
  if (call->canceled || call->closes != atomic_load(&client->closes) ||
      atomic_load(&client->freeing)) {
    *err = WWR_E_CANCELED;
  } else if (call->kind == WWRI_CALL_CLOSE_SESSION && !up &&
             state != WWRI_LINK_RESTORING) {
    wwri_client_session_forget(client);
    return true;
  } else if (call->kind == WWRI_CALL_RESTORE &&
             wwri_client_session_active(client)) {
    *err = WWR_E_SESSION_ACTIVE;
  } else if (client->opts.autoconnect == WWR_AUTOCONNECT_OFF && !up &&
             call->kind != WWRI_CALL_CONNECT) {
    *err = WWR_E_DISCONNECTED;
  }
  return *err != WWR_OK;
}

static void on_arrive(struct wwri_mail *mail) {
  struct wwri_call *call = WWRI_CONTAINER(mail, struct wwri_call, arrive);
  struct wwr_client *client = call->client;
  wwr_err err;
  if (ends_at_once(call, &err)) {
    wwri_client_call_fail(call, err);
    return;
  }
  call->state = WWRI_CALL_WAITING;
  wwri_list_append(&client->waiting, &call->link);
  wwri_loop_timer_set(client->loop, &call->deadline, call->timeout_ms);
  bool explicitly = call->kind == WWRI_CALL_CONNECT;
  wwri_client_calls_flush(client); /* the call may be over */
  if (client->link.state != WWRI_LINK_UP || client->link.broken) {
    wwri_client_link_use(client, explicitly);
  }
}

struct wwri_call *wwri_client_call_answered(struct wwr_client *client,
                                            const struct wwri_id *id) {
  uint64_t number;
  memcpy(&number, id->bytes, sizeof number);
  pthread_mutex_lock(&client->locked.mutex);
  struct wwri_call *call = wwri_call_table_find(&client->locked.calls, number);
  pthread_mutex_unlock(&client->locked.mutex);
  /* Found but not sent: the server made the id up. */
  bool sent = call && (call->state == WWRI_CALL_SENT ||
                       call->state == WWRI_CALL_ABANDONED);
  return sent ? call : NULL;
}
