/* Sessions that end at a time which the application names (on_session): each
 * connection that has one waits for it by itself, so that no node needs to know
 * of the others, and the last one off destroys it in the store. A session that
 * nobody has is found to be over when it is restored. */
#include <stdlib.h>

#include "internal.h"

/* The clock may be set: look again now and then. */
enum { LOOK_AGAIN_MS = 600000, MS_NS = 1000000 };

/* 0: at no time. */
static int64_t end_of(const struct wwr_server *server,
                      const struct wwr_session *session) {
  const struct wwr_server_opts *opts = &server->opts;
  if (!opts->hooks.on_session) return 0;
  return opts->hooks.on_session(session, opts->user_data);
}

bool wwri_session_is_over(const struct wwr_server *server,
                          const struct wwr_session *session) {
  int64_t end = end_of(server, session);
  return end && end <= wwri_unix_now_ns();
}

/* --- On a connection ------------------------------------------------------ */

static void end_now(struct wwr_conn *conn) {
  wwr_conn_ref(conn);
  if (wwr_conn_close_session(conn, NULL, NULL) != WWR_OK) {
    wwri_conn_close_now(conn, WWRI_CLOSE_GOING_AWAY, WWR_E_NOMEM);
  }
  wwri_conn_go_away(conn);
  wwr_conn_unref(conn);
}

void wwri_session_mind_end(struct wwr_conn *conn) {
  struct wwr_session *session = NULL;
  if (conn->pipe && conn->server->opts.hooks.on_session) {
    session = wwr_conn_session(conn);
  }
  int64_t end = session ? end_of(conn->server, session) : 0;
  wwr_session_unref(session);
  if (!end) {
    wwri_loop_timer_cancel(conn->shard->loop, &conn->end_timer);
    return;
  }
  int64_t now = wwri_unix_now_ns();
  int64_t left_ms = end > now ? (end - now - 1) / MS_NS + 1 : 0;
  if (left_ms > LOOK_AGAIN_MS) left_ms = LOOK_AGAIN_MS;
  wwri_loop_timer_set(conn->shard->loop, &conn->end_timer, (uint64_t)left_ms);
}

/* It may have another session by now. */
static void end_timer_fired(struct wwri_timer *timer) {
  struct wwr_conn *conn = WWRI_CONTAINER(timer, struct wwr_conn, end_timer);
  struct wwr_session *session = wwr_conn_session(conn);
  bool over = session && wwri_session_is_over(conn->server, session);
  wwr_session_unref(session);
  if (over) {
    end_now(conn);
  } else {
    wwri_session_mind_end(conn);
  }
}

void wwri_session_end_init(struct wwr_conn *conn) {
  wwri_timer_init(&conn->end_timer, end_timer_fired);
}

void wwri_session_end_deinit(struct wwr_conn *conn) {
  wwri_loop_timer_cancel(conn->shard->loop, &conn->end_timer);
}

/* --- In the store --------------------------------------------------------- */

static void given_up(struct wwri_store_op *op) {
  wwri_store_op_deinit(op);
  free(op);
}

void wwri_session_give_up(struct wwri_shard *shard,
                          struct wwr_session *session) {
  struct wwri_store_op *op = malloc(sizeof *op);
  if (!op) {
    wwri_store_detach(shard->server->registry.store,
                      wwr_view_str(wwr_session_key(session)));
    return;
  }
  wwri_store_op_init(op, WWRI_STORE_CLOSED, shard, NULL, session, given_up);
  wwri_store_op_start(op);
}
