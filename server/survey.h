/* survey.h - lists of what is on all shards, in pages (wwr_admin.h).
 *
 * A survey goes from shard to shard by one mail, looks at a part of each at a
 * time, so that no loop stands still for it, and gathers a *page*: the smallest
 * rows that were offered, in order, each once. */
#ifndef WWRI_SERVER_SURVEY_H
#define WWRI_SERVER_SURVEY_H

#include "loop.h"

struct wwr_server;
struct wwri_shard;

/** What the rows of a page are. */
struct wwri_page_kind {
  size_t row_bytes;
  int (*compare)(const void *a, const void *b);
  void (*drop)(void *row); /* give back what a row holds; may be NULL */
};

struct wwri_page {
  const struct wwri_page_kind *kind;
  size_t max;
  size_t count;
  bool more;     /* others were offered that are behind these */
  void **order;  /* ascending */
  uint8_t *rows; /* in no order */
};

/** `max`: at least 1. Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_page_init(struct wwri_page *page,
                                      const struct wwri_page_kind *kind,
                                      size_t max);
void wwri_page_deinit(struct wwri_page *page);

/** Offer a row, which is copied. The row in the page: `*fresh` it is the copy,
 * else one that was there and equals it. NULL: it is behind all and there is no
 * room. */
void *wwri_page_offer(struct wwri_page *page, const void *row, bool *fresh);

static inline const void *wwri_page_row(const struct wwri_page *page,
                                        size_t index) {
  return page->order[index];
}

/** Embed it. */
struct wwri_survey {
  struct wwri_mail mail;
  struct wwr_server *server;
  size_t shard; /* that is looked at */
  size_t at;    /* where in it: the kind's own; 0 at its beginning */
  /** Look at a part. True: there is more of this shard. Loop thread. */
  bool (*look)(struct wwri_survey *survey, struct wwri_shard *shard);
  /** All have been looked at: tell and free it. On a loop's thread. */
  void (*end)(struct wwri_survey *survey);
};

/** Begin; counts as a promised callback until `end` has returned. */
void wwri_survey_begin(struct wwri_survey *survey, struct wwr_server *server);

/** Enough was seen: the look that calls this returns false, and is the last. */
void wwri_survey_stop(struct wwri_survey *survey);

#endif
