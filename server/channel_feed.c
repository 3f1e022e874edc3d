/* Feeds of a shard and their readers.
 *
 * A feed lives from its first subscription until nobody has read it for the
 * linger time and the bus has let it go. Readers are found from their
 * connection (a small array, ordered by feed) and walked from their feed (a
 * dense array). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { FIRST_SLOTS = 4, FIRST_READERS = 4 };

/* --- Feeds ---------------------------------------------------------------- */

static struct wwr_bus *bus_of(const struct wwri_feed *feed) {
  return feed->shard->server->channels.bus;
}

static bool unneeded(const struct wwri_feed *feed) {
  return !feed->count && !feed->open && wwri_list_empty(&feed->waiting);
}

static void left_here(struct wwri_item *item) {
  struct wwri_feed *feed = WWRI_CONTAINER(item, struct wwri_feed, left);
  wwri_feed_left(feed, feed->left_err);
}

static void on_left(struct wwri_bus_op *op,
                    const struct wwri_bus_result *result) {
  struct wwri_feed *feed = op->user;
  feed->left_err = result->err;
  wwri_item_send(&feed->left);
}

static void linger_over(struct wwri_timer *timer) {
  struct wwri_feed *feed = WWRI_CONTAINER(timer, struct wwri_feed, linger);
  if (feed->state != WWRI_FEED_UP || !unneeded(feed)) return;
  wwri_feed_release(feed, true);
  if (!unneeded(feed)) return; /* a `done` function wants it */
  wwri_feed_unpress(feed);
  feed->state = WWRI_FEED_LEAVING;
  feed->leave = (struct wwri_bus_op){.done = on_left, .user = feed};
  struct wwr_bus *bus = bus_of(feed);
  /* Refused only by a bus that is closed, where nothing begins again. */
  (void)bus->ops->unsubscribe(bus, &feed->sub, &feed->leave);
}

static void own_wait_over(struct wwri_timer *timer) {
  wwri_feed_release(WWRI_CONTAINER(timer, struct wwri_feed, own_wait), true);
}

static void pace_fired(struct wwri_timer *timer) {
  wwri_feed_repace(WWRI_CONTAINER(timer, struct wwri_feed, pace));
}

void wwri_feed_settle(struct wwri_feed *feed) {
  if (feed->state != WWRI_FEED_UP || !unneeded(feed)) return;
  wwri_loop_timer_set(feed->shard->loop, &feed->linger,
                      feed->shard->server->channels.linger_ms);
}

struct wwri_feed *wwri_feed_find(struct wwri_shard *shard,
                                 struct wwr_view channel) {
  return wwri_map_get(&shard->channels.feeds, channel);
}

struct wwri_feed *wwri_feed_new(struct wwri_shard *shard,
                                struct wwr_view channel,
                                const struct wwr_channel_opts *opts) {
  struct wwri_feed *feed = calloc(1, sizeof *feed + channel.len);
  if (!feed) return NULL;
  feed->sub.deliver = wwri_feed_deliver;
  feed->sub.verdict = wwri_feed_verdict;
  feed->shard = shard;
  feed->opts = *opts;
  wwri_list_init(&feed->backlog);
  wwri_list_init(&feed->pent);
  wwri_list_init(&feed->full);
  wwri_list_init(&feed->waiting);
  wwri_list_init(&feed->held);
  wwri_timer_init(&feed->linger, linger_over);
  wwri_timer_init(&feed->pace, pace_fired);
  wwri_timer_init(&feed->own_wait, own_wait_over);
  feed->left.shard = shard;
  feed->left.feed = feed;
  feed->left.run = left_here;
  feed->name_len = channel.len;
  memcpy(feed->name, channel.data, channel.len);
  if (wwri_map_insert(&shard->channels.feeds, channel, feed) == WWR_OK) {
    return feed;
  }
  free(feed);
  return NULL;
}

void wwri_feed_forget(struct wwri_feed *feed) {
  feed->state = WWRI_FEED_OVER;
  wwri_map_remove(&feed->shard->channels.feeds, wwri_feed_name(feed));
  wwri_loop_timer_cancel(feed->shard->loop, &feed->linger);
  wwri_loop_timer_cancel(feed->shard->loop, &feed->pace);
  wwri_loop_timer_cancel(feed->shard->loop, &feed->own_wait);
}

void wwri_feed_free(struct wwri_feed *feed) {
  assert(!feed->count && wwri_list_empty(&feed->held));
  assert(wwri_list_empty(&feed->backlog));
  wwri_frame_unref(feed->walk.frame); /* only at the end is there one left */
  free(feed->slots);
  free(feed);
}

static void drop_items(struct wwri_list *items) {
  struct wwri_list *node;
  while ((node = wwri_list_pop(items))) {
    struct wwri_item *item = WWRI_CONTAINER(node, struct wwri_item, node);
    if (item->drop) item->drop(item);
  }
}

static bool free_feed(struct wwr_view name, void *value, void *arg) {
  struct wwri_feed *feed = value;
  (void)name;
  (void)arg;
  drop_items(&feed->backlog);
  wwri_feed_free(feed);
  return true;
}

void wwri_shard_channels_deinit(struct wwri_shard *shard) {
  drop_items(&shard->channels.inflow);
  wwri_map_each(&shard->channels.feeds, free_feed, NULL);
  wwri_map_deinit(&shard->channels.feeds);
}

/* --- Readers -------------------------------------------------------------- */

static size_t reader_count(const struct wwr_conn *conn) {
  return atomic_load_explicit(&conn->channels.count, memory_order_relaxed);
}

/* Where the feed's reader is, or would be. */
static size_t place_of(const struct wwr_conn *conn,
                       const struct wwri_feed *feed) {
  size_t low = 0, high = reader_count(conn);
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((uintptr_t)conn->channels.readers[middle]->feed < (uintptr_t)feed) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

struct wwri_reader *wwri_reader_find(const struct wwr_conn *conn,
                                     const struct wwri_feed *feed) {
  size_t place = place_of(conn, feed);
  if (place == reader_count(conn)) return NULL;
  struct wwri_reader *reader = conn->channels.readers[place];
  return reader->feed == feed ? reader : NULL;
}

static bool make_room(struct wwri_conn_channels *channels, size_t count) {
  if (count < channels->cap) return true;
  size_t cap = channels->cap ? channels->cap * 2 : FIRST_READERS;
  struct wwri_reader **readers =
      realloc(channels->readers, cap * sizeof(struct wwri_reader *));
  if (!readers) return false;
  channels->readers = readers;
  channels->cap = cap;
  return true;
}

struct wwri_reader *wwri_reader_new(struct wwr_conn *conn,
                                    struct wwri_feed *feed) {
  size_t count = reader_count(conn);
  if (!make_room(&conn->channels, count)) return NULL;
  struct wwri_reader *reader = calloc(1, sizeof *reader);
  if (!reader) return NULL;
  reader->refs = 1;
  wwri_list_init(&reader->later);
  wwri_list_init(&reader->full);
  reader->feed = feed;
  reader->conn = conn;
  struct wwri_reader **at = conn->channels.readers + place_of(conn, feed);
  size_t behind = (size_t)(conn->channels.readers + count - at);
  memmove(at + 1, at, behind * sizeof(struct wwri_reader *));
  *at = reader;
  atomic_store(&conn->channels.count, (unsigned)count + 1);
  return reader;
}

void wwri_reader_unref(struct wwri_reader *reader) {
  if (reader && --reader->refs == 0) free(reader);
}

static wwr_err add_slot(struct wwri_feed *feed, struct wwri_reader *reader) {
  if (feed->count == feed->cap) {
    size_t cap = feed->cap ? feed->cap * 2 : FIRST_SLOTS;
    struct wwri_slot *slots = realloc(feed->slots, cap * sizeof *slots);
    if (!slots) return WWR_E_NOMEM;
    feed->slots = slots;
    feed->cap = cap;
  }
  reader->slot = feed->count;
  feed->slots[feed->count++] = (struct wwri_slot){reader->conn, reader};
  return WWR_OK;
}

static size_t move_slot(struct wwri_feed *feed, size_t from, size_t to) {
  if (from == to) return from; /* a hole: who was there has moved */
  feed->slots[to] = feed->slots[from];
  feed->slots[to].reader->slot = to;
  return from;
}

/* The last one fills the hole; but not across the bounds of a walk, between
 * which are those that have got its message, or have not. */
static void remove_slot(struct wwri_feed *feed, size_t hole) {
  struct wwri_walk *walk = &feed->walk;
  bool in_order = walk->start <= walk->at;
  size_t *low = in_order ? &walk->start : &walk->at;
  size_t *high = in_order ? &walk->at : &walk->start;
  if (hole < *low) hole = move_slot(feed, --*low, hole);
  if (hole < *high) hole = move_slot(feed, --*high, hole);
  move_slot(feed, --feed->count, hole);
  if (feed->count) return;
  free(feed->slots); /* a feed that lingers holds no memory of a crowd */
  feed->slots = NULL;
  feed->cap = 0;
}

/* --- Presence ------------------------------------------------------------- */

/* The member's name, to free; *out NULL without one. */
static wwr_err name_of(const struct wwri_reader *reader, char **out) {
  const struct wwri_feed *feed = reader->feed;
  *out = NULL;
  if (!feed->opts.presence) return WWR_OK;
  wwr_err err =
      wwr_conn_session_text(reader->conn, feed->opts.member_field, out);
  if (err == WWR_E_INVALID) return WWR_OK; /* nobody in particular */
  if (err == WWR_OK && strlen(*out) > WWRI_BUS_MEMBER_MAX) {
    free(*out);
    *out = NULL;
  }
  return err;
}

/* Count the connection under its name; out of memory it counts nowhere. */
static wwr_err count_member(struct wwri_reader *reader) {
  struct wwr_server *server = reader->conn->server;
  char *name;
  wwr_err err = name_of(reader, &name);
  if (err != WWR_OK) return err;
  struct wwr_view view = wwr_view_str(name ? name : "");
  if (!reader->row || !wwri_presence_is(reader->row, view)) {
    wwri_presence_drop(server, reader->row);
    reader->row = wwri_presence_add(server, wwri_feed_name(reader->feed), view);
    if (!reader->row) err = WWR_E_NOMEM;
  }
  free(name);
  return err;
}

static bool is_counted(const struct wwri_feed *feed) {
  return feed->opts.counted || feed->opts.presence;
}

static void session_arrived(struct wwri_mail *mail) {
  struct wwr_conn *conn =
      WWRI_CONTAINER(mail, struct wwr_conn, channels.session_mail);
  atomic_store(&conn->channels.session_posted, false);
  for (size_t i = 0; i < reader_count(conn); i++) {
    struct wwri_reader *reader = conn->channels.readers[i];
    if (!reader->live || !reader->feed->opts.presence) continue;
    if (count_member(reader) != WWR_OK) {
      wwri_log(&conn->server->opts.log, WWR_LOG_ERROR, conn->id,
               "out of memory, presence is incomplete", NULL);
    }
  }
  wwr_conn_unref(conn);
}

void wwri_conn_session_changed(struct wwr_conn *conn) {
  struct wwri_conn_channels *channels = &conn->channels;
  /* A reader that begins counts itself before it looks at the session. */
  if (!atomic_load(&channels->members)) return;
  if (atomic_exchange(&channels->session_posted, true)) return;
  channels->session_mail.fn = session_arrived;
  wwr_conn_ref(conn);
  wwri_loop_post(conn->shard->loop, &channels->session_mail);
}

/* --- Beginning and ending ------------------------------------------------- */

wwr_err wwri_reader_begin(struct wwri_reader *reader, struct wwri_logid from) {
  struct wwri_feed *feed = reader->feed;
  wwr_err err = add_slot(feed, reader);
  if (err != WWR_OK) return err;
  reader->live = true;
  reader->from = from;
  if (wwri_logid_compare(from, feed->newest) > 0) feed->newest = from;
  if (!is_counted(feed)) return WWR_OK;
  if (feed->opts.presence) atomic_fetch_add(&reader->conn->channels.members, 1);
  return count_member(reader); /* if it fails, the caller ends the reader */
}

static void end_live(struct wwri_reader *reader) {
  struct wwri_feed *feed = reader->feed;
  reader->live = false;
  wwri_reader_drains(reader);
  remove_slot(feed, reader->slot);
  if (feed->opts.presence) atomic_fetch_sub(&reader->conn->channels.members, 1);
  wwri_presence_drop(reader->conn->server, reader->row);
  reader->row = NULL;
}

void wwri_reader_end(struct wwri_reader *reader, wwr_err err) {
  if (reader->dead) return;
  struct wwr_conn *conn = reader->conn;
  struct wwri_feed *feed = reader->feed;
  size_t count = reader_count(conn);
  struct wwri_reader **at = conn->channels.readers + place_of(conn, feed);
  assert(*at == reader);
  size_t behind = (size_t)(conn->channels.readers + count - at) - 1;
  memmove(at, at + 1, behind * sizeof(struct wwri_reader *));
  atomic_store(&conn->channels.count, (unsigned)count - 1);
  if (reader->live) end_live(reader);
  reader->dead = true;
  reader->err = err;
  wwri_reader_unref(reader);
  wwri_feed_settle(feed);
}

void wwri_channels_leave(struct wwr_conn *conn) {
  size_t count;
  while ((count = reader_count(conn)) > 0) {
    wwri_reader_end(conn->channels.readers[count - 1], WWR_E_DISCONNECTED);
  }
  free(conn->channels.readers);
  conn->channels.readers = NULL;
  conn->channels.cap = 0;
}

size_t wwr_conn_channels(const struct wwr_conn *conn) {
  return atomic_load(&conn->channels.count);
}
