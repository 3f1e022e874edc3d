/* The client's side: dial() makes the pair and mails it to the server, which
 * mails it back with its answer; the pair then is the connection or is freed.
 *
 * Time-out, cancel and stop do not chase a dial that is under way: they mark
 * the pair as given up, and its answer is dropped when it comes. */
#include <assert.h>
#include <stdlib.h>

#include "mem.h"

struct dialer {
  struct wwr_dialer base;
  struct wwri_mem_owner owner;
  struct wwr_memory_hub *hub;
  struct wwri_dialer_config config;
  atomic_uint max_queued_bytes;
  bool started;
  bool stopping;
  bool busy;                  /* a dial has not fired its event yet */
  struct wwri_mem_pair *pair; /* the dial's, until it is given up */
  struct wwri_timer timer;
  struct wwri_list pipes;
  struct wwri_mail note; /* to ourselves: `verdict` is due */
  bool noted;
  wwr_err verdict; /* WWR_OK: none */
  struct wwri_mail stop_mail;
};

static struct dialer *from_base(struct wwr_dialer *base) {
  return WWRI_CONTAINER(base, struct dialer, base);
}

/* The end of a dial */

static void give_up(struct dialer *dialer) {
  wwri_loop_timer_cancel(dialer->config.loop, &dialer->timer);
  if (dialer->pair) dialer->pair->given_up = true;
  dialer->pair = NULL;
}

static void fail(struct dialer *dialer, wwr_err reason, int status) {
  give_up(dialer);
  dialer->busy = false;
  dialer->verdict = WWR_OK;
  dialer->config.events->failed(dialer->config.owner, reason, status);
}

/* Fail, but not from inside the caller's call. */
static void fail_later(struct dialer *dialer, wwr_err reason) {
  give_up(dialer);
  dialer->verdict = reason;
  if (dialer->noted) return;
  dialer->noted = true;
  wwri_mem_owner_hold(&dialer->owner);
  wwri_loop_post(dialer->config.loop, &dialer->note);
}

static void on_note(struct wwri_mail *mail) {
  struct dialer *dialer = WWRI_CONTAINER(mail, struct dialer, note);
  dialer->noted = false;
  if (dialer->verdict) fail(dialer, dialer->verdict, 0);
  wwri_mem_owner_drop(&dialer->owner);
}

static void on_timeout(struct wwri_timer *timer) {
  fail(WWRI_CONTAINER(timer, struct dialer, timer), WWR_E_DIAL_TIMEOUT, 0);
}

static void on_accepted(struct dialer *dialer, struct wwri_mem_pair *pair) {
  wwri_list_append(&dialer->pipes, &pair->client.link);
  if (pair->given_up) {
    wwri_mem_pipe_finish(&pair->client, WWR_E_DISCONNECTED);
    return;
  }
  give_up(dialer);
  dialer->busy = false;
  pair->client.base.last_rx_ms = wwri_loop_now_ms(dialer->config.loop);
  dialer->config.events->opened(dialer->config.owner, &pair->client.base);
}

static void on_answer(struct wwri_mail *mail) {
  struct wwri_mem_pair *pair = WWRI_CONTAINER(mail, struct wwri_mem_pair, mail);
  struct dialer *dialer = pair->dialer;
  if (pair->result == WWR_OK) {
    on_accepted(dialer, pair); /* the pipe is counted as the dial was */
    return;
  }
  if (!pair->given_up) fail(dialer, pair->result, pair->http_status);
  free(pair);
  wwri_mem_owner_drop(&dialer->owner);
}

/* Dialing */

static struct wwri_mem_pair *new_pair(struct dialer *dialer) {
  struct wwri_mem_pair *pair = calloc(1, sizeof(*pair));
  if (!pair) return NULL;
  struct wwri_mem_pipe_config config = {
      .loop = dialer->config.loop,
      .owner = &dialer->owner,
      .max_message_bytes = dialer->config.max_message_bytes,
      .max_queued_bytes = &dialer->max_queued_bytes,
      .close_linger_ms = dialer->config.close_linger_ms,
  };
  wwri_mem_pipe_init(&pair->client, pair, &pair->server, &config);
  pair->dialer = dialer;
  return pair;
}

static wwr_err dialer_dial(struct wwr_dialer *base, uint32_t timeout_ms) {
  struct dialer *dialer = from_base(base);
  assert(!dialer->busy);
  if (dialer->stopping) return WWR_E_IO;
  struct wwri_mem_pair *pair = new_pair(dialer);
  if (!pair) return WWR_E_NOMEM;
  dialer->busy = true;
  wwri_mem_owner_hold(&dialer->owner);
  if (wwri_mem_hub_dial(dialer->hub, pair, on_answer)) {
    dialer->pair = pair;
    wwri_loop_timer_set(dialer->config.loop, &dialer->timer, timeout_ms);
    return WWR_OK;
  }
  free(pair);
  fail_later(dialer, WWR_E_DISCONNECTED);
  wwri_mem_owner_drop(&dialer->owner);
  return WWR_OK;
}

static void dialer_cancel(struct wwr_dialer *base) {
  struct dialer *dialer = from_base(base);
  if (dialer->busy) fail_later(dialer, WWR_E_CANCELED);
}

/* Start and stop */

static void on_finished(struct wwri_mem_pipe *pipe, wwr_err reason) {
  (void)pipe;
  (void)reason;
}

static void on_detached(struct wwri_mem_pipe *pipe) {
  (void)pipe;
}

static wwr_err dialer_start(struct wwr_dialer *base,
                            const struct wwri_dialer_config *config) {
  struct dialer *dialer = from_base(base);
  dialer->config = *config;
  atomic_init(&dialer->max_queued_bytes, config->max_queued_bytes);
  dialer->started = true;
  return WWR_OK;
}

static void on_stop(struct wwri_mail *mail) {
  struct dialer *dialer = WWRI_CONTAINER(mail, struct dialer, stop_mail);
  dialer->stopping = true;
  if (dialer->busy) fail(dialer, WWR_E_CANCELED, 0);
  while (!wwri_list_empty(&dialer->pipes)) {
    wwri_mem_pipe_finish(
        WWRI_CONTAINER(dialer->pipes.next, struct wwri_mem_pipe, link),
        WWR_E_DISCONNECTED);
  }
  wwri_mem_owner_drop(&dialer->owner);
}

static void dialer_stop(struct wwr_dialer *base) {
  struct dialer *dialer = from_base(base);
  if (!dialer->started) return;
  dialer->started = false;
  wwri_mem_owner_hold(&dialer->owner);
  wwri_loop_post(dialer->config.loop, &dialer->stop_mail);
  wwri_mem_owner_wait(&dialer->owner);
}

static void dialer_free(struct wwr_dialer *base) {
  struct dialer *dialer = from_base(base);
  wwr_memory_hub_free(dialer->hub);
  wwri_mem_owner_deinit(&dialer->owner);
  free(dialer);
}

static const struct wwri_dialer_ops dialer_ops = {
    .start = dialer_start,
    .dial = dialer_dial,
    .cancel = dialer_cancel,
    .stop = dialer_stop,
    .free = dialer_free,
};

wwr_err wwr_memory_dialer_new(struct wwr_dialer **out,
                              struct wwr_memory_hub *hub) {
  *out = NULL;
  struct dialer *dialer = calloc(1, sizeof(*dialer));
  if (!dialer) return WWR_E_NOMEM;
  wwr_err err = wwri_mem_owner_init(&dialer->owner);
  if (err) {
    free(dialer);
    return err;
  }
  dialer->base.ops = &dialer_ops;
  dialer->owner.finished = on_finished;
  dialer->owner.detached = on_detached;
  dialer->hub = wwri_mem_hub_ref(hub);
  dialer->note.fn = on_note;
  dialer->stop_mail.fn = on_stop;
  wwri_timer_init(&dialer->timer, on_timeout);
  wwri_list_init(&dialer->pipes);
  *out = &dialer->base;
  return WWR_OK;
}
