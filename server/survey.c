#include "survey.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* --- Pages ---------------------------------------------------------------- */

wwr_err wwri_page_init(struct wwri_page *page,
                       const struct wwri_page_kind *kind, size_t max) {
  *page = (struct wwri_page){.kind = kind, .max = max};
  page->order = calloc(max, sizeof *page->order);
  page->rows = calloc(max, kind->row_bytes);
  if (page->order && page->rows) return WWR_OK;
  wwri_page_deinit(page);
  return WWR_E_NOMEM;
}

void wwri_page_deinit(struct wwri_page *page) {
  for (size_t i = 0; i < page->count && page->kind->drop; i++) {
    page->kind->drop(page->order[i]);
  }
  free(page->order);
  free(page->rows);
  page->order = NULL;
  page->rows = NULL;
  page->count = 0;
}

/* The first row that is not before `row`. */
static size_t place_of(const struct wwri_page *page, const void *row) {
  size_t low = 0, high = page->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (page->kind->compare(page->order[middle], row) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/* Memory for one more; the last row gives way. */
static void *make_room(struct wwri_page *page) {
  if (page->count < page->max) {
    return page->rows + page->count++ * page->kind->row_bytes;
  }
  void *last = page->order[page->max - 1];
  if (page->kind->drop) page->kind->drop(last);
  page->more = true;
  return last;
}

void *wwri_page_offer(struct wwri_page *page, const void *row, bool *fresh) {
  size_t place = place_of(page, row);
  *fresh = false;
  if (place < page->count &&
      page->kind->compare(page->order[place], row) == 0) {
    return page->order[place];
  }
  if (place == page->max) {
    page->more = true;
    return NULL;
  }
  void *slot = make_room(page);
  memmove(&page->order[place + 1], &page->order[place],
          (page->count - 1 - place) * sizeof *page->order);
  memcpy(slot, row, page->kind->row_bytes);
  page->order[place] = slot;
  *fresh = true;
  return slot;
}

/* --- Surveys -------------------------------------------------------------- */

static void post(struct wwri_survey *survey) {
  wwri_loop_post(survey->server->loops[survey->shard], &survey->mail);
}

static void arrived(struct wwri_mail *mail) {
  struct wwri_survey *survey = WWRI_CONTAINER(mail, struct wwri_survey, mail);
  struct wwr_server *server = survey->server;
  if (!survey->look(survey, &server->shards[survey->shard])) {
    survey->shard++;
    survey->at = 0;
  }
  if (survey->shard < server->shard_count) {
    post(survey);
    return;
  }
  survey->end(survey);
  wwri_channels_call_end(server);
}

void wwri_survey_stop(struct wwri_survey *survey) {
  survey->shard = survey->server->shard_count - 1;
}

void wwri_survey_begin(struct wwri_survey *survey, struct wwr_server *server) {
  survey->mail.fn = arrived;
  survey->server = server;
  survey->shard = survey->at = 0;
  wwri_channels_call_begin(server);
  post(survey);
}
