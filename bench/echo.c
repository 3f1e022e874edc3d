/* Every connection keeps a window of requests open; each answer is matched by
 * its id, compared, and frees its place for the next request.
 *
 * An id is the place (24 bits: all connections' windows in a row) and how often
 * it was used (40 bits): an answer that comes twice, or to nothing, is found.
 */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE_BITS = 24 };

struct place {
  uint64_t id;
  uint64_t due_ns;
  bool open;
};

struct echo {
  struct measure *measure;
  struct place *places; /* window of connection 0, of connection 1, ... */
  uint32_t *free;       /* ring of those that are free, longest first */
  uint32_t count;
  uint32_t free_at;
  uint32_t free_count;
  uint32_t window;
  uint32_t size;
  bool any; /* answer will do: MODE_ASK */
  uint8_t *payload;
};

/* The number's low digits, as many as there is room for. */
static void put_number(const struct echo *echo, uint64_t id, uint8_t *to) {
  uint8_t digits[NUMBER_DIGITS];
  payload_number(digits, id);
  size_t n = echo->size < NUMBER_DIGITS ? echo->size : NUMBER_DIGITS;
  memcpy(to, digits + NUMBER_DIGITS - n, n);
}

static void release(struct echo *echo, uint32_t place) {
  echo->free[(echo->free_at + echo->free_count++) % echo->count] = place;
}

static void request(struct echo *echo, uint32_t index, uint64_t due_ns) {
  struct measure *measure = echo->measure;
  struct net *net = &measure->net;
  struct place *place = &echo->places[index];
  uint64_t id = place->id + (1U << PLACE_BITS);
  put_number(echo, id, echo->payload);
  size_t len = net->dialect->ask(net->draft, id, echo->payload, echo->size);
  if (!net_send(&net->links[index / echo->window], net->draft, len))
    return; /* its connection broke: the place is never used again */
  *place = (struct place){.id = id, .open = true, .due_ns = due_ns};
  measure_issued(measure);
}

static uint64_t pump(struct measure *measure) {
  struct echo *echo = measure->net.user_data;
  uint64_t due_ns, wait_ns = UINT64_MAX;
  while (echo->free_count > 0 &&
         measure_may_issue(measure, &due_ns, &wait_ns)) {
    uint32_t place = echo->free[echo->free_at];
    echo->free_at = (echo->free_at + 1) % echo->count;
    echo->free_count--;
    request(echo, place, due_ns);
  }
  return wait_ns;
}

static bool payload_is_right(struct echo *echo, uint64_t id,
                             const struct heard *heard) {
  put_number(echo, id, echo->payload);
  return heard->len == echo->size &&
         memcmp(heard->payload, echo->payload, heard->len) == 0;
}

/* What carries no id of its own carries it as the payload's number. */
static bool is_answer(const struct heard *heard) {
  return heard->kind == HEARD_REPLY || heard->kind == HEARD_REFUSAL ||
         heard->kind == HEARD_SIGNAL;
}

static void on_heard(struct link *link, const struct heard *heard,
                     void *user_data) {
  struct echo *echo = user_data;
  struct measure *measure = echo->measure;
  if (echo->any && heard->kind == HEARD_SIGNAL) return;
  uint32_t index = (uint32_t)heard->id & ((1U << PLACE_BITS) - 1);
  struct place *place = index < echo->count ? &echo->places[index] : NULL;
  if (!is_answer(heard) || !place || index / echo->window != link->index) {
    measure->unexpected++;
    return;
  }
  if (!place->open || place->id != heard->id) {
    bool known = heard->id >> PLACE_BITS > 0 && heard->id <= place->id;
    if (known)
      measure->duplicated++;
    else
      measure->unexpected++;
    return;
  }
  place->open = false;
  measure->open--;
  if (heard->kind == HEARD_REFUSAL)
    measure->refused += !echo->any;
  else if (!echo->any && !payload_is_right(echo, heard->id, heard))
    measure->wrong++;
  measure_done(measure, place->due_ns);
  release(echo, index);
  pump(measure);
}

static bool echo_init(struct echo *echo, struct measure *measure) {
  const struct options *options = measure->options;
  size_t places = (size_t)options->connections * options->window;
  *echo = (struct echo){.measure = measure,
                        .window = options->window,
                        .size = options->size,
                        .any = options->mode == MODE_ASK};
  if (places >= 1U << PLACE_BITS) {
    fputs("webwire-bench: --window: too many requests in flight in all\n",
          stderr);
    return false;
  }
  echo->count = (uint32_t)places;
  echo->places = calloc(places, sizeof *echo->places);
  echo->free = calloc(places, sizeof *echo->free);
  echo->payload = malloc(options->size);
  if (!echo->places || !echo->free || !echo->payload) return false;
  payload_pad(echo->payload, 0, options->size);
  /* The connections in turn, not one window after the other. */
  for (uint32_t w = 0; w < options->window; w++) {
    for (uint32_t i = 0; i < options->connections; i++)
      release(echo, i * options->window + w);
  }
  for (uint32_t i = 0; i < echo->count; i++) echo->places[i].id = i;
  return true;
}

bool echo_run(struct measure *measure) {
  struct echo echo;
  struct net *net = &measure->net;
  bool good = echo_init(&echo, measure);
  net->hooks = (struct net_hooks){.on_heard = on_heard};
  net->user_data = &echo;
  good = good && net_open(net) &&
         measure_fits(measure, echo.size + net->dialect->overhead);
  if (good) {
    measure->pump = pump;
    measure_run(measure);
    measure->unanswered = measure->open;
  }
  free(echo.places);
  free(echo.free);
  free(echo.payload);
  return good;
}
