#include "table.h"

#include <stdlib.h>

#include "client.h"

enum { FIRST_SLOTS = 32 };

wwr_err wwri_call_table_init(struct wwri_call_table *table) {
  table->count = 0;
  table->mask = FIRST_SLOTS - 1;
  table->slots = calloc(FIRST_SLOTS, sizeof *table->slots);
  return table->slots ? WWR_OK : WWR_E_NOMEM;
}

void wwri_call_table_deinit(struct wwri_call_table *table) {
  free(table->slots);
  table->slots = NULL;
}

static struct wwri_call **slot_of(const struct wwri_call_table *table,
                                  uint64_t id) {
  return &table->slots[id & table->mask];
}

static void link_into(struct wwri_call_table *table, struct wwri_call *call) {
  struct wwri_call **slot = slot_of(table, call->id);
  call->chain = *slot;
  *slot = call;
}

static void grow(struct wwri_call_table *table) {
  size_t old_count = table->mask + 1;
  struct wwri_call **old = table->slots;
  struct wwri_call **slots = calloc(2 * old_count, sizeof(struct wwri_call *));
  if (!slots) return;
  table->slots = slots;
  table->mask = 2 * old_count - 1;
  for (size_t i = 0; i < old_count; i++) {
    for (struct wwri_call *call = old[i], *next; call; call = next) {
      next = call->chain;
      link_into(table, call);
    }
  }
  free(old);
}

void wwri_call_table_insert(struct wwri_call_table *table,
                            struct wwri_call *call) {
  if (table->count > table->mask) grow(table);
  link_into(table, call);
  table->count++;
}

struct wwri_call *wwri_call_table_find(const struct wwri_call_table *table,
                                       uint64_t id) {
  struct wwri_call *call = *slot_of(table, id);
  while (call && call->id != id) call = call->chain;
  return call;
}

void wwri_call_table_remove(struct wwri_call_table *table,
                            struct wwri_call *call) {
  struct wwri_call **at = slot_of(table, call->id);
  while (*at && *at != call) at = &(*at)->chain;
  if (!*at) return;
  *at = call->chain;
  table->count--;
}
