/* The map against a model: an array indexed by the key's number. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "map.h"
#include "rng.h"
#include "test.h"

enum { KEYS = 3000, OPERATIONS = 200000 };

static struct wwr_view key_of(unsigned number, char *text, size_t cap) {
  /* Lengths 0 to 20: shorter and longer than a hash word, with NULs inside. */
  if (number == 0) return (struct wwr_view){0};
  int len = snprintf(text, cap, "%u-%.*s", number, (int)(number % 16),
                     "abcdefghijklmnop");
  if (number % 3 == 0) text[0] = '\0';
  if (number % 3 == 0) text[1] = (char)(number >> 8);
  if (number % 3 == 0) text[2] = (char)number;
  return (struct wwr_view){(const uint8_t *)text, len < 3 ? 3 : (size_t)len};
}

struct model {
  struct wwri_map map;
  char values[KEYS]; /* an address for each key */
  bool present[KEYS];
  size_t count;
};

static void *value_of(struct model *model, unsigned number) {
  return &model->values[number];
}

static void step(struct model *model, unsigned number, unsigned operation) {
  char text[40] = {0};
  struct wwr_view key = key_of(number, text, sizeof text);
  bool present = model->present[number];
  void *value = value_of(model, number);
  if (operation == 0) {
    CU_ASSERT_PTR_EQUAL(wwri_map_get(&model->map, key), present ? value : NULL);
  } else if (operation == 1) {
    wwr_err err = wwri_map_insert(&model->map, key, value);
    CU_ASSERT_EQUAL(err, present ? WWR_E_EXISTS : WWR_OK);
    model->count += !present;
    model->present[number] = true;
  } else {
    CU_ASSERT_PTR_EQUAL(wwri_map_remove(&model->map, key),
                        present ? value : NULL);
    model->count -= present;
    model->present[number] = false;
  }
  CU_ASSERT_EQUAL(model->map.count, model->count);
}

static bool count_entry(struct wwr_view key, void *value, void *arg) {
  struct model *model = arg;
  unsigned number = (unsigned)((char *)value - model->values);
  char text[40] = {0};
  CU_ASSERT_TRUE(number < KEYS && model->present[number]);
  CU_ASSERT_TRUE(wwr_view_equal(key, key_of(number, text, sizeof text)));
  model->present[number] = false; /* so that a second visit fails */
  return true;
}

static void random_operations_match_the_model(void) {
  struct model *model = calloc(1, sizeof *model);
  CU_ASSERT_PTR_NOT_NULL_FATAL(model);
  struct rng rng = {20261122};
  wwri_map_init(&model->map);
  for (int i = 0; i < OPERATIONS; i++) {
    /* Phases that mostly insert and phases that mostly remove. */
    unsigned bias = (i / 20000) % 2 ? 2 : 1;
    unsigned operation = (unsigned)rng_below(&rng, 4);
    step(model, (unsigned)rng_below(&rng, KEYS),
         operation == 3 ? bias : operation);
  }
  size_t before = model->count;
  wwri_map_each(&model->map, count_entry, model);
  for (int i = 0; i < KEYS; i++) CU_ASSERT_FALSE(model->present[i]);
  CU_ASSERT_EQUAL(model->map.count, before);
  wwri_map_deinit(&model->map);
  CU_ASSERT_EQUAL(model->map.count, 0);
  free(model);
}

static size_t longest_table(struct wwri_map *map, unsigned rounds) {
  size_t longest = 0;
  char text[40];
  for (unsigned i = 1; i <= rounds; i++) {
    struct wwr_view key = key_of(i, text, sizeof text);
    CU_ASSERT_EQUAL(wwri_map_insert(map, key, map), WWR_OK);
    if (i > 100) wwri_map_remove(map, key_of(i - 100, text, sizeof text));
    if (map->slot_count > longest) longest = map->slot_count;
  }
  return longest;
}

/* 100 live keys out of 100000 that came and went: the table must not grow. */
static void removal_does_not_degrade(void) {
  struct wwri_map map;
  wwri_map_init(&map);
  CU_ASSERT_TRUE(longest_table(&map, 65000) <= 256);
  CU_ASSERT_EQUAL(map.count, 100);
  wwri_map_deinit(&map);
}

static void tables_shrink(void) {
  struct wwri_map map;
  char text[40];
  wwri_map_init(&map);
  for (unsigned i = 1; i <= KEYS; i++) {
    struct wwr_view key = key_of(i, text, sizeof text);
    CU_ASSERT_EQUAL(wwri_map_insert(&map, key, &map), WWR_OK);
  }
  CU_ASSERT_TRUE(map.slot_count >= KEYS / 2);
  for (unsigned i = 1; i <= KEYS; i++) {
    CU_ASSERT_PTR_EQUAL(wwri_map_remove(&map, key_of(i, text, sizeof text)),
                        &map);
  }
  CU_ASSERT_TRUE(map.slot_count <= 32);
  wwri_map_deinit(&map);
}

static void empty_maps_are_harmless(void) {
  struct wwri_map map;
  wwri_map_init(&map);
  CU_ASSERT_PTR_NULL(wwri_map_get(&map, wwr_view_str("a")));
  CU_ASSERT_PTR_NULL(wwri_map_remove(&map, wwr_view_str("a")));
  wwri_map_each(&map, NULL, NULL);
  wwri_map_deinit(&map);
  wwri_map_deinit(&map);
}

/* The linker sends the map's getrandom() here. */
ssize_t __real_getrandom(void *bytes, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *bytes, size_t len, unsigned flags);
static bool no_random_bytes;

ssize_t __wrap_getrandom(void *bytes, size_t len, unsigned flags) {
  return no_random_bytes ? -1 : __real_getrandom(bytes, len, flags);
}

static bool stop_at_first(struct wwr_view key, void *value, void *arg) {
  (void)key;
  (void)value;
  *(int *)arg += 1;
  return false;
}

static void visiting_can_stop(void) {
  struct wwri_map map;
  int visits = 0;
  wwri_map_init(&map);
  CU_ASSERT_EQUAL(wwri_map_insert(&map, wwr_view_str("a"), &map), WWR_OK);
  CU_ASSERT_EQUAL(wwri_map_insert(&map, wwr_view_str("b"), &map), WWR_OK);
  wwri_map_each(&map, stop_at_first, &visits);
  CU_ASSERT_EQUAL(visits, 1);
  wwri_map_deinit(&map);
}

static void note_visit(struct wwr_view key, void *value, void *arg) {
  unsigned char *visited = arg;
  (void)key;
  visited[*(unsigned *)value]++;
}

/* Half of the entries stay, while so many others come and go that the table
 * grows and shrinks several times during one scan. */
static void scans_find_what_stays(void) {
  static unsigned numbers[KEYS];
  struct wwri_map map;
  char text[40];
  struct rng rng = {7};
  for (int round = 0; round < 8; round++) {
    unsigned char visited[KEYS] = {0};
    unsigned stay = 1 + (unsigned)rng_below(&rng, 200);
    wwri_map_init(&map);
    for (unsigned i = 0; i < stay; i++) {
      numbers[i] = i;
      CU_ASSERT_EQUAL(
          wwri_map_insert(&map, key_of(i, text, sizeof text), &numbers[i]),
          WWR_OK);
    }
    size_t cursor = 0;
    do {
      unsigned from = stay + (unsigned)rng_below(&rng, KEYS - stay);
      unsigned many = (unsigned)rng_below(&rng, 400);
      cursor = wwri_map_scan(&map, cursor, note_visit, visited);
      for (unsigned i = from; i < KEYS && i < from + many; i++) {
        struct wwr_view key = key_of(i, text, sizeof text);
        numbers[i] = i;
        if (wwri_map_remove(&map, key)) continue;
        CU_ASSERT_EQUAL(wwri_map_insert(&map, key, &numbers[i]), WWR_OK);
      }
    } while (cursor);
    for (unsigned i = 0; i < stay; i++) CU_ASSERT_TRUE(visited[i] > 0);
    wwri_map_deinit(&map);
  }
}

/* While nothing changes, each comes once. */
static void scans_of_a_still_map_repeat_nothing(void) {
  static unsigned numbers[KEYS];
  unsigned char visited[KEYS] = {0};
  struct wwri_map map;
  char text[40];
  wwri_map_init(&map);
  CU_ASSERT_EQUAL(wwri_map_scan(&map, 0, note_visit, visited), 0);
  for (unsigned i = 0; i < KEYS; i++) {
    numbers[i] = i;
    CU_ASSERT_EQUAL(
        wwri_map_insert(&map, key_of(i, text, sizeof text), &numbers[i]),
        WWR_OK);
  }
  size_t cursor = 0;
  do {
    cursor = wwri_map_scan(&map, cursor, note_visit, visited);
  } while (cursor);
  for (unsigned i = 0; i < KEYS; i++) CU_ASSERT_EQUAL(visited[i], 1);
  wwri_map_deinit(&map);
}

static void seeds_differ(void) {
  struct wwri_map a, b;
  wwri_map_init(&a);
  wwri_map_init(&b);
  CU_ASSERT_EQUAL(wwri_map_insert(&a, wwr_view_str("k"), &a), WWR_OK);
  CU_ASSERT_EQUAL(wwri_map_insert(&b, wwr_view_str("k"), &b), WWR_OK);
  CU_ASSERT_NOT_EQUAL(memcmp(a.seed, b.seed, sizeof a.seed), 0);
  wwri_map_deinit(&a);
  wwri_map_deinit(&b);
}

static void maps_work_without_random_bytes(void) {
  no_random_bytes = true;
  random_operations_match_the_model();
  seeds_differ();
  no_random_bytes = false;
}

/* Inserts until one fails; true when all went in. */
static bool insert_many(struct wwri_map *map, unsigned many) {
  char text[40];
  for (unsigned i = 1; i <= many; i++) {
    wwr_err err = wwri_map_insert(map, key_of(i, text, sizeof text), map);
    if (err == WWR_OK) continue;
    CU_ASSERT_EQUAL(err, WWR_E_NOMEM);
    CU_ASSERT_EQUAL(map->count, i - 1);
    CU_ASSERT_PTR_NULL(wwri_map_get(map, key_of(i, text, sizeof text)));
    return false;
  }
  return true;
}

static void every_allocation_may_fail(void) {
  size_t failures = 0;
  for (long n = 0;; n++) {
    struct wwri_map map;
    wwri_map_init(&map);
    test_alloc_fail_at(n);
    bool all = insert_many(&map, 100);
    bool failed = test_alloc_failed();
    char text[40];
    for (unsigned i = 1; i <= map.count; i++) {
      CU_ASSERT_PTR_EQUAL(wwri_map_get(&map, key_of(i, text, sizeof text)),
                          &map);
    }
    wwri_map_deinit(&map);
    failures += !all;
    if (!failed) break;
  }
  /* The table and each entry; growing (3 times) may fail without harm. */
  CU_ASSERT_EQUAL(failures, 101);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"random operations match the model", random_operations_match_the_model},
      {"removal does not degrade", removal_does_not_degrade},
      {"tables shrink", tables_shrink},
      {"empty maps are harmless", empty_maps_are_harmless},
      {"visiting can stop", visiting_can_stop},
      {"scans find what stays", scans_find_what_stays},
      {"scans of a still map repeat nothing",
       scans_of_a_still_map_repeat_nothing},
      {"seeds differ", seeds_differ},
      {"maps work without random bytes", maps_work_without_random_bytes},
      {"every allocation may fail", every_allocation_may_fail},
      CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"map", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
