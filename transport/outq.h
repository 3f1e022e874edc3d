/* outq.h - a pipe's outgoing frames: a ring of references, bounded in bytes.
 * Allocates nothing while empty (an idle connection holds no buffer). */
#ifndef WWRI_OUTQ_H
#define WWRI_OUTQ_H

#include "frame.h"

struct wwri_outq {
  struct wwri_frame **ring; /* NULL until the first push */
  uint32_t cap;             /* power of two */
  uint32_t head;
  uint32_t count;
  uint32_t bytes;  /* wire bytes of all frames, less `offset` */
  uint32_t offset; /* bytes of the first frame that are out already */
};

/** Can't fail. */
void wwri_outq_init(struct wwri_outq *queue);

/** Drop all frames and the ring. */
void wwri_outq_deinit(struct wwri_outq *queue);

/** Append; takes over one reference only on WWR_OK. Errors: WWR_E_SLOW_CONSUMER
 * (over max_bytes; a frame is always taken by an empty queue), WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_outq_push(struct wwri_outq *queue,
                                      struct wwri_frame *frame,
                                      uint32_t max_bytes);

/** The i-th frame from the front, i < count. */
struct wwri_frame *wwri_outq_peek(const struct wwri_outq *queue, uint32_t i);

/** Take the first frame out, with its reference; NULL when empty. Only while
 * `offset` is 0. Frees the ring like wwri_outq_written(). */
struct wwri_frame *wwri_outq_pop(struct wwri_outq *queue);

/** `bytes` wire bytes were written: drop the frames that are out. Frees the
 * ring when it becomes empty and was larger than 16 slots. */
void wwri_outq_written(struct wwri_outq *queue, size_t bytes);

#endif
