/* bus.c - what all buses have in common: defaults, and what they refuse. */
#include "bus.h"

void wwri_bus_config_default(struct wwri_bus_config *config) {
  *config = (struct wwri_bus_config){.max_payload_bytes = 64 * 1024,
                                     .max_queued_bytes = 8u << 20,
                                     .max_log_bytes = 256u << 20};
}

static bool limit_ok(const struct wwri_log_limit *limit) {
  if (limit->entries == 0) return true;
  return limit->entries <= WWRI_BUS_ENTRIES_MAX &&
         limit->age_ms >= WWRI_BUS_AGE_MIN_MS &&
         limit->age_ms <= WWRI_BUS_AGE_MAX_MS;
}

static bool payload_ok(const struct wwr_payload *payload) {
  if ((unsigned)payload->encoding > WWR_UTF16) return false;
  return payload->encoding != WWR_UTF16 || payload->data.len % 2 == 0;
}

wwr_err wwri_bus_check_publish(const struct wwri_bus_config *config,
                               struct wwr_view channel,
                               const struct wwri_bus_publish *what) {
  if (!wwri_channel_name_ok(channel) || what->name.len > WWRI_BUS_NAME_MAX ||
      !payload_ok(&what->payload) || !limit_ok(&what->limit)) {
    return WWR_E_INVALID;
  }
  return what->payload.data.len > config->max_payload_bytes
             ? WWR_E_BUFFER_OVERFLOW
             : WWR_OK;
}

wwr_err wwri_bus_check_member(struct wwr_view channel,
                              const struct wwri_bus_member *member) {
  bool ok = wwri_channel_name_ok(channel) &&
            member->member.len <= WWRI_BUS_MEMBER_MAX &&
            member->info.len <= WWRI_BUS_INFO_MAX;
  return ok ? WWR_OK : WWR_E_INVALID;
}

wwr_err wwri_bus_check_topic(const struct wwri_bus_config *config,
                             struct wwr_view topic, struct wwr_view bytes) {
  if (topic.len > WWRI_BUS_TOPIC_MAX) return WWR_E_INVALID;
  uint64_t most = (uint64_t)config->max_payload_bytes + WWRI_BUS_ROOM;
  return bytes.len > most ? WWR_E_BUFFER_OVERFLOW : WWR_OK;
}
