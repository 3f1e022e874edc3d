/* A map of a Redis Cluster that was read is whole: every slot's master is one
 * of its nodes, which have names and ports, and the sums are right. A
 * redirection that was read says the same when it is written again. */
#include <string.h>

#include "fuzz.h"
#include "resp.h"
#include "slots.h"

static const struct wwri_redis_host asked = {.name = "asked", .port = 6379};

static void check_host(const struct wwri_redis_host *host) {
  fuzz_check(memchr(host->name, '\0', sizeof host->name));
  fuzz_check(host->port > 0);
}

static void check_map(const struct wwri_slots *map) {
  size_t covered = 0;
  fuzz_check(map->count <= WWRI_SLOTS_NODES_MAX);
  for (size_t i = 0; i < map->count; i++) {
    check_host(&map->nodes[i]);
    fuzz_check(map->nodes[i].name[0]);
  }
  for (unsigned slot = 0; slot < WWRI_SLOTS; slot++) {
    const struct wwri_redis_host *owner = wwri_slots_owner(map, (uint16_t)slot);
    if (!owner) continue;
    fuzz_check(owner >= map->nodes && owner < map->nodes + map->count);
    covered++;
  }
  fuzz_check(covered == map->covered);
  fuzz_check(map->masters <= map->count);
  fuzz_check((map->masters == 0) == (covered == 0));
}

static void read_map(struct wwr_view bytes) {
  struct wwri_redis_parser *parser = NULL;
  struct wwri_redis_reply *reply = NULL;
  struct wwri_resp_scan scan = {0};
  static struct wwri_slots map; /* read into again and again, as by the hub */
  const char *why = NULL;
  if (wwri_resp_scan(&scan, bytes, &why) != WWRI_RESP_DONE) return;
  if (wwri_redis_parser_new(&parser)) return;
  bytes.len = scan.pos;
  if (wwri_redis_parser_take(parser, bytes, &reply) == WWR_OK) {
    wwr_err err = wwri_slots_read(&map, reply, &asked, &why);
    fuzz_check(err == WWR_OK || (why && map.count == 0 && map.covered == 0));
    check_map(&map);
    wwri_slots_deinit(&map);
  }
  wwri_redis_reply_free(reply);
  wwri_redis_parser_free(parser);
}

static void read_redirection(struct wwr_view text) {
  char again[400];
  struct wwri_redis_host to, same;
  uint16_t slot, same_slot;
  if (!wwri_slots_moved(text, &slot, &to)) return;
  check_host(&to);
  fuzz_check(slot < WWRI_SLOTS);
  snprintf(again, sizeof again, "MOVED %u %s:%u", slot, to.name, to.port);
  fuzz_check(wwri_slots_moved(wwr_view_str(again), &same_slot, &same));
  fuzz_check(same_slot == slot && same.port == to.port);
  fuzz_check(strcmp(same.name, to.name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct wwr_view bytes = {data, size};
  read_map(bytes);
  read_redirection(bytes);
  return 0;
}
