/* Lists of connections, sessions and channels (wwr_admin.h): what each looks at
 * in a shard, and how its rows become the application's.
 *
 * A connection or session in a page is held by a reference, a channel's name is
 * copied; so rows stay good while their owners go. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "survey.h"

/* Looked at before others of the loop have their turn. */
enum { CONNS_A_TIME = 1024, SLOTS_A_TIME = 256 };

static wwr_err check(const struct wwr_server *server, uint32_t max) {
  if (max < 1 || max > WWR_LIST_MAX) return WWR_E_INVALID;
  return atomic_load(&server->channels.open) ? WWR_OK : WWR_E_CLOSED;
}

/* Memory for what is told, which is perhaps nothing. */
static void *rows_for(size_t count, size_t bytes) {
  return malloc((count ? count : 1) * bytes);
}

/* --- Connections ---------------------------------------------------------- */

/* Visit some of the shard's connections, from the last to the first: one that
 * takes the place of another which left comes from behind, and was seen. False
 * at the end, or when `visit` says that it is. */
static bool some_conns(struct wwri_survey *survey,
                       const struct wwri_shard *shard,
                       bool (*visit)(struct wwri_survey *survey,
                                     struct wwr_conn *conn)) {
  size_t left = shard->own.conn_count;
  if (survey->at && survey->at < left) left = survey->at;
  for (size_t i = 0; i < CONNS_A_TIME && left > 0; i++) {
    if (!visit(survey, shard->own.conns[--left])) return false;
  }
  survey->at = left;
  return left > 0;
}

struct conn_list {
  struct wwri_survey survey;
  struct wwri_page page; /* of struct wwr_conn_row */
  uint64_t after;
  wwr_list_conns_done done;
  void *user_data;
};

static int compare_conns(const void *a, const void *b) {
  const struct wwr_conn_row *left = a, *right = b;
  if (left->conn->id == right->conn->id) return 0;
  return left->conn->id < right->conn->id ? -1 : 1;
}

static void drop_conn(void *row) {
  wwr_conn_unref(((struct wwr_conn_row *)row)->conn);
}

static const struct wwri_page_kind conn_kind = {sizeof(struct wwr_conn_row),
                                                compare_conns, drop_conn};

static bool visit_conn(struct wwri_survey *survey, struct wwr_conn *conn) {
  struct conn_list *list = WWRI_CONTAINER(survey, struct conn_list, survey);
  struct wwr_conn_row row = {.conn = conn};
  bool fresh;
  if (conn->id <= list->after) return true;
  struct wwr_conn_row *kept = wwri_page_offer(&list->page, &row, &fresh);
  if (!fresh) return true;
  wwr_conn_ref(conn);
  kept->queued_bytes = conn->pipe ? conn->pipe->queued_bytes : 0;
  kept->pending_bytes = conn->inbox_bytes;
  kept->open = atomic_load(&conn->open);
  kept->channels = atomic_load(&conn->channels.count);
  kept->closing = atomic_load(&conn->closing);
  return true;
}

static bool look_at_conns(struct wwri_survey *survey,
                          struct wwri_shard *shard) {
  return some_conns(survey, shard, visit_conn);
}

static void tell_conns(struct wwri_survey *survey) {
  struct conn_list *list = WWRI_CONTAINER(survey, struct conn_list, survey);
  size_t count = list->page.count;
  struct wwr_conn_row *rows = rows_for(count, sizeof *rows);
  for (size_t i = 0; rows && i < count; i++) {
    rows[i] = *(const struct wwr_conn_row *)wwri_page_row(&list->page, i);
    rows[i].session = wwr_conn_session(rows[i].conn);
  }
  if (rows) {
    list->done(WWR_OK, rows, count, list->page.more, list->user_data);
  } else {
    list->done(WWR_E_NOMEM, NULL, 0, false, list->user_data);
  }
  for (size_t i = 0; rows && i < count; i++) wwr_session_unref(rows[i].session);
  free(rows);
  wwri_page_deinit(&list->page);
  free(list);
}

wwr_err wwr_server_list_conns(struct wwr_server *server, uint64_t after,
                              uint32_t max, wwr_list_conns_done done,
                              void *user_data) {
  wwr_err err = check(server, max);
  if (err != WWR_OK) return err;
  struct conn_list *list = calloc(1, sizeof *list);
  if (!list || wwri_page_init(&list->page, &conn_kind, max) != WWR_OK) {
    free(list);
    return WWR_E_NOMEM;
  }
  list->after = after;
  list->done = done;
  list->user_data = user_data;
  list->survey.look = look_at_conns;
  list->survey.end = tell_conns;
  wwri_survey_begin(&list->survey, server);
  return WWR_OK;
}

/* --- One connection ------------------------------------------------------- */

struct search {
  struct wwri_survey survey;
  uint64_t id;
  struct wwr_conn *found; /* a reference */
  wwr_find_conn_done done;
  void *user_data;
};

static bool visit_other(struct wwri_survey *survey, struct wwr_conn *conn) {
  struct search *search = WWRI_CONTAINER(survey, struct search, survey);
  if (conn->id != search->id) return true;
  search->found = wwr_conn_ref(conn);
  wwri_survey_stop(survey);
  return false;
}

static bool look_for_conn(struct wwri_survey *survey,
                          struct wwri_shard *shard) {
  return some_conns(survey, shard, visit_other);
}

static void tell_found(struct wwri_survey *survey) {
  struct search *search = WWRI_CONTAINER(survey, struct search, survey);
  search->done(search->found, search->user_data);
  wwr_conn_unref(search->found);
  free(search);
}

wwr_err wwr_server_find_conn(struct wwr_server *server, uint64_t id,
                             wwr_find_conn_done done, void *user_data) {
  wwr_err err = check(server, 1);
  if (err != WWR_OK) return err;
  struct search *search = calloc(1, sizeof *search);
  if (!search) return WWR_E_NOMEM;
  search->id = id;
  search->done = done;
  search->user_data = user_data;
  search->survey.look = look_for_conn;
  search->survey.end = tell_found;
  wwri_survey_begin(&search->survey, server);
  return WWR_OK;
}

/* --- Sessions ------------------------------------------------------------- */

struct session_list {
  struct wwri_survey survey;
  struct wwri_page page; /* of struct wwr_session_row */
  wwr_list_sessions_done done;
  void *user_data;
  size_t after_len;
  uint8_t after[];
};

static int compare_views(struct wwr_view a, struct wwr_view b) {
  size_t len = a.len < b.len ? a.len : b.len;
  int order = len ? memcmp(a.data, b.data, len) : 0;
  if (order || a.len == b.len) return order;
  return a.len < b.len ? -1 : 1;
}

static struct wwr_view key_of(const struct wwr_session *session) {
  return wwr_view_str(wwr_session_key(session));
}

static int compare_sessions(const void *a, const void *b) {
  const struct wwr_session_row *left = a, *right = b;
  return compare_views(key_of(left->session), key_of(right->session));
}

static void drop_session(void *row) {
  wwr_session_unref(((struct wwr_session_row *)row)->session);
}

static const struct wwri_page_kind session_kind = {
    sizeof(struct wwr_session_row), compare_sessions, drop_session};

/* Under the registry's lock: takes references only. What gives way was seen
 * under it, too, but may be the last reference: freeing is no callback. */
static void visit_session(struct wwr_session *session, size_t connections,
                          void *arg) {
  struct session_list *list = arg;
  struct wwr_view after = {list->after, list->after_len};
  struct wwr_session_row row = {session, (uint32_t)connections};
  bool fresh;
  if (compare_views(key_of(session), after) <= 0) return;
  struct wwr_session_row *kept = wwri_page_offer(&list->page, &row, &fresh);
  if (fresh) wwr_session_ref(kept->session);
}

/* They belong to no shard, so one looks at all of them. */
static bool look_at_sessions(struct wwri_survey *survey,
                             struct wwri_shard *shard) {
  struct session_list *list =
      WWRI_CONTAINER(survey, struct session_list, survey);
  for (int i = 0; i < SLOTS_A_TIME; i++) {
    survey->at = wwri_registry_scan(&shard->server->registry, survey->at,
                                    visit_session, list);
    if (survey->at == 0) {
      wwri_survey_stop(survey);
      return false;
    }
  }
  return true;
}

static void tell_sessions(struct wwri_survey *survey) {
  struct session_list *list =
      WWRI_CONTAINER(survey, struct session_list, survey);
  size_t count = list->page.count;
  struct wwr_session_row *rows = rows_for(count, sizeof *rows);
  for (size_t i = 0; rows && i < count; i++) {
    rows[i] = *(const struct wwr_session_row *)wwri_page_row(&list->page, i);
  }
  if (rows) {
    list->done(WWR_OK, rows, count, list->page.more, list->user_data);
  } else {
    list->done(WWR_E_NOMEM, NULL, 0, false, list->user_data);
  }
  free(rows);
  wwri_page_deinit(&list->page);
  free(list);
}

wwr_err wwr_server_list_sessions(struct wwr_server *server,
                                 struct wwr_view after, uint32_t max,
                                 wwr_list_sessions_done done, void *user_data) {
  wwr_err err = check(server, max);
  if (err == WWR_OK && after.len > WWRI_KEY_MAX) err = WWR_E_INVALID;
  if (err != WWR_OK) return err;
  struct session_list *list = calloc(1, sizeof *list + after.len);
  if (!list || wwri_page_init(&list->page, &session_kind, max) != WWR_OK) {
    free(list);
    return WWR_E_NOMEM;
  }
  if (after.len) memcpy(list->after, after.data, after.len);
  list->after_len = after.len;
  list->done = done;
  list->user_data = user_data;
  list->survey.look = look_at_sessions;
  list->survey.end = tell_sessions;
  wwri_survey_begin(&list->survey, server);
  return WWR_OK;
}

/* --- Channels ------------------------------------------------------------- */

struct channel_row {
  struct wwr_channel_row row; /* its name: the feed's, then `name` */
  size_t shard;               /* that was counted last, ... */
  uint64_t readers;           /* ... and with how many */
  uint8_t name[WWRI_CHANNEL_MAX];
};

struct channel_list {
  struct wwri_survey survey;
  struct wwri_page page; /* of struct channel_row */
  wwr_list_channels_done done;
  void *user_data;
  struct wwr_view prefix; /* into `bytes`, as `after` */
  struct wwr_view after;
  uint8_t bytes[2 * WWRI_CHANNEL_MAX];
};

static int compare_channels(const void *a, const void *b) {
  const struct channel_row *left = a, *right = b;
  return compare_views(left->row.name, right->row.name);
}

static const struct wwri_page_kind channel_kind = {sizeof(struct channel_row),
                                                   compare_channels, NULL};

static bool begins_with(struct wwr_view text, struct wwr_view prefix) {
  return text.len >= prefix.len &&
         (!prefix.len || memcmp(text.data, prefix.data, prefix.len) == 0);
}

/* A feed may be visited twice: its count replaces the former. */
static void add_feed(struct channel_row *kept, const struct wwri_feed *feed,
                     size_t shard) {
  if (kept->shard == shard) kept->row.subscribers -= kept->readers;
  kept->shard = shard;
  kept->readers = feed->count;
  kept->row.subscribers += feed->count;
  const struct wwr_channel_id last = {feed->last.epoch, feed->last.offset};
  bool later = last.epoch != kept->row.last.epoch
                   ? last.epoch > kept->row.last.epoch
                   : last.offset > kept->row.last.offset;
  if (later) kept->row.last = last;
}

static void visit_feed(struct wwr_view name, void *value, void *arg) {
  struct channel_list *list = arg;
  size_t shard = list->survey.shard;
  struct channel_row row;
  bool fresh;
  if (!begins_with(name, list->prefix)) return;
  if (compare_views(name, list->after) <= 0) return;
  row.row = (struct wwr_channel_row){.name = name};
  row.shard = shard;
  row.readers = 0;
  struct channel_row *kept = wwri_page_offer(&list->page, &row, &fresh);
  if (!kept) return;
  if (fresh) {
    memcpy(kept->name, name.data, name.len);
    kept->row.name.data = kept->name;
  }
  add_feed(kept, value, shard);
}

static bool look_at_channels(struct wwri_survey *survey,
                             struct wwri_shard *shard) {
  struct channel_list *list =
      WWRI_CONTAINER(survey, struct channel_list, survey);
  for (int i = 0; i < SLOTS_A_TIME; i++) {
    survey->at =
        wwri_map_scan(&shard->channels.feeds, survey->at, visit_feed, list);
    if (survey->at == 0) return false;
  }
  return true;
}

static void tell_channels(struct wwri_survey *survey) {
  struct channel_list *list =
      WWRI_CONTAINER(survey, struct channel_list, survey);
  size_t count = list->page.count;
  struct wwr_channel_row *rows = rows_for(count, sizeof *rows);
  for (size_t i = 0; rows && i < count; i++) {
    rows[i] = ((const struct channel_row *)wwri_page_row(&list->page, i))->row;
  }
  if (rows) {
    list->done(WWR_OK, rows, count, list->page.more, list->user_data);
  } else {
    list->done(WWR_E_NOMEM, NULL, 0, false, list->user_data);
  }
  free(rows);
  wwri_page_deinit(&list->page);
  free(list);
}

static struct wwr_view keep(uint8_t *to, struct wwr_view view) {
  if (view.len) memcpy(to, view.data, view.len);
  return (struct wwr_view){to, view.len};
}

wwr_err wwr_server_list_channels(struct wwr_server *server,
                                 struct wwr_view prefix, struct wwr_view after,
                                 uint32_t max, wwr_list_channels_done done,
                                 void *user_data) {
  wwr_err err = check(server, max);
  bool too_long = prefix.len > WWRI_CHANNEL_MAX || after.len > WWRI_CHANNEL_MAX;
  if (err == WWR_OK && too_long) err = WWR_E_INVALID;
  if (err != WWR_OK) return err;
  struct channel_list *list = calloc(1, sizeof *list);
  if (!list || wwri_page_init(&list->page, &channel_kind, max) != WWR_OK) {
    free(list);
    return WWR_E_NOMEM;
  }
  list->prefix = keep(list->bytes, prefix);
  list->after = keep(list->bytes + WWRI_CHANNEL_MAX, after);
  list->done = done;
  list->user_data = user_data;
  list->survey.look = look_at_channels;
  list->survey.end = tell_channels;
  wwri_survey_begin(&list->survey, server);
  return WWR_OK;
}
