/* The connections of one I/O thread. */
#include <stdlib.h>

#include "internal.h"

static wwr_err grow(struct wwri_shard *shard) {
  size_t cap = shard->own.conn_cap ? shard->own.conn_cap * 2 : 64;
  struct wwr_conn **conns =
      realloc(shard->own.conns, cap * sizeof(struct wwr_conn *));
  if (!conns) return WWR_E_NOMEM;
  shard->own.conns = conns;
  shard->own.conn_cap = cap;
  return WWR_OK;
}

wwr_err wwri_shard_add(struct wwri_shard *shard, struct wwr_conn *conn) {
  if (shard->own.conn_count == shard->own.conn_cap) {
    wwr_err err = grow(shard);
    if (err != WWR_OK) return err;
  }
  conn->slot = shard->own.conn_count;
  shard->own.conns[shard->own.conn_count++] = conn;
  return WWR_OK;
}

void wwri_shard_remove(struct wwri_shard *shard, struct wwr_conn *conn) {
  struct wwr_conn *moved = shard->own.conns[--shard->own.conn_count];
  shard->own.conns[conn->slot] = moved;
  moved->slot = conn->slot;
}

struct wwri_shard *wwri_shard_current(const struct wwr_server *server) {
  for (size_t i = 0; i < server->shard_count; i++) {
    if (wwri_loop_is_current(server->loops[i])) return &server->shards[i];
  }
  return NULL;
}

bool wwri_on_io_thread(const struct wwr_server *server) {
  return wwri_shard_current(server) != NULL;
}

/* One errand over all shards, one after the other: the caller sleeps. */
struct errand {
  struct wwri_mail mail;
  struct wwri_shard *shard;
  void (*fn)(struct wwr_conn *conn, void *arg);
  void *arg;
  struct wwri_waiter waiter;
};

static void run_errand(struct wwri_mail *mail) {
  struct errand *errand = WWRI_CONTAINER(mail, struct errand, mail);
  struct wwri_shard *shard = errand->shard;
  /* Backwards: `fn` may remove the connection it is given. */
  for (size_t i = shard->own.conn_count; i-- > 0;) {
    errand->fn(shard->own.conns[i], errand->arg);
  }
  wwri_waiter_wake(&errand->waiter, WWR_OK);
}

void wwri_each_conn(struct wwr_server *server,
                    void (*fn)(struct wwr_conn *conn, void *arg), void *arg) {
  for (size_t i = 0; i < server->shard_count; i++) {
    struct errand errand = {.mail.fn = run_errand,
                            .shard = &server->shards[i],
                            .fn = fn,
                            .arg = arg};
    wwri_waiter_init(&errand.waiter);
    wwri_loop_post(errand.shard->loop, &errand.mail);
    (void)wwri_waiter_wait(&errand.waiter);
  }
}
