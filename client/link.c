/* link.c - the way to the server: dial, handshake, restore, up, lost, again.
 *
 *   IDLE -> DIALING -> HANDSHAKE -> (RESTORING) -> UP
 *     ^        |          |             |          |
 *     |        v          v             v          v
 *     +---- BACKOFF <-----+--- CLOSING -+----------+
 *
 * What fails: a dial that fails, or a connection that ends before it was up,
 * is tried again after a back-off (autoconnect) or fails those who wait for the
 * connect. A server that can't be ours - another protocol version or
 * sub-protocol, a refused upgrade, a bad certificate - ends the retrying. A
 * connection that breaks fails the calls that were sent on it, tells the hook
 * and comes back by itself. Closing and mismatches make the client disabled:
 * idle until it is used again. */
#include <assert.h>

#include "client.h"

static const unsigned allowed[] = {
    [WWRI_LINK_IDLE] = 1u << WWRI_LINK_BACKOFF | 1u << WWRI_LINK_DIALING,
    [WWRI_LINK_BACKOFF] = 1u << WWRI_LINK_IDLE,
    [WWRI_LINK_DIALING] = 1u << WWRI_LINK_HANDSHAKE | 1u << WWRI_LINK_CLOSING |
                          1u << WWRI_LINK_IDLE,
    [WWRI_LINK_HANDSHAKE] = 1u << WWRI_LINK_RESTORING | 1u << WWRI_LINK_UP |
                            1u << WWRI_LINK_CLOSING | 1u << WWRI_LINK_IDLE,
    [WWRI_LINK_RESTORING] =
        1u << WWRI_LINK_UP | 1u << WWRI_LINK_CLOSING | 1u << WWRI_LINK_IDLE,
    [WWRI_LINK_UP] = 1u << WWRI_LINK_CLOSING | 1u << WWRI_LINK_IDLE,
    [WWRI_LINK_CLOSING] = 1u << WWRI_LINK_IDLE,
};

static void show_status(struct wwr_client *client) {
  enum wwr_client_status status = WWR_CLIENT_DISCONNECTED;
  if (!client->enabled) {
    status = WWR_CLIENT_DISABLED;
  } else if (client->link.state == WWRI_LINK_UP) {
    status = WWR_CLIENT_CONNECTED;
  }
  atomic_store(&client->status, (int)status);
}

static void move(struct wwr_client *client, enum wwri_link_state next) {
  assert(allowed[client->link.state] & 1u << next);
  client->link.state = next;
  show_status(client);
}

static void set_enabled(struct wwr_client *client, bool enabled) {
  client->enabled = enabled;
  show_status(client);
}

static uint32_t dice(struct wwri_client_link *link) {
  link->random ^= link->random << 13; /* xorshift64 */
  link->random ^= link->random >> 7;
  link->random ^= link->random << 17;
  return (uint32_t)(link->random >> 32);
}

static void note(struct wwr_client *client, enum wwr_log_level level,
                 const char *text, wwr_err reason) {
  wwri_log(&client->opts.log, level, 0, text, "reason", wwr_err_name(reason),
           NULL);
}

/* To the server */

static void attempt_failed(struct wwr_client *client, wwr_err reason);

static void dial(struct wwr_client *client) {
  struct wwri_client_link *link = &client->link;
  struct wwr_dialer *dialer = client->opts.dialer;
  link->reason = WWR_OK;
  link->was_up = link->broken = link->abandoned = link->again = false;
  link->dialed_ms = wwri_loop_now_ms(client->loop);
  move(client, WWRI_LINK_DIALING);
  wwr_err err = dialer->ops->dial(dialer, client->opts.dial_timeout_ms);
  if (err != WWR_OK) attempt_failed(client, err);
}

static void back_off(struct wwr_client *client) {
  struct wwri_client_link *link = &client->link;
  uint64_t now = wwri_loop_now_ms(client->loop);
  uint64_t at = wwri_reconnect_next(&link->reconnect, now, dice(link));
  move(client, WWRI_LINK_BACKOFF);
  wwri_loop_timer_set(client->loop, &link->timer, at - now);
}

static void finish_closers(struct wwr_client *client) {
  struct wwri_list *node;
  while ((node = wwri_list_pop(&client->closers))) {
    wwri_waiter_wake(WWRI_CONTAINER(node, struct wwri_closer, link)->waiter,
                     WWR_OK);
  }
}

/* Nothing is under way any more: what next? */
static void settle(struct wwr_client *client, bool after_failure) {
  move(client, WWRI_LINK_IDLE);
  finish_closers(client);
  if (!client->enabled) return;
  if (client->opts.autoconnect == WWR_AUTOCONNECT_ON) {
    if (after_failure && !client->link.again) {
      back_off(client);
    } else {
      dial(client);
    }
  } else if (wwri_client_connect_waits(client)) {
    dial(client);
  }
}

static void attempt_failed(struct wwr_client *client, wwr_err reason) {
  if (client->link.abandoned) {
    settle(client, false);
    return;
  }
  note(client, WWR_LOG_INFO, "connecting failed", reason);
  if (client->opts.autoconnect == WWR_AUTOCONNECT_OFF) {
    wwri_client_calls_fail(&client->waiting, reason);
  }
  settle(client, true);
}

void wwri_client_link_use(struct wwr_client *client, bool explicitly) {
  set_enabled(client, true);
  if (client->link.state == WWRI_LINK_BACKOFF && explicitly) {
    wwri_loop_timer_cancel(client->loop, &client->link.timer);
    move(client, WWRI_LINK_IDLE);
  }
  if (client->link.state == WWRI_LINK_IDLE) {
    dial(client);
  } else if (explicitly) {
    client->link.again = true;
  }
}

/* Away from it */

/* The connection carries nothing more, whether or not its pipe is closed. */
static void cut_off(struct wwr_client *client) {
  wwri_loop_timer_cancel(client->loop, &client->link.timer);
  wwri_loop_timer_cancel(client->loop, &client->link.heart);
  wwri_client_calls_fail(&client->open, WWR_E_DISCONNECTED);
}

static void close_pipe(struct wwr_client *client, uint16_t code) {
  struct wwri_pipe *pipe = client->link.pipe;
  move(client, WWRI_LINK_CLOSING);
  if (code) {
    pipe->ops->close(pipe, code);
  } else {
    pipe->ops->abort(pipe);
  }
  cut_off(client);
}

/* Whatever is under way ends, and nobody minds. */
static void abandon(struct wwr_client *client) {
  struct wwri_client_link *link = &client->link;
  struct wwr_dialer *dialer = client->opts.dialer;
  bool already = link->abandoned;
  if (link->state == WWRI_LINK_IDLE) return;
  link->abandoned = true;
  if (link->state == WWRI_LINK_BACKOFF) {
    wwri_loop_timer_cancel(client->loop, &link->timer);
    move(client, WWRI_LINK_IDLE);
  } else if (link->state == WWRI_LINK_DIALING) {
    if (!already) dialer->ops->cancel(dialer);
  } else if (link->state != WWRI_LINK_CLOSING) {
    close_pipe(client, WWRI_CLOSE_NORMAL);
  }
}

void wwri_client_link_abandon(struct wwr_client *client) {
  bool attempt = client->link.state == WWRI_LINK_DIALING ||
                 client->link.state == WWRI_LINK_HANDSHAKE ||
                 client->link.state == WWRI_LINK_RESTORING;
  if (client->opts.autoconnect == WWR_AUTOCONNECT_OFF && attempt) {
    abandon(client);
  }
}

void wwri_client_link_close(struct wwr_client *client) {
  set_enabled(client, false);
  abandon(client);
  wwri_client_calls_fail(&client->waiting, WWR_E_CANCELED);
  if (client->link.state == WWRI_LINK_IDLE) finish_closers(client);
}

void wwri_client_link_break(struct wwr_client *client, wwr_err reason,
                            uint16_t close_code) {
  note(client, WWR_LOG_WARN, "connection dropped", reason);
  client->link.reason = reason;
  close_pipe(client, close_code);
}

void wwri_client_link_mismatch(struct wwr_client *client, wwr_err reason) {
  note(client, WWR_LOG_ERROR, "no server for this client", reason);
  set_enabled(client, false);
  client->link.abandoned = true;
  if (client->link.pipe) close_pipe(client, WWRI_CLOSE_PROTOCOL);
  wwri_client_calls_fail(&client->waiting, reason);
}

/* Dialed */

static void opened(void *owner, struct wwri_pipe *pipe) {
  struct wwr_client *client = owner;
  struct wwri_client_link *link = &client->link;
  uint64_t spent = wwri_loop_now_ms(client->loop) - link->dialed_ms;
  uint64_t limit = client->opts.dial_timeout_ms;
  pipe->events = &wwri_client_pipe_events;
  pipe->user = client;
  link->pipe = pipe;
  move(client, WWRI_LINK_HANDSHAKE);
  if (link->abandoned) {
    close_pipe(client, WWRI_CLOSE_NORMAL);
    return;
  }
  wwri_loop_timer_set(client->loop, &link->timer,
                      spent < limit ? limit - spent : 1);
  pipe->ops->release(pipe);
}

/* Answers that another attempt will not change. */
static bool is_final(wwr_err reason, int http_status) {
  if (reason == WWR_E_TLS) return true;
  if (reason != WWR_E_REFUSED || http_status == 0) return false;
  bool later = http_status == 408 || http_status == 425 || http_status == 429;
  return http_status < 500 && !later;
}

static void failed(void *owner, wwr_err reason, int http_status) {
  struct wwr_client *client = owner;
  if (is_final(reason, http_status) && !client->link.abandoned) {
    wwri_client_link_mismatch(client, reason);
  }
  attempt_failed(client, reason);
}

const struct wwri_dial_events wwri_client_dial_events = {opened, failed};

/* Connected */

static void on_timer(struct wwri_timer *timer) {
  struct wwr_client *client =
      WWRI_CONTAINER(timer, struct wwr_client, link.timer);
  if (client->link.state == WWRI_LINK_BACKOFF) {
    move(client, WWRI_LINK_IDLE);
    dial(client);
  } else if (client->link.state == WWRI_LINK_HANDSHAKE) {
    wwri_client_link_break(client, WWR_E_DIAL_TIMEOUT, 0);
  } else if (client->link.state == WWRI_LINK_RESTORING) {
    /* Its late reply would leave us with a session that we don't know of. */
    wwri_client_link_break(client, WWR_E_TIMEOUT, 0);
  }
}

static void on_heart(struct wwri_timer *timer) {
  struct wwr_client *client =
      WWRI_CONTAINER(timer, struct wwr_client, link.heart);
  struct wwri_client_link *link = &client->link;
  uint64_t silent = wwri_loop_now_ms(client->loop) - link->last_tx_ms;
  if (silent >= link->heart_ms) {
    wwr_err err = wwri_client_link_send(client, client->heartbeat);
    if (err == WWR_E_DISCONNECTED) return;
    silent = 0;
  }
  wwri_loop_timer_set(client->loop, timer, link->heart_ms - silent);
}

/* A nonsensical time-out must not make us flood the server. */
static uint32_t heart_interval(uint32_t read_timeout_ms) {
  uint32_t interval = (uint32_t)((uint64_t)read_timeout_ms * 3 / 4);
  return read_timeout_ms && interval < 10 ? 10 : interval;
}

void wwri_client_link_accepted(struct wwr_client *client,
                               const struct wwri_msg *conf) {
  struct wwri_client_link *link = &client->link;
  link->buffer_bytes = conf->conf.buffer_bytes;
  link->pipe->max_message_bytes = conf->conf.buffer_bytes;
  link->last_tx_ms = wwri_loop_now_ms(client->loop);
  link->heart_ms = heart_interval(conf->conf.read_timeout_ms);
  if (link->heart_ms) {
    wwri_loop_timer_set(client->loop, &link->heart, link->heart_ms);
  }
  wwri_loop_timer_cancel(client->loop, &link->timer);
  wwr_err err = wwri_client_restore_begin(client);
  if (err == WWR_OK && link->restore_id) {
    move(client, WWRI_LINK_RESTORING);
    wwri_loop_timer_set(client->loop, &link->timer,
                        client->opts.request_timeout_ms);
  } else if (err != WWR_OK) {
    wwri_client_link_break(client, err, WWRI_CLOSE_NORMAL);
  }
}

void wwri_client_link_up(struct wwr_client *client) {
  wwri_loop_timer_cancel(client->loop, &client->link.timer);
  wwri_reconnect_succeeded(&client->link.reconnect);
  client->link.was_up = true;
  move(client, WWRI_LINK_UP);
  wwri_log(&client->opts.log, WWR_LOG_INFO, 0, "connected", "server",
           client->link.pipe->ops->remote(client->link.pipe), NULL);
}

bool wwri_client_link_ready(const struct wwr_client *client) {
  return client->link.state == WWRI_LINK_UP && !client->link.broken &&
         wwri_list_empty(&client->waiting) && !wwri_loop_has_mail(client->loop);
}

wwr_err wwri_client_link_send(struct wwr_client *client,
                              struct wwri_frame *frame) {
  struct wwri_client_link *link = &client->link;
  struct wwri_pipe *pipe = link->pipe;
  uint64_t after = (uint64_t)pipe->queued_bytes + frame->message_len +
                   WWRI_CLIENT_HEADER_MAX;
  if (frame->message_len > link->buffer_bytes) return WWR_E_BUFFER_OVERFLOW;
  /* Refused here, the message is lost alone; the pipe would cut itself off. */
  if (pipe->queued_bytes && after > client->opts.max_queued_bytes) {
    return WWR_E_TRANSMISSION;
  }
  wwr_err err = pipe->ops->send(pipe, wwri_frame_ref(frame));
  if (err == WWR_OK) link->last_tx_ms = wwri_loop_now_ms(client->loop);
  return err == WWR_E_SLOW_CONSUMER ? WWR_E_TRANSMISSION : err;
}

/* Lost */

void wwri_client_link_closed(struct wwri_pipe *pipe, wwr_err reason) {
  struct wwr_client *client = pipe->user;
  struct wwri_client_link *link = &client->link;
  if (link->reason != WWR_OK) reason = link->reason;
  link->pipe = NULL;
  if (link->state != WWRI_LINK_CLOSING) move(client, WWRI_LINK_CLOSING);
  cut_off(client);
  if (!link->was_up) {
    attempt_failed(client, reason != WWR_OK ? reason : WWR_E_DISCONNECTED);
    return;
  }
  note(client, WWR_LOG_INFO, "disconnected", reason);
  if (client->opts.hooks.on_disconnected) {
    client->opts.hooks.on_disconnected(reason, client->opts.user_data);
  }
  settle(client, !link->abandoned);
}

void wwri_client_link_init(struct wwr_client *client) {
  struct wwri_client_link *link = &client->link;
  wwri_timer_init(&link->timer, on_timer);
  wwri_timer_init(&link->heart, on_heart);
  wwri_reconnect_init(&link->reconnect, client->opts.reconnect_interval_ms,
                      client->opts.reconnect_max_ms);
}
