/* How many connections of this node each member of a channel has: a row per
 * channel and member, told to the bus as an absolute number. Changes are
 * gathered for a moment; a row has at most one call under way, and what changes
 * meanwhile is told after it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct place { /* a channel */
  struct wwri_map rows;
  size_t name_len;
  uint8_t name[];
};

struct wwri_row {
  struct wwri_list node; /* in `dirty`, or by itself */
  struct wwr_server *server;
  struct place *place;
  struct wwri_bus_op op;
  uint32_t count;
  uint32_t sent; /* by the call under way, or the last */
  uint32_t told; /* what the bus has */
  bool busy;
  bool unsure; /* it may have another number than `told` */
  size_t member_len;
  uint8_t member[];
};

static struct wwri_presence *presence_of(struct wwr_server *server) {
  return &server->channels.presence;
}

static struct wwr_view member_of(const struct wwri_row *row) {
  return (struct wwr_view){row->member, row->member_len};
}

static struct wwr_view name_of(const struct place *place) {
  return (struct wwr_view){place->name, place->name_len};
}

bool wwri_presence_is(const struct wwri_row *row, struct wwr_view member) {
  return wwr_view_equal(member_of(row), member);
}

/* --- Rows; under the lock ------------------------------------------------- */

static struct place *place_for(struct wwri_presence *presence,
                               struct wwr_view channel) {
  struct place *place = wwri_map_get(&presence->channels, channel);
  if (place) return place;
  place = malloc(sizeof *place + channel.len);
  if (!place) return NULL;
  wwri_map_init(&place->rows);
  place->name_len = channel.len;
  memcpy(place->name, channel.data, channel.len);
  if (wwri_map_insert(&presence->channels, channel, place) == WWR_OK) {
    return place;
  }
  free(place);
  return NULL;
}

static void drop_if_empty(struct wwri_presence *presence, struct place *place) {
  if (place->rows.count) return;
  wwri_map_remove(&presence->channels, name_of(place));
  wwri_map_deinit(&place->rows);
  free(place);
}

static struct wwri_row *row_for(struct wwr_server *server, struct place *place,
                                struct wwr_view member) {
  struct wwri_row *row = wwri_map_get(&place->rows, member);
  if (row) return row;
  row = calloc(1, sizeof *row + member.len);
  if (!row) return NULL;
  wwri_list_init(&row->node);
  row->server = server;
  row->place = place;
  row->member_len = member.len;
  if (member.len) memcpy(row->member, member.data, member.len);
  if (wwri_map_insert(&place->rows, member_of(row), row) == WWR_OK) return row;
  free(row);
  return NULL;
}

static bool is_told(const struct wwri_row *row) {
  return !row->unsure && row->told == row->count;
}

static void free_if_unneeded(struct wwri_row *row) {
  if (row->count || row->busy || !is_told(row)) return;
  struct place *place = row->place;
  wwri_list_remove(&row->node);
  wwri_map_remove(&place->rows, member_of(row));
  drop_if_empty(presence_of(row->server), place);
  free(row);
}

static void mark(struct wwri_row *row) {
  struct wwri_presence *presence = presence_of(row->server);
  if (wwri_list_empty(&row->node)) {
    wwri_list_append(&presence->dirty, &row->node);
  }
  if (presence->scheduled || !atomic_load(&row->server->channels.open)) return;
  presence->scheduled = true;
  wwri_loop_post(row->server->loops[0], &presence->mail);
}

/* --- Telling the bus; under the lock, which the bus never takes ------------
 */

static void on_told(struct wwri_bus_op *op,
                    const struct wwri_bus_result *result) {
  struct wwri_row *row = op->user;
  struct wwr_server *server = row->server;
  struct wwri_presence *presence = presence_of(server);
  pthread_mutex_lock(&presence->lock);
  row->busy = false;
  if (result->err == WWR_OK) {
    row->told = row->sent;
  } else if (result->err == WWR_E_CLOSED) {
    row->told = row->count; /* nobody is left to be told */
  } else {
    row->unsure = true; /* the bus may remember it */
    presence->retry = true;
  }
  if (is_told(row) && result->err == WWR_OK) {
    free_if_unneeded(row);
  } else if (result->err != WWR_E_CLOSED) {
    mark(row);
  }
  pthread_mutex_unlock(&presence->lock);
}

static wwr_err set(struct wwri_row *row, struct wwri_bus_op *op) {
  struct wwr_bus *bus = row->server->channels.bus;
  struct wwri_bus_member member = {.member = member_of(row),
                                   .connections = row->count};
  return bus->ops->presence_set(bus, name_of(row->place), &member, op);
}

static void send(struct wwri_row *row) {
  struct wwri_presence *presence = presence_of(row->server);
  row->op = (struct wwri_bus_op){.done = on_told, .user = row};
  row->sent = row->count;
  wwr_err err = set(row, &row->op);
  if (err == WWR_OK) {
    row->busy = true;
    row->unsure = false;
  } else if (err != WWR_E_CLOSED) {
    presence->retry = true;
    mark(row);
  }
}

/* Rows that are busy are marked again by their answer. */
static void send_all(struct wwri_presence *presence) {
  struct wwri_list dirty;
  struct wwri_list *node;
  wwri_list_init(&dirty);
  wwri_list_splice(&dirty, &presence->dirty);
  while ((node = wwri_list_pop(&dirty))) {
    struct wwri_row *row = WWRI_CONTAINER(node, struct wwri_row, node);
    if (row->busy) continue;
    if (is_told(row)) {
      free_if_unneeded(row);
    } else {
      send(row);
    }
  }
}

static void timer_fired(struct wwri_timer *timer) {
  struct wwri_presence *presence =
      WWRI_CONTAINER(timer, struct wwri_presence, timer);
  pthread_mutex_lock(&presence->lock);
  presence->scheduled = false;
  presence->retry = false;
  send_all(presence);
  pthread_mutex_unlock(&presence->lock);
}

static void scheduled(struct wwri_mail *mail) {
  struct wwr_server *server =
      WWRI_CONTAINER(mail, struct wwr_server, channels.presence.mail);
  struct wwri_presence *presence = presence_of(server);
  pthread_mutex_lock(&presence->lock);
  uint64_t delay = presence->retry ? WWRI_RETRY_MS : WWRI_PRESENCE_MS;
  pthread_mutex_unlock(&presence->lock);
  wwri_loop_timer_set(server->loops[0], &presence->timer, delay);
}

/* --- In a hurry ----------------------------------------------------------- */

static void on_hurried(struct wwri_bus_op *op,
                       const struct wwri_bus_result *result) {
  (void)result; /* it is told again in its turn */
  free(op);
}

static bool hurry(struct wwr_view member, void *value, void *arg) {
  struct wwri_row *row = value;
  (void)member;
  (void)arg;
  if (wwri_list_empty(&row->node) && !row->busy) return true;
  if (row->sent == row->count && row->busy) return true;
  struct wwri_bus_op *op = malloc(sizeof *op);
  if (!op) return false;
  *op = (struct wwri_bus_op){.done = on_hurried};
  if (set(row, op) != WWR_OK) {
    free(op);
    return false;
  }
  row->unsure = true; /* and so told again, even what was told before */
  return true;
}

void wwri_presence_flush(struct wwr_server *server, struct wwr_view channel) {
  struct wwri_presence *presence = presence_of(server);
  pthread_mutex_lock(&presence->lock);
  const struct place *place = wwri_map_get(&presence->channels, channel);
  if (place) wwri_map_each(&place->rows, hurry, NULL);
  pthread_mutex_unlock(&presence->lock);
}

/* --- Counting ------------------------------------------------------------- */

struct wwri_row *wwri_presence_add(struct wwr_server *server,
                                   struct wwr_view channel,
                                   struct wwr_view member) {
  struct wwri_presence *presence = presence_of(server);
  pthread_mutex_lock(&presence->lock);
  struct place *place = place_for(presence, channel);
  struct wwri_row *row = place ? row_for(server, place, member) : NULL;
  if (row) {
    row->count++;
    mark(row);
  } else if (place) {
    drop_if_empty(presence, place);
  }
  pthread_mutex_unlock(&presence->lock);
  return row;
}

void wwri_presence_drop(struct wwr_server *server, struct wwri_row *row) {
  struct wwri_presence *presence = presence_of(server);
  if (!row) return;
  pthread_mutex_lock(&presence->lock);
  assert(row->count > 0);
  row->count--;
  mark(row);
  pthread_mutex_unlock(&presence->lock);
}

/* --- Life ----------------------------------------------------------------- */

void wwri_presence_init(struct wwr_server *server) {
  struct wwri_presence *presence = presence_of(server);
  pthread_mutex_init(&presence->lock, NULL);
  wwri_map_init(&presence->channels);
  wwri_list_init(&presence->dirty);
  wwri_timer_init(&presence->timer, timer_fired);
  presence->mail.fn = scheduled;
}

static bool free_row(struct wwr_view name, void *value, void *arg) {
  (void)name;
  (void)arg;
  free(value);
  return true;
}

static bool free_place(struct wwr_view name, void *value, void *arg) {
  struct place *place = value;
  (void)name;
  (void)arg;
  wwri_map_each(&place->rows, free_row, NULL);
  wwri_map_deinit(&place->rows);
  free(place);
  return true;
}

void wwri_presence_deinit(struct wwr_server *server) {
  struct wwri_presence *presence = presence_of(server);
  wwri_map_each(&presence->channels, free_place, NULL);
  wwri_map_deinit(&presence->channels);
  pthread_mutex_destroy(&presence->lock);
}
