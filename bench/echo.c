/* Every connection keeps a window of requests open; each answer is matched by
 * its id, compared, and followed by the next request.
 *
 * An id is the slot in the connection's window (16 bits) and how often the slot
 * was used (48 bits): an answer that comes twice, or to nothing, is found. */
#include "measure.h"

#include <stdlib.h>
#include <string.h>

struct slot {
  uint64_t id;
  uint64_t sent_ns;
  bool open;
};

struct echo {
  struct measure *measure;
  struct slot *slots; /* window of connection 0, of connection 1, ... */
  uint32_t window;
  uint32_t size;
  uint8_t *expected; /* the payload; its first bytes are the id */
  uint64_t open;
  bool stopping;
};

static void put_payload(const struct echo *echo, uint64_t id, uint8_t *to) {
  memcpy(to, echo->expected, echo->size);
  memcpy(to, &id, echo->size < 8 ? echo->size : 8);
}

static bool payload_is_right(const struct echo *echo, uint64_t id,
                             const uint8_t *payload, size_t len) {
  size_t head = echo->size < 8 ? echo->size : 8;
  return len == echo->size && memcmp(payload, &id, head) == 0 &&
         memcmp(payload + head, echo->expected + head, len - head) == 0;
}

/* type, id, name length 0, payload */
static void request(struct echo *echo, struct link *link, struct slot *slot) {
  size_t len = 10 + (size_t)echo->size;
  uint8_t *message = net_reserve(link, len);
  if (!message) return;
  slot->id += 1 << 16;
  slot->open = true;
  slot->sent_ns = echo->measure->net.now_ns;
  message[0] = 127;
  memcpy(message + 1, &slot->id, 8);
  message[9] = 0;
  put_payload(echo, slot->id, message + 10);
  net_commit(link, message, len);
  echo->measure->issued++;
  echo->open++;
}

static void on_message(struct link *link, const uint8_t *message, size_t len,
                       void *user_data) {
  struct echo *echo = user_data;
  struct measure *measure = echo->measure;
  uint64_t id = 0;
  if (len >= 9) memcpy(&id, message + 1, 8);
  struct slot *slot =
      &echo->slots[(size_t)link->index * echo->window + (id & 0xffff)];
  if (len < 9 || (id & 0xffff) >= echo->window || !slot->open ||
      slot->id != id) {
    measure->unexpected++;
    return;
  }
  slot->open = false;
  echo->open--;
  if (message[0] != 191) {
    measure->refused++;
  } else if (!payload_is_right(echo, id, message + 9, len - 9)) {
    measure->wrong++;
  }
  measure_done(measure, slot->sent_ns);
  if (!echo->stopping) request(echo, link, slot);
}

static bool echo_init(struct echo *echo, struct measure *measure) {
  const struct options *options = measure->options;
  *echo = (struct echo){
      .measure = measure, .window = options->window, .size = options->size};
  size_t slots = (size_t)options->connections * options->window;
  echo->slots = calloc(slots, sizeof *echo->slots);
  echo->expected = malloc(options->size);
  if (!echo->slots || !echo->expected) return false;
  for (size_t i = 0; i < slots; i++) echo->slots[i].id = i % options->window;
  for (size_t i = 0; i < options->size; i++)
    echo->expected[i] = (uint8_t)(i * 7 + 3);
  return true;
}

bool echo_run(struct measure *measure) {
  struct echo echo;
  struct net *net = &measure->net;
  bool good = echo_init(&echo, measure);
  net->hooks = (struct net_hooks){on_message};
  net->user_data = &echo;
  good = good && net_open(net) && measure_fits(measure, echo.size + 10);
  for (uint32_t i = 0; good && i < net->count; i++) {
    for (uint32_t w = 0; w < echo.window; w++)
      request(&echo, &net->links[i], &echo.slots[(size_t)i * echo.window + w]);
  }
  if (good) {
    measure_run(measure);
    echo.stopping = true;
    measure_drain(measure, &echo.open);
    measure->unanswered = echo.open;
  }
  free(echo.slots);
  free(echo.expected);
  return good;
}
