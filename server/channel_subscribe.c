/* Subscribing and unsubscribing connections.
 *
 * Happy path: the call goes to the connection's loop -> its feed is found or
 * made -> the first asks the bus to subscribe, others to join, or they wait
 * until the feed is up -> the bus's answer comes back as an item, in its place
 * among the messages -> the reader begins, then `done` runs: whatever the bus
 * delivered after its answer follows.
 *
 * Failures: whatever the bus says ends the reader and everybody who waited for
 * the same answer. Who unsubscribes or leaves meanwhile is told when the answer
 * comes. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct wwri_subscription {
  struct wwri_mail mail; /* the call, to the connection's loop */
  struct wwri_item item; /* the answer */
  struct wwri_bus_op op;
  struct wwri_list node;      /* in the feed's `waiting` */
  struct wwr_conn *conn;      /* a reference */
  struct wwri_feed *feed;     /* loop thread, from here on */
  struct wwri_reader *reader; /* a reference */
  struct wwr_channel_opts opts;
  uint32_t history;
  bool opens; /* by its answer the feed is up, or over */
  bool again; /* the reader was there before; it waits for the first */
  bool holds; /* accept-conf */
  bool stands;
  wwr_err err;
  struct wwri_logid from;
  struct wwri_messages *messages;
  wwr_subscribe_done done;
  void *user_data;
  size_t name_len;
  uint8_t name[];
};

static struct wwri_subscription *of_node(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_subscription, node);
}

static struct wwr_view name_of(const struct wwri_subscription *sub) {
  return (struct wwr_view){sub->name, sub->name_len};
}

static struct wwr_bus *bus_of(const struct wwri_subscription *sub) {
  return sub->conn->server->channels.bus;
}

static void sub_free(struct wwri_subscription *sub) {
  struct wwr_server *server = sub->conn->server;
  atomic_fetch_sub(&sub->conn->channels.calls, 1);
  wwri_reader_unref(sub->reader);
  wwr_conn_unref(sub->conn);
  free(sub->messages);
  free(sub);
  wwri_channels_call_end(server);
}

/* --- The answer ----------------------------------------------------------- */

static void settle_reader(struct wwri_subscription *sub) {
  struct wwri_reader *reader = sub->reader;
  if (reader->dead) {
    sub->err = reader->err;
  } else if (!sub->again) {
    if (sub->err == WWR_OK) sub->err = wwri_reader_begin(reader, sub->from);
    if (sub->err != WWR_OK) wwri_reader_end(reader, sub->err);
  }
}

/* Tells; frees it. */
static void tell(struct wwri_subscription *sub) {
  static const struct wwri_messages none;
  struct wwr_conn *conn = sub->conn;
  const struct wwri_messages *messages = &none;
  if (sub->err == WWR_OK && sub->messages) messages = sub->messages;
  if (sub->done) {
    sub->done(conn, sub->err, messages->items, messages->count, sub->user_data);
  }
  if (sub->holds && --conn->channels.holding == 0) wwri_conn_talk(conn);
  sub_free(sub);
}

static void finish(struct wwri_subscription *sub) {
  struct wwri_reader *reader = sub->reader;
  struct wwri_list *node;
  if (sub->again) {
    if (!reader->live && !reader->dead) {
      wwri_list_append(&reader->later, &sub->node);
      return;
    }
    settle_reader(sub);
    tell(sub);
    return;
  }
  reader->refs++;
  settle_reader(sub);
  tell(sub);
  while ((node = wwri_list_pop(&reader->later))) finish(of_node(node));
  wwri_reader_unref(reader);
}

static void finish_with(struct wwri_subscription *sub, wwr_err err) {
  sub->err = err;
  finish(sub);
}

static void fail_waiting(struct wwri_feed *feed, wwr_err err) {
  struct wwri_list *node;
  while ((node = wwri_list_pop(&feed->waiting))) {
    finish_with(of_node(node), err);
  }
}

/* It was forgotten, so that nobody finds it meanwhile. */
static void fail_feed(struct wwri_feed *feed, wwr_err err) {
  fail_waiting(feed, err);
  wwri_feed_free(feed);
}

static void on_answer(struct wwri_bus_op *op,
                      const struct wwri_bus_result *result);

static wwr_err join(struct wwri_subscription *sub) {
  struct wwri_feed *feed = sub->feed;
  struct wwr_bus *bus = bus_of(sub);
  sub->op = (struct wwri_bus_op){.done = on_answer, .user = sub};
  sub->item.feed = feed;
  wwr_err err = bus->ops->join(bus, &feed->sub, sub->history, &sub->op);
  if (err == WWR_OK) feed->open++;
  return err;
}

static wwr_err open_feed(struct wwri_subscription *sub) {
  struct wwri_feed *feed = sub->feed;
  struct wwr_bus *bus = bus_of(sub);
  sub->op = (struct wwri_bus_op){.done = on_answer, .user = sub};
  sub->item.feed = feed;
  wwr_err err = bus->ops->subscribe(bus, wwri_feed_name(feed), &feed->sub,
                                    sub->history, &sub->op);
  if (err != WWR_OK) return err;
  sub->opens = true;
  feed->state = WWRI_FEED_OPENING;
  return WWR_OK;
}

static void feed_is_up(struct wwri_subscription *sub) {
  struct wwri_feed *feed = sub->feed;
  struct wwri_list *node;
  struct wwri_list waiting;
  feed->state = WWRI_FEED_UP;
  feed->last = sub->from;
  finish(sub);
  wwri_list_init(&waiting); /* `done` functions may add others */
  wwri_list_splice(&waiting, &feed->waiting);
  while ((node = wwri_list_pop(&waiting))) {
    wwr_err err = join(of_node(node));
    if (err != WWR_OK) finish_with(of_node(node), err);
  }
  wwri_feed_settle(feed);
}

static void answer_here(struct wwri_item *item) {
  struct wwri_subscription *sub =
      WWRI_CONTAINER(item, struct wwri_subscription, item);
  struct wwri_feed *feed = sub->feed;
  if (!sub->opens) {
    feed->open--;
    finish(sub);
    wwri_feed_settle(feed);
  } else if (sub->stands) {
    feed_is_up(sub);
  } else {
    wwr_err err = sub->err;
    wwri_feed_forget(feed);
    finish(sub);
    fail_feed(feed, err);
  }
}

static void on_answer(struct wwri_bus_op *op,
                      const struct wwri_bus_result *result) {
  struct wwri_subscription *sub = op->user;
  sub->err = result->err;
  sub->stands = result->err == WWR_OK;
  sub->from = result->id;
  if (sub->stands && result->message_count) {
    sub->messages = wwri_messages_copy(result->messages, result->message_count);
    if (!sub->messages) sub->err = WWR_E_NOMEM;
  }
  wwri_item_send(&sub->item);
}

/* --- A feed that left ----------------------------------------------------- */

/* Drops those that nobody wants any more. */
static struct wwri_subscription *next_waiting(struct wwri_feed *feed) {
  struct wwri_list *node;
  while ((node = wwri_list_pop(&feed->waiting))) {
    struct wwri_subscription *sub = of_node(node);
    if (!sub->reader->dead) return sub;
    finish(sub);
  }
  return NULL;
}

void wwri_feed_left(struct wwri_feed *feed, wwr_err err) {
  if (err != WWR_OK) { /* a bus that closes has it until it is closed */
    fail_waiting(feed, err);
    return;
  }
  wwri_feed_unpressed(feed);
  struct wwri_subscription *sub = next_waiting(feed);
  err = sub ? open_feed(sub) : WWR_OK;
  if (sub && err == WWR_OK) return;
  wwri_feed_forget(feed);
  if (sub) finish_with(sub, err);
  fail_feed(feed, err);
}

/* --- The call ------------------------------------------------------------- */

/* Ask the bus, or wait until it may be asked. */
static wwr_err ask(struct wwri_subscription *sub) {
  struct wwri_feed *feed = sub->feed;
  switch (feed->state) {
    case WWRI_FEED_NEW:
      return open_feed(sub);
    case WWRI_FEED_UP:
      return join(sub);
    default:
      wwri_list_append(&feed->waiting, &sub->node);
      return WWR_OK;
  }
}

static wwr_err find_place(struct wwri_subscription *sub) {
  struct wwr_conn *conn = sub->conn;
  struct wwri_shard *shard = conn->shard;
  sub->feed = wwri_feed_find(shard, name_of(sub));
  sub->reader = sub->feed ? wwri_reader_find(conn, sub->feed) : NULL;
  sub->again = sub->reader != NULL;
  if (!sub->again) {
    if (wwr_conn_channels(conn) >=
        wwri_limit(&conn->server->limits.conn_channels)) {
      return WWR_E_LIMIT;
    }
    if (!sub->feed) {
      sub->feed = wwri_feed_new(shard, name_of(sub), &sub->opts);
      if (!sub->feed) return WWR_E_NOMEM;
    }
    sub->reader = wwri_reader_new(conn, sub->feed);
    if (!sub->reader) return WWR_E_NOMEM;
  }
  sub->reader->refs++;
  return WWR_OK;
}

/* Nothing was asked of the bus: it was not there. */
static void undo(struct wwri_subscription *sub, wwr_err err) {
  struct wwri_feed *feed = sub->feed;
  if (sub->reader && !sub->again) wwri_reader_end(sub->reader, err);
  if (!feed || feed->state != WWRI_FEED_NEW) return;
  wwri_feed_forget(feed);
  wwri_feed_free(feed);
}

/* With an error nothing has changed, and the subscription is the caller's. */
static wwr_err begin(struct wwri_subscription *sub) {
  struct wwr_conn *conn = sub->conn;
  if (!conn->pipe || conn->state == WWRI_CONN_CLOSING) {
    return WWR_E_DISCONNECTED;
  }
  wwr_err err = find_place(sub);
  if (err == WWR_OK) err = ask(sub);
  if (err != WWR_OK) {
    undo(sub, err);
    return err;
  }
  sub->holds = conn->state == WWRI_CONN_CONNECTING;
  if (sub->holds) conn->channels.holding++;
  return WWR_OK;
}

static void call_arrived(struct wwri_mail *mail) {
  struct wwri_subscription *sub =
      WWRI_CONTAINER(mail, struct wwri_subscription, mail);
  wwr_err err = begin(sub);
  if (err == WWR_OK) return;
  if (sub->done) sub->done(sub->conn, err, NULL, 0, sub->user_data);
  sub_free(sub);
}

static struct wwri_subscription *sub_new(struct wwr_conn *conn,
                                         struct wwr_view channel) {
  struct wwri_subscription *sub = calloc(1, sizeof *sub + channel.len);
  if (!sub) return NULL;
  sub->mail.fn = call_arrived;
  sub->item.shard = conn->shard;
  sub->item.run = answer_here;
  sub->conn = wwr_conn_ref(conn);
  sub->name_len = channel.len;
  memcpy(sub->name, channel.data, channel.len);
  wwri_channel_opts(conn->server, channel, &sub->opts);
  wwri_channels_call_begin(conn->server);
  return sub;
}

/* As many calls as channels may be under way. */
static bool take_call(struct wwr_conn *conn) {
  unsigned max = wwri_limit(&conn->server->limits.conn_channels);
  if (atomic_fetch_add(&conn->channels.calls, 1) < max) return true;
  atomic_fetch_sub(&conn->channels.calls, 1);
  return false;
}

wwr_err wwr_conn_subscribe(struct wwr_conn *conn, struct wwr_view channel,
                           uint32_t history, wwr_subscribe_done done,
                           void *user_data) {
  wwr_err err = wwri_channels_check(conn->server, channel);
  if (err != WWR_OK) return err;
  if (history > WWRI_HISTORY_MAX) return WWR_E_INVALID;
  if (atomic_load(&conn->closing)) return WWR_E_DISCONNECTED;
  if (!take_call(conn)) return WWR_E_LIMIT;
  struct wwri_subscription *sub = sub_new(conn, channel);
  if (!sub) {
    atomic_fetch_sub(&conn->channels.calls, 1);
    return WWR_E_NOMEM;
  }
  sub->history = history;
  sub->done = done;
  sub->user_data = user_data;
  if (!wwri_loop_is_current(conn->shard->loop)) {
    wwri_loop_post(conn->shard->loop, &sub->mail);
    return WWR_OK;
  }
  err = begin(sub);
  if (err != WWR_OK) sub_free(sub);
  return err;
}

bool wwr_conn_channel_place(const struct wwr_conn *conn,
                            struct wwr_view channel,
                            struct wwr_channel_id *out) {
  *out = (struct wwr_channel_id){0, 0};
  if (!wwri_loop_is_current(conn->shard->loop)) return false;
  struct wwri_feed *feed = wwri_feed_find(conn->shard, channel);
  const struct wwri_reader *reader = feed ? wwri_reader_find(conn, feed) : NULL;
  if (!reader || !reader->live) return false;
  /* Who came while messages waited here gets those from its own place on. */
  bool ahead = wwri_logid_compare(reader->from, feed->last) > 0;
  const struct wwri_logid *last = ahead ? &reader->from : &feed->last;
  *out = (struct wwr_channel_id){last->epoch, last->offset};
  return true;
}

/* --- The end -------------------------------------------------------------- */

struct parting {
  struct wwri_mail mail;
  struct wwr_conn *conn; /* a reference */
  size_t name_len;
  uint8_t name[];
};

static void unsubscribe_here(struct wwr_conn *conn, struct wwr_view channel) {
  struct wwri_feed *feed = wwri_feed_find(conn->shard, channel);
  struct wwri_reader *reader = feed ? wwri_reader_find(conn, feed) : NULL;
  if (reader) wwri_reader_end(reader, WWR_E_CANCELED);
}

static void parting_arrived(struct wwri_mail *mail) {
  struct parting *parting = WWRI_CONTAINER(mail, struct parting, mail);
  struct wwr_view name = {parting->name, parting->name_len};
  unsubscribe_here(parting->conn, name);
  wwr_conn_unref(parting->conn);
  free(parting);
}

wwr_err wwr_conn_unsubscribe(struct wwr_conn *conn, struct wwr_view channel) {
  if (!wwri_channel_name_ok(channel)) return WWR_E_INVALID;
  if (wwri_loop_is_current(conn->shard->loop)) {
    unsubscribe_here(conn, channel);
    return WWR_OK;
  }
  if (atomic_load(&conn->gone)) return WWR_OK;
  struct parting *parting = malloc(sizeof *parting + channel.len);
  if (!parting) return WWR_E_NOMEM;
  parting->mail.fn = parting_arrived;
  parting->conn = wwr_conn_ref(conn);
  parting->name_len = channel.len;
  memcpy(parting->name, channel.data, channel.len);
  wwri_loop_post(conn->shard->loop, &parting->mail);
  return WWR_OK;
}
