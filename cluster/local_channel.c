/* local_channel.c - the channels of the local bus, with their logs and members.
 * All of it on the bus thread. */
#include "local_impl.h"

#include <stdlib.h>
#include <string.h>

/* One sweep costs at most this; a log that is cut shorter is cut in steps. */
enum {
  SWEEP_MS = 100,
  SWEEP_CHANNELS = 256,
  SWEEP_ENTRIES = 4096,
  DROP_AT_ONCE = 8
};

static struct wwr_view name_of(const struct local_channel *channel) {
  return (struct wwr_view){channel->name, channel->name_len};
}

static struct local_entry *entry_of(const struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct local_entry, node);
}

static struct local_member *member_of(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct local_member, node);
}

struct local_channel *wwri_local_find(struct local_bus *bus,
                                      struct wwr_view name) {
  return wwri_map_get(&bus->run.by_name, name);
}

/* A channel that was dropped begins anew with a larger epoch: no id is used
 * twice. */
static struct local_channel *channel_new(struct local_bus *bus,
                                         struct wwr_view name) {
  struct local_channel *channel = malloc(sizeof *channel + name.len);
  if (!channel) return NULL;
  *channel = (struct local_channel){.name_len = name.len};
  memcpy(channel->name, name.data, name.len);
  if (wwri_map_insert(&bus->run.by_name, name, channel)) {
    free(channel);
    return NULL;
  }
  channel->last.epoch = ++bus->run.next_epoch;
  wwri_list_init(&channel->log);
  wwri_list_init(&channel->subs);
  wwri_list_init(&channel->members);
  wwri_map_init(&channel->member_by_name);
  wwri_list_append(&bus->run.channels, &channel->node);
  return channel;
}

struct local_channel *wwri_local_make(struct local_bus *bus,
                                      struct wwr_view name) {
  struct local_channel *channel = wwri_local_find(bus, name);
  return channel ? channel : channel_new(bus, name);
}

/* --- logs --- */

static void drop(struct local_bus *bus, struct local_entry *entry) {
  wwri_list_remove(&entry->node);
  wwri_list_remove(&entry->by_age);
  entry->owner->log_count--;
  bus->run.log_bytes -= entry->copy.size;
  free(entry);
}

void wwri_local_keep(struct local_bus *bus, struct local_channel *channel,
                     struct local_entry *entry) {
  entry->owner = channel;
  entry->clock_ms = bus->run.clock_ms;
  channel->limit = entry->limit;
  wwri_list_append(&channel->log, &entry->node);
  wwri_list_append(&bus->run.by_age, &entry->by_age);
  channel->log_count++;
  bus->run.log_bytes += entry->copy.size;
  for (int i = 0;
       i < DROP_AT_ONCE && channel->log_count > channel->limit.entries; i++) {
    drop(bus, entry_of(channel->log.next));
  }
  while (bus->run.log_bytes > bus->config.max_log_bytes) {
    drop(bus, WWRI_CONTAINER(bus->run.by_age.next, struct local_entry, by_age));
  }
}

static bool too_old(const struct local_bus *bus,
                    const struct local_channel *channel,
                    const struct local_entry *entry) {
  return bus->run.clock_ms - entry->clock_ms >= channel->limit.age_ms;
}

/* Dropping is lazy, so what is beyond the limits may still be there. */
static size_t count_last(const struct local_bus *bus,
                         const struct local_channel *channel,
                         const struct wwri_list *node, size_t most) {
  size_t count = 0;
  if (most > WWRI_HISTORY_MAX) most = WWRI_HISTORY_MAX;
  for (; count < most && node != &channel->log; node = node->prev) {
    if (too_old(bus, channel, entry_of(node))) break;
    count++;
  }
  return count;
}

/* The last entry before a place, {0, 0}: of all; and how many stand behind it.
 */
static const struct wwri_list *find_before(const struct local_channel *channel,
                                           struct wwri_logid before,
                                           size_t *behind) {
  const struct wwri_list *node = channel->log.prev;
  *behind = 0;
  if (wwri_logid_none(before)) return node;
  for (; node != &channel->log; node = node->prev) {
    if (wwri_logid_compare(entry_of(node)->message.id, before) < 0) break;
    (*behind)++;
  }
  return node;
}

wwr_err wwri_local_last(const struct local_bus *bus,
                        const struct local_channel *channel,
                        struct wwri_logid before, uint32_t count,
                        struct wwri_bus_message **out, size_t *out_count) {
  size_t behind, limit = channel->limit.entries;
  const struct wwri_list *node = find_before(channel, before, &behind);
  *out = NULL;
  *out_count = 0;
  if (behind >= limit) return WWR_OK;
  if (count > limit - behind) count = (uint32_t)(limit - behind);
  size_t found = count_last(bus, channel, node, count);
  if (found == 0) return WWR_OK;
  struct wwri_bus_message *messages = malloc(found * sizeof *messages);
  if (!messages) return WWR_E_NOMEM;
  for (size_t i = found; i > 0; i--, node = node->prev) {
    messages[i - 1] = entry_of(node)->message;
  }
  *out = messages;
  *out_count = found;
  return WWR_OK;
}

/* --- members --- */

static void member_free(struct local_member *member) {
  free(member->info_from);
  free(member);
}

void wwri_local_member_remove(struct local_channel *channel,
                              struct wwr_view name) {
  struct local_member *member = wwri_map_remove(&channel->member_by_name, name);
  if (!member) return;
  channel->connections -= member->member.connections;
  wwri_list_remove(&member->node);
  member_free(member);
}

static void member_change(struct local_member *member,
                          struct local_member *fresh) {
  member->member.connections = fresh->member.connections;
  if (wwr_view_equal(member->member.info, fresh->member.info)) {
    free(fresh);
    return;
  }
  free(member->info_from);
  member->info_from = fresh;
  member->member.info = fresh->member.info;
}

wwr_err wwri_local_member_set(struct local_channel *channel,
                              struct local_member *member) {
  struct wwr_view name = member->member.member;
  struct local_member *old = wwri_map_get(&channel->member_by_name, name);
  uint32_t before = old ? old->member.connections : 0;
  uint32_t now = member->member.connections;
  if (old) {
    member_change(old, member);
  } else {
    wwr_err err = wwri_map_insert(&channel->member_by_name, name, member);
    if (err) return err;
    wwri_list_append(&channel->members, &member->node);
  }
  channel->connections = channel->connections - before + now;
  return WWR_OK;
}

/* --- the end of channels --- */

static void channel_free(struct local_bus *bus, struct local_channel *channel) {
  struct wwri_list *node;
  while (channel->log_count) drop(bus, entry_of(channel->log.next));
  while ((node = wwri_list_pop(&channel->subs))) {
    struct wwri_bus_sub *sub = WWRI_CONTAINER(node, struct wwri_bus_sub, node);
    sub->channel = NULL;
    sub->joined = false;
  }
  while ((node = wwri_list_pop(&channel->members))) {
    member_free(member_of(node));
  }
  wwri_map_deinit(&channel->member_by_name);
  wwri_map_remove(&bus->run.by_name, name_of(channel));
  wwri_list_remove(&channel->node);
  free(channel);
}

static bool unused(const struct local_channel *channel) {
  return channel->log_count == 0 && wwri_list_empty(&channel->subs) &&
         wwri_list_empty(&channel->members);
}

void wwri_local_sweep(struct local_bus *bus) {
  if (bus->run.clock_ms < bus->run.sweep_at_ms) return;
  bus->run.sweep_at_ms = bus->run.clock_ms + SWEEP_MS;
  size_t channels = bus->run.by_name.count, entries = SWEEP_ENTRIES;
  if (channels > SWEEP_CHANNELS) channels = SWEEP_CHANNELS;
  for (; channels > 0 && entries > 0; channels--) {
    struct local_channel *channel = WWRI_CONTAINER(
        wwri_list_pop(&bus->run.channels), struct local_channel, node);
    wwri_list_append(&bus->run.channels, &channel->node);
    while (entries > 0 && channel->log_count &&
           too_old(bus, channel, entry_of(channel->log.next))) {
      drop(bus, entry_of(channel->log.next));
      entries--;
    }
    if (unused(channel)) channel_free(bus, channel);
  }
}

void wwri_local_clear(struct local_bus *bus) {
  while (!wwri_list_empty(&bus->run.channels)) {
    channel_free(bus, WWRI_CONTAINER(bus->run.channels.next,
                                     struct local_channel, node));
  }
}
