/* Connections to this node. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "impl.h"
#include "text.h"

enum { NS_PER_MS = 1000000 };

/* --- All -------------------------------------------------------------------
 */

static json_t *conn_json(const struct wwr_conn *conn,
                         struct wwr_session *session) {
  json_t *json = json_object();
  wwri_json_number(json, "id", wwr_conn_id(conn));
  (void)json_object_set_new(
      json, "remote", wwri_json_text(wwr_view_str(wwr_conn_remote(conn))));
  wwri_json_number(json, "created",
                   (uint64_t)(wwr_conn_created(conn) / NS_PER_MS));
  (void)json_object_set_new(
      json, "session",
      session ? wwri_json_text(wwr_view_str(wwr_session_key(session)))
              : json_null());
  return json;
}

static json_t *row_json(const struct wwr_conn_row *row) {
  json_t *json = conn_json(row->conn, row->session);
  wwri_json_number(json, "queued_bytes", row->queued_bytes);
  wwri_json_number(json, "pending_bytes", row->pending_bytes);
  wwri_json_number(json, "open_handlers", row->open);
  wwri_json_number(json, "channels", row->channels);
  (void)json_object_set_new(json, "closing", json_boolean(row->closing));
  return json;
}

static void on_conns(wwr_err err, const struct wwr_conn_row *rows, size_t count,
                     bool more, void *user_data) {
  struct wwri_call *call = user_data;
  call->err = err;
  call->more = more;
  call->json = json_array();
  for (size_t i = 0; i < count; i++) {
    (void)json_array_append_new(call->json, row_json(&rows[i]));
  }
  wwri_call_post(call);
}

static wwr_err ask_conns(struct wwri_ask *ask, const json_t *after,
                         uint32_t max, struct wwri_call *call) {
  return wwr_server_list_conns(ask->admin->opts.server,
                               (uint64_t)json_integer_value(after), max,
                               on_conns, call);
}

void wwri_api_conns(struct wwri_ask *ask) {
  static const struct wwri_listing listing = {"connections", "id", ask_conns};
  uint64_t after;
  if (!wwri_ask_number(ask, "after", 0, INT64_MAX, 0, &after)) return;
  wwri_list_answer(ask, &listing, json_integer((json_int_t)after));
}

/* --- One -------------------------------------------------------------------
 */

static void on_found(struct wwr_conn *conn, void *user_data) {
  struct wwri_call *call = user_data;
  if (!conn) {
    call->err = WWR_E_NOT_FOUND;
  } else if (call->closes) {
    wwr_conn_close(conn);
  } else {
    struct wwr_session *session = wwr_conn_session(conn);
    call->json = conn_json(conn, session);
    wwr_session_unref(session);
  }
  wwri_call_post(call);
}

static void got_conn(struct wwri_ask *ask, struct wwri_call *call) {
  if (call->err != WWR_OK) {
    wwri_answer_error(ask, 404, NULL, "this node has no such connection");
  } else if (call->closes) {
    wwri_answer_json(ask, 200, json_pack("{s:b}", "closing", 1));
  } else {
    wwri_answer_json(ask, 200, json_incref(call->json));
  }
}

void wwri_api_conn(struct wwri_ask *ask) {
  uint64_t id;
  if (!wwri_parse_number((const char *)ask->parts[3].data, 1, INT64_MAX, &id)) {
    wwri_answer_error(ask, 400, NULL, "a connection's id is a number");
    return;
  }
  struct wwri_call *call = wwri_call_new(ask, got_conn);
  if (!call) return;
  call->closes = ask->method == WWRI_DELETE;
  wwri_call_begun(
      call, wwr_server_find_conn(ask->admin->opts.server, id, on_found, call));
}
