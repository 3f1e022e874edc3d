#include "outq.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 8, KEPT_CAP = 16 };

void wwri_outq_init(struct wwri_outq *queue) {
  memset(queue, 0, sizeof(*queue));
}

static uint32_t slot(const struct wwri_outq *queue, uint32_t i) {
  return (queue->head + i) & (queue->cap - 1);
}

struct wwri_frame *wwri_outq_peek(const struct wwri_outq *queue, uint32_t i) {
  assert(i < queue->count);
  return queue->ring[slot(queue, i)];
}

void wwri_outq_deinit(struct wwri_outq *queue) {
  for (uint32_t i = 0; i < queue->count; i++) {
    wwri_frame_unref(wwri_outq_peek(queue, i));
  }
  free(queue->ring);
  wwri_outq_init(queue);
}

static bool grow(struct wwri_outq *queue) {
  uint32_t cap = queue->cap ? queue->cap * 2 : FIRST_CAP;
  if (cap < queue->cap) return false;
  struct wwri_frame **ring = malloc(cap * sizeof(*ring));
  if (!ring) return false;
  for (uint32_t i = 0; i < queue->count; i++) {
    ring[i] = wwri_outq_peek(queue, i);
  }
  free(queue->ring);
  queue->ring = ring;
  queue->cap = cap;
  queue->head = 0;
  return true;
}

wwr_err wwri_outq_push(struct wwri_outq *queue, struct wwri_frame *frame,
                       uint32_t max_bytes) {
  uint64_t bytes = (uint64_t)queue->bytes + wwri_frame_wire_len(frame);
  if (bytes > UINT32_MAX) return WWR_E_SLOW_CONSUMER;
  if (queue->count > 0 && bytes > max_bytes) return WWR_E_SLOW_CONSUMER;
  if (queue->count == queue->cap && !grow(queue)) return WWR_E_NOMEM;
  queue->ring[slot(queue, queue->count++)] = frame;
  queue->bytes = (uint32_t)bytes;
  return WWR_OK;
}

/* Advance over the first frame; its reference is the caller's now. */
static struct wwri_frame *drop_first(struct wwri_outq *queue) {
  struct wwri_frame *frame = wwri_outq_peek(queue, 0);
  queue->head = slot(queue, 1);
  queue->offset = 0;
  if (--queue->count == 0 && queue->cap > KEPT_CAP) {
    free(queue->ring);
    queue->ring = NULL;
    queue->cap = queue->head = 0;
  }
  return frame;
}

struct wwri_frame *wwri_outq_pop(struct wwri_outq *queue) {
  assert(queue->offset == 0);
  if (queue->count == 0) return NULL;
  struct wwri_frame *frame = drop_first(queue);
  queue->bytes -= (uint32_t)wwri_frame_wire_len(frame);
  return frame;
}

void wwri_outq_written(struct wwri_outq *queue, size_t bytes) {
  assert(bytes <= queue->bytes);
  queue->bytes -= (uint32_t)bytes;
  bytes += queue->offset;
  while (queue->count > 0) {
    size_t len = wwri_frame_wire_len(wwri_outq_peek(queue, 0));
    if (bytes < len) break;
    bytes -= len;
    wwri_frame_unref(drop_first(queue));
  }
  queue->offset = (uint32_t)bytes;
}
