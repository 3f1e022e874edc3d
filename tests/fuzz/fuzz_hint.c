/* A hint that was read says what it stands for: written again it reads the
 * same, and its envelope lies inside the input. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "replies.h"

static void write_and_read(const struct wwri_entry *entry) {
  char head[200], id[WWRI_LOGID_TEXT_MAX], boot[WWRI_BOOT_HEX + 1];
  struct wwri_entry again;
  wwri_write_logid(entry->pos.id, id);
  wwri_write_boot(entry->pos.boot, boot);
  int len = snprintf(head, sizeof head, "%s %s %" PRIu64 " %" PRIu64 " ", id,
                     boot, entry->pos.seq, entry->time_ms);
  fuzz_check(len > 0 && (size_t)len < sizeof head);
  fuzz_check(wwri_read_hint(wwr_view_str(head), &again));
  fuzz_check(wwri_pos_equal(&again.pos, &entry->pos));
  fuzz_check(again.time_ms == entry->time_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct wwr_view bytes = {data, size};
  struct wwri_entry entry;
  if (!wwri_read_hint(bytes, &entry)) return 0;
  fuzz_check(!entry.fork);
  fuzz_check(entry.data.data + entry.data.len == data + size);
  fuzz_check(entry.data.data > data);
  write_and_read(&entry);
  return 0;
}
