/* Happy path: want -> dirty -> next() sends SUBSCRIBE -> confirmed -> told.
 *
 * Failure modes: a channel that is no longer wanted when its confirmation
 * arrives goes back to dirty and is unsubscribed; one that is wanted again
 * meanwhile just is. A hook may want and unwant anything: walks pop from a list
 * of their own, and a channel that is on a list removes itself from it when it
 * goes. */
#include "subs.h"

#include <stdlib.h>
#include <string.h>

#include "resp.h"

enum sub_state { SUB_OFF, SUB_SUBSCRIBING, SUB_ON, SUB_UNSUBSCRIBING };

struct wwri_redis_sub {
  struct wwri_list in_all;
  struct wwri_list link; /* in dirty or sent */
  const struct wwri_redis_sub_hooks *hooks;
  void *user;
  enum sub_state state;
  bool wanted;
  bool told;    /* on_subscribed was the last word */
  bool alone;   /* a batch with it was refused */
  bool refused; /* until the next connect */
  size_t name_len;
  uint8_t name[];
};

static struct wwr_view name_of(const struct wwri_redis_sub *sub) {
  return (struct wwr_view){sub->name, sub->name_len};
}

void wwri_subs_init(struct wwri_subs *subs, size_t max) {
  memset(subs, 0, sizeof(*subs));
  wwri_map_init(&subs->names);
  wwri_list_init(&subs->all);
  wwri_list_init(&subs->dirty);
  wwri_list_init(&subs->sent);
  subs->max = max;
}

static void forget(struct wwri_subs *subs, struct wwri_redis_sub *sub) {
  wwri_map_remove(&subs->names, name_of(sub));
  wwri_list_remove(&sub->in_all);
  wwri_list_remove(&sub->link);
  free(sub);
}

void wwri_subs_deinit(struct wwri_subs *subs) {
  while (!wwri_list_empty(&subs->all)) {
    forget(subs, WWRI_CONTAINER(subs->all.next, struct wwri_redis_sub, in_all));
  }
  wwri_map_deinit(&subs->names);
}

static bool is_settled(const struct wwri_redis_sub *sub) {
  if (sub->wanted) return sub->state == SUB_ON || sub->refused;
  return sub->state == SUB_OFF;
}

/* No operation is in flight: put it where it belongs. May free it. */
static void review(struct wwri_subs *subs, struct wwri_redis_sub *sub) {
  if (sub->state == SUB_SUBSCRIBING || sub->state == SUB_UNSUBSCRIBING) return;
  wwri_list_remove(&sub->link);
  if (!sub->wanted && sub->state == SUB_OFF) {
    forget(subs, sub);
  } else if (subs->online && !is_settled(sub)) {
    wwri_list_append(&subs->dirty, &sub->link);
  }
}

static struct wwri_redis_sub *new_sub(struct wwr_view channel) {
  struct wwri_redis_sub *sub = calloc(1, sizeof(*sub) + channel.len);
  if (!sub) return NULL;
  wwri_list_init(&sub->in_all);
  wwri_list_init(&sub->link);
  sub->name_len = channel.len;
  memcpy(sub->name, channel.data, channel.len);
  return sub;
}

static wwr_err add(struct wwri_subs *subs, struct wwri_redis_sub **out,
                   struct wwr_view channel) {
  struct wwri_redis_sub *sub = new_sub(channel);
  if (!sub) return WWR_E_NOMEM;
  wwr_err err = wwri_map_insert(&subs->names, channel, sub);
  if (err != WWR_OK) {
    free(sub);
    return err;
  }
  wwri_list_append(&subs->all, &sub->in_all);
  *out = sub;
  return WWR_OK;
}

wwr_err wwri_subs_want(struct wwri_subs *subs, struct wwri_redis_sub **out,
                       struct wwr_view channel,
                       const struct wwri_redis_sub_hooks *hooks, void *user) {
  if (channel.len == 0 || channel.len > WWRI_SUBS_NAME_MAX) {
    return WWR_E_INVALID;
  }
  struct wwri_redis_sub *sub = wwri_map_get(&subs->names, channel);
  if (sub && sub->wanted) return WWR_E_EXISTS;
  if (subs->wanted >= subs->max) return WWR_E_LIMIT;
  if (!sub) {
    wwr_err err = add(subs, &sub, channel);
    if (err != WWR_OK) return err;
  }
  sub->hooks = hooks;
  sub->user = user;
  sub->wanted = true;
  sub->told = sub->refused = false;
  subs->wanted++;
  review(subs, sub);
  /* It is subscribed still: next() tells, because nothing fires in here. */
  if (sub->state == SUB_ON) wwri_list_append(&subs->dirty, &sub->link);
  *out = sub;
  return WWR_OK;
}

void wwri_subs_unwant(struct wwri_subs *subs, struct wwri_redis_sub *sub) {
  sub->wanted = sub->told = false;
  subs->wanted--;
  review(subs, sub);
}

static void tell(struct wwri_subs *subs, struct wwri_redis_sub *sub) {
  if (!subs->live || !sub->wanted || sub->told || sub->state != SUB_ON) return;
  sub->told = true;
  sub->hooks->on_subscribed(sub->user);
}

void wwri_subs_connected(struct wwri_subs *subs) {
  subs->online = true;
  for (struct wwri_list *it = subs->all.next; it != &subs->all; it = it->next) {
    struct wwri_redis_sub *sub =
        WWRI_CONTAINER(it, struct wwri_redis_sub, in_all);
    sub->refused = sub->alone = false;
    review(subs, sub); /* frees none: the unwanted went with the connection */
  }
}

/* Visit every channel that is there now; `visit` may fire hooks. */
static void each(struct wwri_subs *subs,
                 void (*visit)(struct wwri_subs *, struct wwri_redis_sub *)) {
  struct wwri_list todo;
  struct wwri_list *node;
  wwri_list_init(&todo);
  wwri_list_splice(&todo, &subs->all);
  while ((node = wwri_list_pop(&todo))) {
    wwri_list_append(&subs->all, node);
    visit(subs, WWRI_CONTAINER(node, struct wwri_redis_sub, in_all));
  }
}

static void lose(struct wwri_subs *subs, struct wwri_redis_sub *sub) {
  bool told = sub->told;
  sub->told = false;
  sub->state = SUB_OFF;
  wwri_list_remove(&sub->link);
  if (!sub->wanted) {
    forget(subs, sub);
  } else if (told) {
    sub->hooks->on_lost(sub->user);
  }
}

void wwri_subs_disconnected(struct wwri_subs *subs) {
  subs->online = subs->live = false;
  subs->flight_count = 0;
  subs->on = 0;
  each(subs, lose);
}

void wwri_subs_set_live(struct wwri_subs *subs, bool live) {
  subs->live = live;
  if (live) each(subs, tell);
}

/* --- Sending ------------------------------------------------------------ */

static struct wwri_redis_sub *first_dirty(const struct wwri_subs *subs) {
  if (wwri_list_empty(&subs->dirty)) return NULL;
  return WWRI_CONTAINER(subs->dirty.next, struct wwri_redis_sub, link);
}

/* Drop what needs no command from the front; a channel that was unwanted and
 * wanted again before anything was sent is told here. */
static struct wwri_redis_sub *skip_settled(struct wwri_subs *subs) {
  struct wwri_redis_sub *sub;
  while ((sub = first_dirty(subs)) && is_settled(sub)) {
    wwri_list_remove(&sub->link);
    tell(subs, sub);
  }
  return sub;
}

/* How many channels from the front go into one command. */
static unsigned batch_size(const struct wwri_subs *subs, bool subscribe) {
  unsigned count = 0;
  for (struct wwri_list *it = subs->dirty.next;
       it != &subs->dirty && count < WWRI_SUBS_BATCH; it = it->next) {
    const struct wwri_redis_sub *sub =
        WWRI_CONTAINER(it, struct wwri_redis_sub, link);
    if (is_settled(sub) || sub->wanted != subscribe) break;
    if (sub->alone) return count > 0 ? count : 1;
    count++;
  }
  return count;
}

static wwr_err write_batch(struct wwri_subs *subs, struct wwri_buf *out,
                           const char *name, unsigned count) {
  struct wwri_list *it = subs->dirty.next;
  wwr_err err = wwri_resp_begin(out, (size_t)count + 1);
  if (err == WWR_OK) err = wwri_resp_arg(out, wwr_view_str(name));
  for (unsigned i = 0; i < count && err == WWR_OK; i++, it = it->next) {
    err = wwri_resp_arg(
        out, name_of(WWRI_CONTAINER(it, struct wwri_redis_sub, link)));
  }
  return err;
}

static void mark_sent(struct wwri_subs *subs, bool subscribe, unsigned count) {
  unsigned at = (subs->flight_first + subs->flight_count) % WWRI_SUBS_WINDOW;
  subs->flight[at] = (struct wwri_subs_command){subscribe, count, count};
  subs->flight_count++;
  for (unsigned i = 0; i < count; i++) {
    struct wwri_list *node = wwri_list_pop(&subs->dirty);
    struct wwri_redis_sub *sub =
        WWRI_CONTAINER(node, struct wwri_redis_sub, link);
    if (!subscribe) subs->on--;
    sub->state = subscribe ? SUB_SUBSCRIBING : SUB_UNSUBSCRIBING;
    wwri_list_append(&subs->sent, node);
  }
}

wwr_err wwri_subs_next(struct wwri_subs *subs, struct wwri_buf *out,
                       bool *sent) {
  *sent = false;
  struct wwri_redis_sub *first = subs->online ? skip_settled(subs) : NULL;
  if (!first || subs->flight_count == WWRI_SUBS_WINDOW) return WWR_OK;
  bool subscribe = first->wanted;
  unsigned count = batch_size(subs, subscribe);
  size_t before = out->len;
  const char *const names[2][2] = {{"UNSUBSCRIBE", "SUBSCRIBE"},
                                   {"SUNSUBSCRIBE", "SSUBSCRIBE"}};
  wwr_err err = write_batch(subs, out, names[subs->sharded][subscribe], count);
  if (err != WWR_OK) {
    out->len = before;
    return err;
  }
  mark_sent(subs, subscribe, count);
  *sent = true;
  return WWR_OK;
}

const struct wwri_subs_command *wwri_subs_last(const struct wwri_subs *subs) {
  return &subs->flight[(subs->flight_first + subs->flight_count - 1) %
                       WWRI_SUBS_WINDOW];
}

size_t wwri_subs_held(const struct wwri_subs *subs, const struct wwri_list **at,
                      struct wwr_view *names, size_t max) {
  const struct wwri_list *it = *at ? *at : subs->all.next;
  size_t count = 0;
  for (; it != &subs->all && count < max; it = it->next) {
    const struct wwri_redis_sub *sub = WWRI_CONTAINER(
        (struct wwri_list *)(uintptr_t)it, struct wwri_redis_sub, in_all);
    if (sub->state != SUB_OFF) names[count++] = name_of(sub);
  }
  *at = it;
  return count;
}

/* --- What came back ----------------------------------------------------- */

bool wwri_subs_in_flight(const struct wwri_subs *subs) {
  return subs->flight_count > 0;
}

static void command_done(struct wwri_subs *subs) {
  subs->flight_first = (subs->flight_first + 1) % WWRI_SUBS_WINDOW;
  subs->flight_count--;
}

static struct wwri_redis_sub *pop_sent(struct wwri_subs *subs) {
  return WWRI_CONTAINER(wwri_list_pop(&subs->sent), struct wwri_redis_sub,
                        link);
}

wwr_err wwri_subs_confirmed(struct wwri_subs *subs, bool subscribe,
                            struct wwr_view channel) {
  if (subs->flight_count == 0) return WWR_E_PROTOCOL;
  struct wwri_subs_command *command = &subs->flight[subs->flight_first];
  struct wwri_redis_sub *sub =
      WWRI_CONTAINER(subs->sent.next, struct wwri_redis_sub, link);
  if (command->subscribe != subscribe ||
      !wwr_view_equal(name_of(sub), channel)) {
    return WWR_E_PROTOCOL;
  }
  pop_sent(subs);
  if (--command->left == 0) command_done(subs);
  sub->state = subscribe ? SUB_ON : SUB_OFF;
  if (subscribe) subs->on++;
  bool wanted = sub->wanted;
  review(subs, sub); /* may free it when it is not wanted */
  if (wanted) tell(subs, sub);
  return WWR_OK;
}

static void refuse(struct wwri_subs *subs, struct wwri_redis_sub *sub,
                   struct wwr_view why) {
  sub->state = SUB_OFF;
  sub->refused = true;
  bool wanted = sub->wanted;
  review(subs, sub);
  if (wanted) sub->hooks->on_refused(why, sub->user);
}

wwr_err wwri_subs_refused(struct wwri_subs *subs, struct wwr_view why) {
  if (subs->flight_count == 0) return WWR_E_PROTOCOL;
  struct wwri_subs_command command = subs->flight[subs->flight_first];
  /* UNSUBSCRIBE is never refused, nor a command that was begun. */
  if (!command.subscribe || command.left != command.total) {
    return WWR_E_PROTOCOL;
  }
  command_done(subs);
  if (command.total == 1) {
    refuse(subs, pop_sent(subs), why);
    return WWR_OK;
  }
  for (unsigned i = 0; i < command.total; i++) {
    struct wwri_redis_sub *sub = pop_sent(subs);
    sub->state = SUB_OFF;
    sub->alone = true;
    review(subs, sub);
  }
  return WWR_OK;
}

wwr_err wwri_subs_message(struct wwri_subs *subs, struct wwr_view channel,
                          struct wwr_view payload) {
  struct wwri_redis_sub *sub = wwri_map_get(&subs->names, channel);
  if (!sub || sub->state == SUB_OFF || sub->state == SUB_SUBSCRIBING) {
    return WWR_E_PROTOCOL;
  }
  if (sub->told) sub->hooks->on_message(payload, sub->user);
  return WWR_OK;
}
