/* shards_ask.c - questions about nodes, which every shard knows by itself.
 *
 * Happy path: `nodes` asks all memberships that are ready and unites the rows
 * of each node; `send` goes to the one that knows the boot id.
 *
 * What can go wrong: some don't answer: what the others said counts. A node
 * that does not run on a shard, for it can't reach it, has a row of another. No
 * memory for a row: the whole answer is "no memory". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shards.h"

static struct wwri_shards_bus *bus_of(struct wwr_bus *base) {
  return WWRI_CONTAINER(base, struct wwri_shards_bus, base);
}

/* --- nodes --- */

struct row {
  struct wwri_list node; /* gather->rows */
  struct wwri_bus_node is;
  bool ours;
  char texts[];
};

struct asked {
  struct wwri_bus_op op;
  struct gather *gather;
};

struct gather {
  struct wwri_mail mail;
  struct wwri_shards_bus *bus;
  struct wwri_bus_op *op;
  size_t size;
  size_t left; /* that have not answered */
  wwr_err err; /* of one that could not */
  bool answered, no_memory;
  struct wwri_map by_key;
  struct wwri_list rows;
  size_t count;
  struct asked asked[]; /* one per membership */
};

static struct row *row_of(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct row, node);
}

static char *keep(char **at, const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = memcpy(*at, text, size);
  *at += size;
  return copy;
}

static struct row *row_new(const struct wwri_bus_node *from) {
  size_t size =
      strlen(from->name) + strlen(from->address) + strlen(from->version) + 3;
  struct row *row = malloc(sizeof *row + size);
  if (!row) return NULL;
  char *at = row->texts;
  row->is = *from;
  row->ours = false;
  row->is.name = keep(&at, from->name);
  row->is.address = keep(&at, from->address);
  row->is.version = keep(&at, from->version);
  return row;
}

/* What is one node: its name, address, and when it was started. */
static size_t make_key(char *out, size_t cap,
                       const struct wwri_bus_node *node) {
  int len = snprintf(out, cap, "%s\n%s\n%" PRIu64, node->name, node->address,
                     node->started_ms);
  return (size_t)len < cap ? (size_t)len : cap - 1;
}

/* The row of the beat that is the newest counts. */
static void unite(struct row *row, const struct wwri_bus_node *with) {
  if (with->beat_age_ms >= row->is.beat_age_ms) return;
  row->is.boot = with->boot;
  row->is.beat_age_ms = with->beat_age_ms;
  row->is.connections = with->connections;
  row->is.draining = with->draining;
}

static bool add_row(struct gather *gather, const struct wwri_bus_node *node,
                    bool ours) {
  char text[1024];
  struct wwr_view key = {(const uint8_t *)text,
                         make_key(text, sizeof text, node)};
  struct row *row = wwri_map_get(&gather->by_key, key);
  if (row) {
    unite(row, node);
  } else {
    row = row_new(node);
    if (!row) return false;
    if (wwri_map_insert(&gather->by_key, key, row)) {
      free(row);
      return false;
    }
    wwri_list_append(&gather->rows, &row->node);
    gather->count++;
  }
  if (ours) row->ours = true;
  return true;
}

static void gather_free(struct gather *gather) {
  struct wwri_list *node;
  while ((node = wwri_list_pop(&gather->rows))) free(row_of(node));
  wwri_map_deinit(&gather->by_key);
  wwri_shards_give(gather->bus, gather->size);
  free(gather);
}

/* Ours first, the others as they came. */
static size_t list_rows(struct gather *gather, struct wwri_bus_node *out) {
  size_t count = 0;
  for (int ours = 1; ours >= 0; ours--) {
    struct wwri_list *at = gather->rows.next;
    for (; at != &gather->rows; at = at->next) {
      if (row_of(at)->ours == (ours == 1)) out[count++] = row_of(at)->is;
    }
  }
  return count;
}

static void gather_end(struct gather *gather) {
  struct wwri_bus_op *op = gather->op;
  struct wwri_bus_result result = {.err = gather->err, .certain = true};
  struct wwri_bus_node *nodes = malloc((gather->count + 1) * sizeof *nodes);
  if (!nodes || gather->no_memory) {
    result.err = WWR_E_NOMEM;
  } else if (gather->answered) {
    result.err = WWR_OK;
    result.nodes = nodes;
    result.node_count = list_rows(gather, nodes);
  }
  op->done(op, &result);
  free(nodes);
  gather_free(gather);
}

static void on_nodes(struct wwri_bus_op *op,
                     const struct wwri_bus_result *result) {
  struct asked *asked = WWRI_CONTAINER(op, struct asked, op);
  struct gather *gather = asked->gather;
  size_t index = (size_t)(asked - gather->asked);
  struct wwri_boot own = wwri_member_boot(gather->bus->members[index]);
  if (result->err) {
    gather->err = result->err;
  } else {
    gather->answered = true;
  }
  for (size_t i = 0; i < result->node_count; i++) {
    const struct wwri_bus_node *node = &result->nodes[i];
    if (!node->name[0]) continue; /* lost until its next beat: others know it */
    if (!add_row(gather, node, wwri_boot_equal(node->boot, own))) {
      gather->no_memory = true;
    }
  }
  if (--gather->left == 0) gather_end(gather);
}

/* One that is not ready would keep everybody waiting for the hold time; but
 * somebody is asked: `first`, which is ready if any is. */
static bool is_to_be_asked(const struct wwri_shards_bus *bus, size_t index,
                           size_t first) {
  return index == first ||
         wwri_member_health(bus->members[index], NULL, 0) == WWRI_BUS_READY;
}

static void ask_all(struct wwri_mail *mail) {
  struct gather *gather = WWRI_CONTAINER(mail, struct gather, mail);
  struct wwri_shards_bus *bus = gather->bus;
  size_t first = wwri_shards_ready(bus);
  gather->left = 1; /* until all are asked */
  for (size_t i = 0; i < bus->count; i++) {
    struct asked *asked = &gather->asked[i];
    if (!is_to_be_asked(bus, i, first)) continue;
    *asked = (struct asked){.op = {.done = on_nodes}, .gather = gather};
    wwr_err err = bus->buses[i]->ops->nodes(bus->buses[i], &asked->op);
    if (err) {
      gather->err = err;
    } else {
      gather->left++;
    }
  }
  if (--gather->left == 0) gather_end(gather);
}

wwr_err wwri_shards_nodes(struct wwr_bus *base, struct wwri_bus_op *op) {
  struct wwri_shards_bus *bus = bus_of(base);
  size_t size = sizeof(struct gather) + bus->count * sizeof(struct asked);
  struct gather *gather = malloc(size);
  if (!gather) return WWR_E_NOMEM;
  *gather = (struct gather){
      .mail = {.fn = ask_all}, .bus = bus, .op = op, .size = size};
  wwri_map_init(&gather->by_key);
  wwri_list_init(&gather->rows);
  wwr_err err = wwri_shards_post(bus, &gather->mail, size);
  if (err) free(gather);
  return err;
}

/* --- send --- */

/* Bytes on their way to a node, from shard to shard until one knows it. */
struct relay {
  struct wwri_mail mail;
  struct wwri_shards_bus *bus;
  struct wwri_bus_op *op;
  struct wwri_bus_op inner;
  size_t size;
  size_t at, count; /* of `order` */
  bool unavailable; /* one of those that were tried, or not even tried */
  struct wwri_boot node;
  struct wwr_view topic, bytes;
  uint8_t order[WWRI_SHARDS_MAX]; /* whom to try */
  uint8_t text[];
};

static void relay_end(struct relay *relay, wwr_err err, bool certain) {
  struct wwri_bus_op *op = relay->op;
  const struct wwri_bus_result result = {.err = err, .certain = certain};
  wwri_shards_give(relay->bus, relay->size);
  free(relay);
  op->done(op, &result);
}

static void try_next(struct relay *relay) {
  struct wwri_shards_bus *bus = relay->bus;
  if (relay->at == relay->count) {
    relay_end(relay, relay->unavailable ? WWR_E_UNAVAILABLE : WWR_E_REFUSED,
              true);
    return;
  }
  struct wwr_bus *shard = bus->buses[relay->order[relay->at++]];
  wwr_err err = shard->ops->send(shard, relay->node, relay->topic, relay->bytes,
                                 &relay->inner);
  if (err) relay_end(relay, err, true);
}

static void on_sent(struct wwri_bus_op *inner,
                    const struct wwri_bus_result *result) {
  struct relay *relay = WWRI_CONTAINER(inner, struct relay, inner);
  bool elsewhere = result->err == WWR_E_REFUSED ||
                   (result->err == WWR_E_UNAVAILABLE && result->certain);
  if (!elsewhere) {
    relay_end(relay, result->err, result->certain);
    return;
  }
  if (result->err == WWR_E_UNAVAILABLE) relay->unavailable = true;
  try_next(relay);
}

/* Whoever is not ready may know the node, but would take the hold time. */
static void begin_relay(struct wwri_mail *mail) {
  struct relay *relay = WWRI_CONTAINER(mail, struct relay, mail);
  const struct wwri_shards_bus *bus = relay->bus;
  size_t first = wwri_shards_ready(bus);
  for (size_t i = 0; i < bus->count; i++) {
    if (is_to_be_asked(bus, i, first)) {
      relay->order[relay->count++] = (uint8_t)i;
    } else {
      relay->unavailable = true;
    }
  }
  try_next(relay);
}

wwr_err wwri_shards_send(struct wwr_bus *base, struct wwri_boot node,
                         struct wwr_view topic, struct wwr_view bytes,
                         struct wwri_bus_op *op) {
  struct wwri_shards_bus *bus = bus_of(base);
  wwr_err err = wwri_bus_check_topic(&bus->config, topic, bytes);
  if (err) return err;
  size_t size = sizeof(struct relay) + topic.len + bytes.len;
  struct relay *relay = malloc(size);
  if (!relay) return WWR_E_NOMEM;
  *relay = (struct relay){.mail = {.fn = begin_relay},
                          .bus = bus,
                          .op = op,
                          .inner = {.done = on_sent},
                          .size = size,
                          .node = node,
                          .topic = {relay->text, topic.len},
                          .bytes = {relay->text + topic.len, bytes.len}};
  if (topic.len) memcpy(relay->text, topic.data, topic.len);
  if (bytes.len) memcpy(relay->text + topic.len, bytes.data, bytes.len);
  err = wwri_shards_post(bus, &relay->mail, size);
  if (err) free(relay);
  return err;
}
