/* Sessions: which have connections here, where one is connected, and closing
 * one everywhere. A session's key is what its client proves itself with, so
 * what is said here is as secret as the token that it takes. */
#include "impl.h"

enum { NS_PER_MS = 1000000 };

/* --- All of this node ------------------------------------------------------
 */

static json_t *session_json(const struct wwr_session_row *row) {
  const struct wwr_session *session = row->session;
  const char *info = wwr_session_info(session);
  json_t *parsed = info ? json_loads(info, 0, NULL) : NULL;
  return json_pack("{s:o, s:I, s:I, s:I, s:o}", "key",
                   wwri_json_text(wwr_view_str(wwr_session_key(session))),
                   "connections", (json_int_t)row->connections, "created",
                   (json_int_t)(wwr_session_created(session) / NS_PER_MS),
                   "last_lookup",
                   (json_int_t)(wwr_session_last_lookup(session) / NS_PER_MS),
                   "info", parsed ? parsed : json_null());
}

static void on_sessions(wwr_err err, const struct wwr_session_row *rows,
                        size_t count, bool more, void *user_data) {
  struct wwri_call *call = user_data;
  call->err = err;
  call->more = more;
  call->json = json_array();
  for (size_t i = 0; i < count; i++) {
    (void)json_array_append_new(call->json, session_json(&rows[i]));
  }
  wwri_call_post(call);
}

static wwr_err ask_sessions(struct wwri_ask *ask, const json_t *after,
                            uint32_t max, struct wwri_call *call) {
  return wwr_server_list_sessions(ask->admin->opts.server,
                                  wwr_view_str(json_string_value(after)), max,
                                  on_sessions, call);
}

void wwri_api_sessions(struct wwri_ask *ask) {
  static const struct wwri_listing listing = {"sessions", "key", ask_sessions};
  char after[sizeof ask->filter];
  if (!wwri_ask_param(ask, "after", after, sizeof after, NULL)) return;
  wwri_list_answer(ask, &listing, json_string(after));
}

/* --- One, everywhere -------------------------------------------------------
 */

static void on_places(wwr_err err, const struct wwr_session_place *places,
                      size_t count, void *user_data) {
  struct wwri_call *call = user_data;
  call->err = err;
  call->json = json_array();
  for (size_t i = 0; i < count; i++) {
    (void)json_array_append_new(
        call->json,
        json_pack("{s:o, s:I}", "node",
                  wwri_json_text(wwr_view_str(places[i].node)), "connections",
                  (json_int_t)places[i].connections));
  }
  wwri_call_post(call);
}

static void on_closed(const struct wwr_close_result *results, size_t count,
                      void *user_data) {
  struct wwri_call *call = user_data;
  call->number = count;
  for (size_t i = 0; i < count; i++) {
    if (results[i].err != WWR_OK) call->err = results[i].err;
  }
  wwri_call_post(call);
}

static void closed(struct wwri_ask *ask, struct wwri_call *call) {
  if (call->err != WWR_OK) {
    wwri_answer_err(ask, call->err);
  } else {
    wwri_answer_json(ask, 200, json_pack("{s:b}", "closed", 1));
  }
}

static void got_places(struct wwri_ask *ask, struct wwri_call *call) {
  if (call->err != WWR_OK) {
    wwri_answer_err(ask, call->err);
    return;
  }
  if (ask->method == WWRI_GET) {
    wwri_answer_json(
        ask, 200,
        json_pack("{s:o, s:O}", "key", wwri_json_text(ask->parts[3]), "places",
                  call->json));
    return;
  }
  struct wwri_call *next = wwri_call_new(ask, closed);
  if (!next) return;
  wwri_call_begun(
      next, wwr_server_close_session(ask->admin->opts.server, ask->parts[3],
                                     on_closed, next));
}

void wwri_api_session(struct wwri_ask *ask) {
  struct wwri_call *call = wwri_call_new(ask, got_places);
  if (!call) return;
  wwri_call_begun(
      call, wwr_server_session_places(ask->admin->opts.server, ask->parts[3],
                                      on_places, call));
}
