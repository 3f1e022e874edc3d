/* wait.c - blocking calls over the calls with a callback: the result comes to
 * the stack of the one who waits. */
#include <stdlib.h>
#include <string.h>

#include "client.h"

/* A reply that outlives its callback */

static void copy_payload(struct wwr_reply *to, const struct wwr_reply *from) {
  struct wwr_view data = from->payload.data;
  uint8_t *copy = malloc(data.len + 1);
  if (!copy) {
    to->err = WWR_E_NOMEM;
    return;
  }
  if (data.len > 0) memcpy(copy, data.data, data.len);
  copy[data.len] = 0;
  to->memory = copy;
  to->payload.encoding = from->payload.encoding;
  to->payload.data = (struct wwr_view){copy, data.len};
}

static void copy_error(struct wwr_reply *to, const struct wwr_reply *from) {
  size_t code_size = strlen(from->error_code) + 1;
  size_t message_size = strlen(from->error_message) + 1;
  char *copy = malloc(code_size + message_size);
  if (!copy) {
    to->err = WWR_E_NOMEM;
    return;
  }
  memcpy(copy, from->error_code, code_size);
  memcpy(copy + code_size, from->error_message, message_size);
  to->memory = copy;
  to->error_code = copy;
  to->error_message = copy + code_size;
}

void wwr_reply_deinit(struct wwr_reply *reply) {
  free(reply->memory);
  *reply = (struct wwr_reply){0};
}

/* Waiting for a call */

struct blocked {
  struct wwri_waiter waiter;
  struct wwr_reply *reply; /* NULL: only the error counts */
  wwr_err err;
};

static void on_done(const struct wwr_reply *reply, void *user_data) {
  struct blocked *blocked = user_data;
  blocked->err = reply->err;
  if (blocked->reply) {
    blocked->reply->err = reply->err;
    if (reply->err == WWR_OK) copy_payload(blocked->reply, reply);
    if (reply->err == WWR_E_REQUEST) copy_error(blocked->reply, reply);
    blocked->err = blocked->reply->err;
  }
  wwri_waiter_wake(&blocked->waiter, WWR_OK);
}

static wwr_err call_and_wait(struct wwr_client *client,
                             enum wwri_call_kind kind, struct wwri_msg *msg,
                             uint32_t timeout_ms, struct wwr_reply *reply) {
  struct blocked blocked = {.reply = reply};
  struct wwri_call *call;
  if (wwri_loop_is_current(client->loop)) return WWR_E_WRONG_THREAD;
  wwr_err err = wwri_client_call_new(&call, client, kind, msg, timeout_ms,
                                     on_done, &blocked);
  if (err != WWR_OK) return err;
  wwri_waiter_init(&blocked.waiter);
  wwri_client_call_post(call);
  (void)wwri_waiter_wait(&blocked.waiter);
  return blocked.err;
}

wwr_err wwr_client_connect(struct wwr_client *client, uint32_t timeout_ms) {
  return call_and_wait(client, WWRI_CALL_CONNECT, NULL, timeout_ms, NULL);
}

static struct wwri_msg request_of(struct wwr_view name,
                                  const struct wwr_payload *payload) {
  struct wwri_msg msg = {.type = WWRI_REQUEST_BINARY, .name = name};
  if (!payload) return msg;
  msg.type = wwri_request_type(payload->encoding);
  msg.payload = *payload;
  return msg;
}

wwr_err wwr_client_request(struct wwr_client *client, struct wwr_view name,
                           const struct wwr_payload *payload,
                           uint32_t timeout_ms, wwr_reply_fn done,
                           void *user_data, wwr_call *handle) {
  struct wwri_msg msg = request_of(name, payload);
  struct wwri_call *call;
  if (handle) *handle = 0;
  wwr_err err = wwri_client_call_new(&call, client, WWRI_CALL_REQUEST, &msg,
                                     timeout_ms, done, user_data);
  if (err != WWR_OK) return err;
  if (handle) *handle = call->id; /* before its callback can run */
  wwri_client_call_post(call);
  return WWR_OK;
}

wwr_err wwr_client_request_wait(struct wwr_client *client, struct wwr_view name,
                                const struct wwr_payload *payload,
                                uint32_t timeout_ms, struct wwr_reply *reply) {
  struct wwri_msg msg = request_of(name, payload);
  *reply = (struct wwr_reply){0};
  reply->err =
      call_and_wait(client, WWRI_CALL_REQUEST, &msg, timeout_ms, reply);
  return reply->err;
}

wwr_err wwr_client_restore_session(struct wwr_client *client,
                                   struct wwr_view key, uint32_t timeout_ms) {
  struct wwri_msg msg = {.type = WWRI_REQUEST_RESTORE_SESSION, .name = key};
  return call_and_wait(client, WWRI_CALL_RESTORE, &msg, timeout_ms, NULL);
}

wwr_err wwr_client_close_session(struct wwr_client *client,
                                 uint32_t timeout_ms) {
  struct wwri_msg msg = {.type = WWRI_REQUEST_CLOSE_SESSION};
  return call_and_wait(client, WWRI_CALL_CLOSE_SESSION, &msg, timeout_ms, NULL);
}

/* Signals */

static wwr_err signal_directly(struct wwr_client *client,
                               const struct wwri_msg *msg) {
  struct wwri_frame *frame;
  wwr_err err =
      wwri_encode_frame(msg, client->opts.message_buffer_bytes, &frame);
  if (err != WWR_OK) return err;
  err = wwri_client_link_send(client, frame);
  wwri_frame_unref(frame);
  return err;
}

/* In a hook: now, or behind what was posted before it. */
static wwr_err signal_in_hook(struct wwr_client *client, struct wwri_msg *msg,
                              uint32_t timeout_ms) {
  struct wwri_call *call;
  if (atomic_load(&client->status) != WWR_CLIENT_CONNECTED) {
    return WWR_E_DISCONNECTED;
  }
  if (wwri_client_link_ready(client)) return signal_directly(client, msg);
  wwr_err err = wwri_check(msg, client->link.buffer_bytes);
  if (err != WWR_OK) return err;
  err = wwri_client_call_new(&call, client, WWRI_CALL_SIGNAL, msg, timeout_ms,
                             NULL, NULL);
  if (err == WWR_OK) wwri_client_call_post(call);
  return err;
}

wwr_err wwr_client_signal(struct wwr_client *client, struct wwr_view name,
                          const struct wwr_payload *payload,
                          uint32_t timeout_ms) {
  struct wwri_msg msg = wwri_signal_msg(name, payload);
  if (wwri_loop_is_current(client->loop)) {
    return signal_in_hook(client, &msg, timeout_ms);
  }
  return call_and_wait(client, WWRI_CALL_SIGNAL, &msg, timeout_ms, NULL);
}
