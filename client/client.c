/* client.c - the client object: options, birth, close and death.
 *
 * Making one starts its loop's thread and attaches the dialer; nothing is
 * dialed before it is used. If a step fails, what was done is undone, and the
 * dialer is the caller's as before. Freeing closes (everything that waits gets
 * its result), stops the dialer, ends the thread. */
#include "client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "session.h"

enum { CLOSE_LINGER_MS = 1000, BUFFER_MIN = 32 };

void wwr_client_opts_default(struct wwr_client_opts *opts) {
  *opts = (struct wwr_client_opts){
      .log = {.level = WWR_LOG_OFF},
      .autoconnect = WWR_AUTOCONNECT_ON,
      .request_timeout_ms = 60000,
      .reconnect_interval_ms = 2000,
      .reconnect_max_ms = 30000,
      .dial_timeout_ms = 5000,
      .message_buffer_bytes = 1048576,
      .max_pending = 65536,
      .max_queued_bytes = 16777216,
  };
}

static const char *find_bad_field(const struct wwr_client_opts *opts) {
  if (!opts->dialer) return "dialer";
  if (opts->autoconnect != WWR_AUTOCONNECT_ON &&
      opts->autoconnect != WWR_AUTOCONNECT_OFF) {
    return "autoconnect";
  }
  if (opts->subprotocol &&
      (strlen(opts->subprotocol) > WWRI_NAME_MAX ||
       !wwri_is_printable(wwr_view_str(opts->subprotocol)))) {
    return "subprotocol";
  }
  if (opts->request_timeout_ms == 0) return "request_timeout_ms";
  if (opts->reconnect_interval_ms == 0) return "reconnect_interval_ms";
  if (opts->reconnect_max_ms < opts->reconnect_interval_ms) {
    return "reconnect_max_ms";
  }
  if (opts->dial_timeout_ms == 0) return "dial_timeout_ms";
  if (opts->message_buffer_bytes < BUFFER_MIN) return "message_buffer_bytes";
  if (opts->max_pending == 0) return "max_pending";
  if (opts->max_queued_bytes == 0) return "max_queued_bytes";
  return NULL;
}

/* Birth */

static void on_hook_close(struct wwri_mail *mail);

static wwr_err make_parts(struct wwr_client *client) {
  struct wwri_msg heartbeat = {.type = WWRI_HEARTBEAT};
  if (client->opts.subprotocol) {
    client->subprotocol = strdup(client->opts.subprotocol);
    client->opts.subprotocol = client->subprotocol;
    if (!client->subprotocol) return WWR_E_NOMEM;
  }
  wwr_err err = wwri_call_table_init(&client->locked.calls);
  if (err != WWR_OK) return err;
  err = wwri_encode_frame(&heartbeat, 1, &client->heartbeat);
  if (err != WWR_OK) return err;
  err = wwri_loop_new(&client->loop);
  return err == WWR_OK ? wwri_loop_start(client->loop, "wwr-client") : err;
}

static void free_parts(struct wwr_client *client) {
  if (client->loop) wwri_loop_stop(client->loop);
  wwri_loop_free(client->loop);
  wwri_frame_unref(client->heartbeat);
  wwri_call_table_deinit(&client->locked.calls);
  wwr_session_unref(client->locked.session);
  wwr_session_unref(client->kept);
  pthread_mutex_destroy(&client->locked.mutex);
  free(client->subprotocol);
  free(client);
}

static wwr_err attach_dialer(struct wwr_client *client) {
  struct wwri_dialer_config config = {
      .loop = client->loop,
      .events = &wwri_client_dial_events,
      .owner = client,
      .log = &client->opts.log,
      .max_message_bytes = client->opts.message_buffer_bytes,
      .max_queued_bytes = client->opts.max_queued_bytes,
      .close_linger_ms = CLOSE_LINGER_MS,
  };
  /* What waits counts up to the limit, so all of it fits when it is flushed. */
  return client->opts.dialer->ops->start(client->opts.dialer, &config);
}

static void init_fields(struct wwr_client *client,
                        const struct wwr_client_opts *opts) {
  client->opts = *opts;
  atomic_init(&client->status, WWR_CLIENT_DISABLED);
  atomic_init(&client->next_id, 1);
  pthread_mutex_init(&client->locked.mutex, NULL);
  wwri_list_init(&client->waiting);
  wwri_list_init(&client->open);
  wwri_list_init(&client->closers);
  client->hook_close.fn = on_hook_close;
  wwri_client_link_init(client);
  if (getrandom(&client->link.random, sizeof client->link.random, 0) < 0) {
    client->link.random = (uint64_t)wwri_unix_now_ns();
  }
  client->link.random |= 1; /* zero would stay zero */
}

wwr_err wwr_client_new(struct wwr_client **out,
                       const struct wwr_client_opts *opts,
                       const char **bad_field) {
  const char *bad = find_bad_field(opts);
  *out = NULL;
  if (bad_field) *bad_field = bad;
  if (bad) return WWR_E_INVALID;
  struct wwr_client *client = calloc(1, sizeof *client);
  if (!client) return WWR_E_NOMEM;
  init_fields(client, opts);
  wwr_err err = make_parts(client);
  if (err == WWR_OK) err = attach_dialer(client);
  if (err != WWR_OK) {
    free_parts(client);
    return err;
  }
  *out = client;
  return WWR_OK;
}

/* Close and death */

static void on_hook_close(struct wwri_mail *mail) {
  struct wwr_client *client =
      WWRI_CONTAINER(mail, struct wwr_client, hook_close);
  client->hook_close_posted = false;
  wwri_client_link_close(client);
}

static void on_closer(struct wwri_mail *mail) {
  struct wwri_closer *closer = WWRI_CONTAINER(mail, struct wwri_closer, mail);
  struct wwr_client *client = closer->client;
  if (closer->final) atomic_store(&client->freeing, true);
  wwri_list_append(&client->closers, &closer->link);
  wwri_client_link_close(client);
}

static void close_and_wait(struct wwr_client *client, bool final) {
  struct wwri_waiter waiter;
  struct wwri_closer closer = {.mail.fn = on_closer,
                               .client = client,
                               .waiter = &waiter,
                               .final = final};
  wwri_list_init(&closer.link);
  wwri_waiter_init(&waiter);
  wwri_loop_post(client->loop, &closer.mail);
  (void)wwri_waiter_wait(&waiter);
}

void wwr_client_close(struct wwr_client *client) {
  if (!wwri_loop_is_current(client->loop)) {
    close_and_wait(client, false);
    return;
  }
  /* What was called before this close must not survive it, also when the mail
   * of an earlier one stands before those calls in the mailbox. */
  atomic_fetch_add(&client->closes, 1);
  if (client->hook_close_posted) return;
  client->hook_close_posted = true;
  wwri_loop_post(client->loop, &client->hook_close);
}

void wwr_client_free(struct wwr_client *client) {
  if (!client) return;
  assert(!wwri_loop_is_current(client->loop));
  struct wwr_dialer *dialer = client->opts.dialer;
  close_and_wait(client, true);
  dialer->ops->stop(dialer);
  free_parts(client);
  wwr_dialer_free(dialer);
}

/* Asked from any thread */

enum wwr_client_status wwr_client_status(const struct wwr_client *client) {
  return (enum wwr_client_status)atomic_load(&client->status);
}

size_t wwr_client_pending(const struct wwr_client *client) {
  return atomic_load(&client->pending);
}
