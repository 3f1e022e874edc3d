/* Lists from pages: "limit" of the request is asked for in pieces, each behind
 * the last row of the one before. */
#include "impl.h"

static void next_page(struct wwri_ask *ask, const json_t *after);

static void got_page(struct wwri_ask *ask, struct wwri_call *call) {
  const struct wwri_listing *listing = ask->listing;
  if (call->err == WWR_OK && !call->json) call->err = WWR_E_NOMEM;
  if (call->err != WWR_OK) {
    wwri_answer_err(ask, call->err);
    return;
  }
  size_t count = json_array_size(call->json);
  (void)json_array_extend(ask->rows, call->json);
  ask->left -= count < ask->left ? count : ask->left;
  if (call->more && ask->left > 0 && count > 0) {
    const json_t *last = json_array_get(call->json, count - 1);
    next_page(ask, json_object_get(last, listing->id));
    return;
  }
  wwri_answer_json(ask, 200,
                   json_pack("{s:O, s:b}", listing->key, ask->rows, "more",
                             (int)call->more));
}

static void next_page(struct wwri_ask *ask, const json_t *after) {
  struct wwri_call *call = wwri_call_new(ask, got_page);
  uint32_t max =
      ask->left < WWRI_ADMIN_PAGE ? (uint32_t)ask->left : WWRI_ADMIN_PAGE;
  if (!call) return;
  wwri_call_begun(call, ask->listing->ask(ask, after, max, call));
}

void wwri_list_answer(struct wwri_ask *ask, const struct wwri_listing *listing,
                      json_t *after) {
  ask->listing = listing;
  ask->rows = json_array();
  if (!ask->rows) {
    wwri_answer_err(ask, WWR_E_NOMEM);
  } else if (wwri_ask_number(ask, "limit", 1, WWR_LIST_MAX,
                             WWRI_ADMIN_LIST_DEFAULT, &ask->left)) {
    next_page(ask, after);
  }
  json_decref(after);
}
