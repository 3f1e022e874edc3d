/* map.c - chains of entries in a table that doubles when it is full and halves
 * when it is nearly empty. Removal unlinks and frees: no tombstones.
 *
 * When the table can't grow for want of memory, the chains get longer and the
 * map keeps working; only a new entry's own allocation can fail an insert. */
#include "map.h"

#include <string.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum { MIN_SLOTS = 16 };

struct wwri_map_entry {
  struct wwri_map_entry *next;
  void *value;
  uint64_t hash;
  size_t key_len;
  uint8_t key[];
};

/* SipHash-1-3 by its published definition (Aumasson, Bernstein 2012). */
struct sip {
  uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, unsigned n) {
  return x << n | x >> (64 - n);
}

static void sip_round(struct sip *s) {
  s->v0 += s->v1;
  s->v1 = rotl(s->v1, 13) ^ s->v0;
  s->v0 = rotl(s->v0, 32);
  s->v2 += s->v3;
  s->v3 = rotl(s->v3, 16) ^ s->v2;
  s->v0 += s->v3;
  s->v3 = rotl(s->v3, 21) ^ s->v0;
  s->v2 += s->v1;
  s->v1 = rotl(s->v1, 17) ^ s->v2;
  s->v2 = rotl(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word) {
  s->v3 ^= word;
  sip_round(s);
  s->v0 ^= word;
}

/* Up to 8 bytes; the byte order of the words does not matter for a hash that
 * never leaves the process. */
static uint64_t load(const uint8_t *data, size_t len) {
  uint64_t word = 0;
  if (len) memcpy(&word, data, len);
  return word;
}

static uint64_t hash_key(const uint64_t seed[2], struct wwr_view key) {
  struct sip s = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
                  seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
  size_t left = key.len;
  const uint8_t *data = key.data;
  for (; left >= 8; left -= 8, data += 8) sip_word(&s, load(data, 8));
  sip_word(&s, load(data, left) | (uint64_t)(key.len & 0xff) << 56);
  s.v2 ^= 0xff;
  for (int i = 0; i < 3; i++) sip_round(&s);
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* Without the operating system's random bytes the seed is merely hard to
 * guess (address layout and time); never a reason to refuse service. */
static void make_seed(struct wwri_map *map) {
  ssize_t got = getrandom(map->seed, sizeof map->seed, GRND_NONBLOCK);
  if (got == (ssize_t)sizeof map->seed) return;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  map->seed[0] ^= (uint64_t)(uintptr_t)map->slots * 0x9e3779b97f4a7c15u;
  map->seed[1] ^= (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^
                  (uint64_t)(uintptr_t)map;
}

void wwri_map_init(struct wwri_map *map) {
  *map = (struct wwri_map){0};
}

void wwri_map_deinit(struct wwri_map *map) {
  for (size_t i = 0; i < map->slot_count; i++) {
    struct wwri_map_entry *entry = map->slots[i];
    while (entry) {
      struct wwri_map_entry *next = entry->next;
      free(entry);
      entry = next;
    }
  }
  free(map->slots);
  wwri_map_init(map);
}

static struct wwri_map_entry **slot_of(const struct wwri_map *map,
                                       uint64_t hash) {
  return &map->slots[hash & (map->slot_count - 1)];
}

/* The link that points to the key's entry, or to the NULL that ends its
 * chain. The table must exist. */
static struct wwri_map_entry **find_link(const struct wwri_map *map,
                                         struct wwr_view key, uint64_t hash) {
  struct wwri_map_entry **link = slot_of(map, hash);
  for (; *link; link = &(*link)->next) {
    struct wwr_view have = {(*link)->key, (*link)->key_len};
    if ((*link)->hash == hash && wwr_view_equal(have, key)) break;
  }
  return link;
}

static void move_entries(struct wwri_map *to, const struct wwri_map *from) {
  for (size_t i = 0; i < from->slot_count; i++) {
    struct wwri_map_entry *entry = from->slots[i];
    while (entry) {
      struct wwri_map_entry *next = entry->next;
      struct wwri_map_entry **slot = slot_of(to, entry->hash);
      entry->next = *slot;
      *slot = entry;
      entry = next;
    }
  }
}

static bool resize(struct wwri_map *map, size_t slot_count) {
  struct wwri_map_entry **slots = calloc(slot_count, sizeof *slots);
  if (!slots) return false;
  struct wwri_map old = *map;
  map->slots = slots;
  map->slot_count = slot_count;
  move_entries(map, &old);
  free(old.slots);
  return true;
}

static struct wwri_map_entry *entry_new(struct wwr_view key, uint64_t hash,
                                        void *value) {
  struct wwri_map_entry *entry = malloc(sizeof *entry + key.len);
  if (!entry) return NULL;
  entry->next = NULL;
  entry->value = value;
  entry->hash = hash;
  entry->key_len = key.len;
  if (key.len) memcpy(entry->key, key.data, key.len);
  return entry;
}

void *wwri_map_get(const struct wwri_map *map, struct wwr_view key) {
  if (!map->slots) return NULL;
  struct wwri_map_entry *entry = *find_link(map, key, hash_key(map->seed, key));
  return entry ? entry->value : NULL;
}

wwr_err wwri_map_insert(struct wwri_map *map, struct wwr_view key,
                        void *value) {
  if (!map->slots) {
    if (!resize(map, MIN_SLOTS)) return WWR_E_NOMEM;
    make_seed(map);
  }
  uint64_t hash = hash_key(map->seed, key);
  if (*find_link(map, key, hash)) return WWR_E_EXISTS;
  struct wwri_map_entry *entry = entry_new(key, hash, value);
  if (!entry) return WWR_E_NOMEM;
  if (map->count >= map->slot_count) resize(map, map->slot_count * 2);
  struct wwri_map_entry **slot = slot_of(map, hash);
  entry->next = *slot;
  *slot = entry;
  map->count++;
  return WWR_OK;
}

void *wwri_map_remove(struct wwri_map *map, struct wwr_view key) {
  if (!map->slots) return NULL;
  struct wwri_map_entry **link = find_link(map, key, hash_key(map->seed, key));
  struct wwri_map_entry *entry = *link;
  if (!entry) return NULL;
  void *value = entry->value;
  *link = entry->next;
  free(entry);
  map->count--;
  if (map->slot_count > MIN_SLOTS && map->count < map->slot_count / 8) {
    resize(map, map->slot_count / 2);
  }
  return value;
}

void wwri_map_each(const struct wwri_map *map,
                   bool (*visit)(struct wwr_view key, void *value, void *arg),
                   void *arg) {
  for (size_t i = 0; i < map->slot_count; i++) {
    const struct wwri_map_entry *entry = map->slots[i];
    for (; entry; entry = entry->next) {
      struct wwr_view key = {entry->key, entry->key_len};
      if (!visit(key, entry->value, arg)) return;
    }
  }
}

static size_t reversed(size_t bits) {
  size_t out = 0;
  for (unsigned i = 0; i < sizeof bits * 8; i++, bits >>= 1) {
    out = out << 1 | (bits & 1);
  }
  return out;
}

/* Counts from the highest bit of a slot's number down: the slots that one was
 * split into, or merged with, when the table was resized are neighbours, so
 * none that has not been visited is skipped. */
size_t wwri_map_scan(const struct wwri_map *map, size_t cursor,
                     void (*visit)(struct wwr_view key, void *value, void *arg),
                     void *arg) {
  if (!map->slots) return 0;
  size_t mask = map->slot_count - 1;
  const struct wwri_map_entry *entry = map->slots[cursor & mask];
  for (; entry; entry = entry->next) {
    struct wwr_view key = {entry->key, entry->key_len};
    visit(key, entry->value, arg);
  }
  return reversed(reversed(cursor | ~mask) + 1);
}
