/* publisher.c - waiting, sent, acknowledged, and acknowledged in another
 * generation.
 *
 * The happy path: a publish waits, is sent, is answered ok with its id, and is
 * kept among the acknowledged until a beat proves that the generation did not
 * change for 15 s after.
 *
 * What can go wrong: no answer: it goes back to the front of the waiting, to
 * be sent again with the retry flag. A refusal: likewise, but only when all
 * that was sent behind it is answered: an accepted later one rules it out. A
 * new generation: the acknowledged of older generations are sent again first.
 * Too long: the caller is told, and whether that is certain. The 15 s count
 * only while beats confirm the generation: a server that is away for a minute
 * and comes back as its own replica lost the second before the minute. */
#include "publisher.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void wwri_publish_config_default(struct wwri_publish_config *config) {
  *config = (struct wwri_publish_config){.hold_ms = 10000,
                                         .keep_ms = 15000,
                                         .keep_bytes = 8u << 20,
                                         .queue_bytes = 8u << 20,
                                         .window = 256,
                                         .retry_ms = 100};
}

static struct wwri_publish *publish_of(struct wwri_list *node) {
  return WWRI_CONTAINER(node, struct wwri_publish, node);
}

static bool is_logged(const struct wwri_publish *publish) {
  return publish->limit.entries > 0;
}

size_t wwri_publish_size(const struct wwri_publish *publish) {
  return sizeof *publish + publish->channel.len + publish->data.len;
}

void wwri_publisher_init(struct wwri_publisher *publisher,
                         const struct wwri_publish_config *config,
                         struct wwri_boot boot, void *user) {
  *publisher =
      (struct wwri_publisher){.config = config, .user = user, .boot = boot};
  wwri_list_init(&publisher->acked);
  wwri_list_init(&publisher->replay);
  wwri_list_init(&publisher->waiting);
  wwri_list_init(&publisher->sent);
}

void wwri_publisher_reboot(struct wwri_publisher *publisher,
                           struct wwri_boot boot) {
  publisher->boot = boot;
}

/* In flight, and the caller waits for it; NULL: none. */
static struct wwri_publish *oldest_open(
    const struct wwri_publisher *publisher) {
  struct wwri_list *node = publisher->sent.next;
  for (; node != &publisher->sent; node = node->next) {
    struct wwri_publish *publish = publish_of(node);
    if (!publish->acked_ms && !publish->given_up) return publish;
  }
  return NULL;
}

static void rejected(struct wwri_publisher *publisher,
                     struct wwri_publish *publish, enum wwri_outcome outcome);

/* Tell the caller, once. */
static void end(struct wwri_publisher *publisher, struct wwri_publish *publish,
                enum wwri_outcome outcome, struct wwri_logid id) {
  if (publish->given_up) return;
  publish->given_up = true;
  if (outcome == WWRI_ACKED) publisher->stats.acked++;
  if (outcome == WWRI_FAILED || outcome == WWRI_DENIED) {
    publisher->stats.failed++;
  }
  if (outcome == WWRI_UNKNOWN) publisher->stats.unknown++;
  publisher->config->done(publisher, publish->cookie, outcome, id);
}

static void settle(struct wwri_publisher *publisher,
                   struct wwri_publish *publish, struct wwri_logid id) {
  if (!publish->lane) return;
  publisher->config->settled(publisher, publish, id);
  publish->lane = NULL;
}

static void drop(struct wwri_publisher *publisher,
                 struct wwri_publish *publish) {
  static const struct wwri_logid none = {0};
  settle(publisher, publish, none);
  free(publish);
}

static void end_all(struct wwri_publisher *publisher, struct wwri_list *list) {
  static const struct wwri_logid none = {0};
  struct wwri_list *node;
  while ((node = wwri_list_pop(list))) {
    struct wwri_publish *publish = publish_of(node);
    bool open = publish->in_flight || publish->unanswered;
    if (!publish->acked_ms) {
      end(publisher, publish, open ? WWRI_UNKNOWN : WWRI_FAILED, none);
    }
    drop(publisher, publish);
  }
}

void wwri_publisher_deinit(struct wwri_publisher *publisher) {
  end_all(publisher, &publisher->acked);
  end_all(publisher, &publisher->replay);
  end_all(publisher, &publisher->sent);
  end_all(publisher, &publisher->waiting);
}

static struct wwr_view copy_into(uint8_t *at, struct wwr_view bytes) {
  if (bytes.len) memcpy(at, bytes.data, bytes.len);
  return (struct wwr_view){at, bytes.len};
}

wwr_err wwri_publisher_make(struct wwri_publisher *publisher,
                            struct wwr_view channel, struct wwr_view data,
                            struct wwri_log_limit limit, struct wwri_logid hint,
                            void *cookie, uint64_t now_ms,
                            struct wwri_publish **out) {
  *out = NULL;
  size_t size = sizeof(struct wwri_publish) + channel.len + data.len;
  if (publisher->waiting_bytes + size > publisher->config->queue_bytes) {
    return WWR_E_LIMIT;
  }
  struct wwri_publish *publish = malloc(size);
  if (!publish) return WWR_E_NOMEM;
  *publish =
      (struct wwri_publish){.boot = publisher->boot,
                            .seq = ++publisher->last_seq,
                            .limit = limit,
                            .hint = hint,
                            .cookie = cookie,
                            .deadline_ms = now_ms + publisher->config->hold_ms};
  uint8_t *bytes = (uint8_t *)(publish + 1);
  publish->channel = copy_into(bytes, channel);
  publish->data = copy_into(bytes + channel.len, data);
  wwri_list_init(&publish->node);
  publisher->waiting_bytes += size;
  *out = publish;
  return WWR_OK;
}

/* Put it where its number says: mostly behind all, or before nearly all. */
static void insert_by_seq(struct wwri_list *list,
                          struct wwri_publish *publish) {
  struct wwri_list *at = list;
  if (!wwri_list_empty(list) && publish_of(list->prev)->seq > publish->seq) {
    at = list->next;
    while (publish_of(at)->seq < publish->seq) at = at->next;
  }
  wwri_list_append(at, &publish->node); /* before `at` */
}

void wwri_publisher_submit(struct wwri_publisher *publisher,
                           struct wwri_publish *publish) {
  insert_by_seq(&publisher->waiting, publish);
}

void wwri_publisher_expire(struct wwri_publisher *publisher,
                           struct wwri_publish *publish) {
  rejected(publisher, publish, WWRI_FAILED);
}

void wwri_publisher_discard(struct wwri_publisher *publisher,
                            struct wwri_publish *publish) {
  publisher->waiting_bytes -= wwri_publish_size(publish);
  free(publish);
}

static void drop_acked(struct wwri_publisher *publisher,
                       struct wwri_publish *publish) {
  wwri_list_remove(&publish->node);
  publisher->acked_bytes -= wwri_publish_size(publish);
  free(publish);
}

static void drop_for_room(struct wwri_publisher *publisher) {
  while (publisher->acked_bytes > publisher->config->keep_bytes) {
    struct wwri_list *from = &publisher->replay; /* older than the others */
    if (wwri_list_empty(from)) from = &publisher->acked;
    publisher->stats.overflows++;
    drop_acked(publisher, publish_of(from->next));
  }
}

static void keep(struct wwri_publisher *publisher,
                 struct wwri_publish *publish) {
  bool here = publish->generation == publisher->generation;
  insert_by_seq(here ? &publisher->acked : &publisher->replay, publish);
  publisher->acked_bytes += wwri_publish_size(publish);
  drop_for_room(publisher);
}

/* --- links and generations --- */

/* A later one of the channel is in, or may be: receivers that got it drop what
 * comes behind it, so earlier ones that were refused are out for good. The
 * script says the same (superseded), but only while its log holds the later
 * one, which a new master may have forgotten. */
static void supersede(struct wwri_publisher *publisher,
                      const struct wwri_publish *later) {
  struct wwri_list *node = publisher->waiting.next;
  while (node != &publisher->waiting) {
    struct wwri_publish *publish = publish_of(node);
    node = node->next;
    if (publish->seq > later->seq) break;
    if (!is_logged(publish)) continue;
    if (!wwr_view_equal(publish->channel, later->channel)) continue;
    wwri_list_remove(&publish->node);
    rejected(publisher, publish, WWRI_FAILED);
  }
}

/* Sort the acknowledged anew: those of this generation, and the others. */
static void set_generation(struct wwri_publisher *publisher,
                           uint64_t generation) {
  struct wwri_list all;
  struct wwri_list *node;
  if (publisher->generation == generation) return;
  publisher->generation = generation;
  publisher->acked_bytes = 0;
  wwri_list_init(&all);
  wwri_list_splice(&all, &publisher->replay);
  wwri_list_splice(&all, &publisher->acked);
  while ((node = wwri_list_pop(&all))) keep(publisher, publish_of(node));
}

void wwri_publisher_link_up(struct wwri_publisher *publisher,
                            uint64_t generation) {
  set_generation(publisher, generation);
  publisher->demoted = false;
  publisher->link = true;
  publisher->retry_at_ms = 0;
  publisher->probing = false;
}

void wwri_publisher_verified(struct wwri_publisher *publisher,
                             uint64_t generation, uint64_t now_ms) {
  set_generation(publisher, generation);
  while (!wwri_list_empty(&publisher->acked)) {
    struct wwri_publish *publish = publish_of(publisher->acked.next);
    if (publish->acked_ms + publisher->config->keep_ms > now_ms) return;
    drop_acked(publisher, publish);
  }
}

/* Back to where it waits, to be sent before anything newer. */
static void put_back(struct wwri_publisher *publisher,
                     struct wwri_publish *publish) {
  static const struct wwri_logid none = {0};
  publish->in_flight = false;
  publish->sure = false; /* it may be elsewhere, or later ones be there */
  publish->retry = is_logged(publish) &&
                   (publish->unanswered || publish->acked_ms); /* not refused */
  if (!is_logged(publish) && publish->unanswered) {
    end(publisher, publish, WWRI_UNKNOWN, none); /* at most once */
  }
  if (publish->acked_ms) {
    keep(publisher, publish);
  } else if (publish->given_up) {
    publisher->waiting_bytes -= wwri_publish_size(publish);
    drop(publisher, publish);
  } else {
    insert_by_seq(&publisher->waiting, publish);
  }
}

static struct wwri_publish *take_sent(struct wwri_publisher *publisher) {
  struct wwri_list *node = wwri_list_pop(&publisher->sent);
  if (!node) return NULL;
  publisher->in_flight--;
  return publish_of(node);
}

/* What is under way may have been executed. */
static void supersede_by_sent(struct wwri_publisher *publisher) {
  struct wwri_list *node = publisher->sent.next;
  for (; node != &publisher->sent; node = node->next) {
    const struct wwri_publish *later = publish_of(node);
    if (!later->acked_ms && is_logged(later)) supersede(publisher, later);
  }
}

/* What is under way is behind one that a server refused as no longer the
 * master, so it was refused, too. Should that server have become the master
 * again amid them, the script will say what was superseded. */
static void check_refused(struct wwri_publisher *publisher) {
  struct wwri_list *node = publisher->waiting.next;
  for (; node != &publisher->waiting; node = node->next) {
    struct wwri_publish *publish = publish_of(node);
    if (publish->first_sent_ms && is_logged(publish)) publish->retry = true;
  }
}

void wwri_publisher_link_down(struct wwri_publisher *publisher) {
  struct wwri_publish *publish;
  publisher->link = false;
  if (publisher->demoted) {
    check_refused(publisher);
  } else {
    supersede_by_sent(publisher);
  }
  while ((publish = take_sent(publisher))) {
    if (!publish->acked_ms) publish->unanswered = true;
    put_back(publisher, publish);
  }
}

/* --- sending --- */

static struct wwri_publish *next_of(struct wwri_publisher *publisher) {
  struct wwri_list *node = NULL;
  if (!publisher->config->rules.no_replay) {
    node = wwri_list_pop(&publisher->replay);
  }
  if (node) {
    struct wwri_publish *acked = publish_of(node);
    publisher->acked_bytes -= wwri_publish_size(acked);
    acked->retry = true;
    acked->deep = !acked->sure;
    return acked;
  }
  node = wwri_list_pop(&publisher->waiting);
  return node ? publish_of(node) : NULL;
}

const struct wwri_publish *wwri_publisher_next(struct wwri_publisher *publisher,
                                               uint64_t now_ms) {
  if (!publisher->link || publisher->generation == 0) return NULL;
  if (publisher->in_flight >= publisher->config->window) return NULL;
  if (now_ms < publisher->retry_at_ms) return NULL;
  if (publisher->in_flight == 0) publisher->draining = false;
  if (publisher->draining) return NULL;
  /* What is refused for a while is accepted again at some moment, and that may
   * be amid a window: the rest of it would supersede what was refused. */
  if (publisher->probing && publisher->in_flight) return NULL;
  struct wwri_publish *publish = next_of(publisher);
  if (!publish) return NULL;
  if (publisher->config->rules.no_retry_flag) publish->retry = false;
  publish->in_flight = true;
  publish->sent_in = publisher->generation;
  if (!publish->first_sent_ms) publish->first_sent_ms = now_ms ? now_ms : 1;
  wwri_list_append(&publisher->sent, &publish->node);
  publisher->in_flight++;
  return publish;
}

/* --- answers --- */

static void declare_lost(struct wwri_publisher *publisher,
                         struct wwri_publish *publish) {
  struct wwri_pos pos = {publish->hint, publish->boot, publish->seq};
  publisher->stats.lost++;
  publisher->config->lost(publisher, publish->channel, &pos);
  free(publish);
}

static void accepted(struct wwri_publisher *publisher,
                     struct wwri_publish *publish, struct wwri_logid id,
                     uint64_t now_ms) {
  if (!publish->acked_ms) {
    if (is_logged(publish)) supersede(publisher, publish);
    publish->sure = !publish->unanswered;
    publisher->waiting_bytes -= wwri_publish_size(publish);
    settle(publisher, publish, id);
    end(publisher, publish, WWRI_ACKED, id);
  } else if (!wwri_logid_equal(publish->hint, id)) {
    publish->sure = false; /* another branch may come back that has it too */
  }
  if (!is_logged(publish)) {
    free(publish);
    return;
  }
  publish->in_flight = publish->retry = publish->unanswered = false;
  publish->hint = id;
  publish->acked_ms = now_ms ? now_ms : 1;
  publish->generation = publish->sent_in;
  keep(publisher, publish);
}

/* It is not in the log and will not be. */
static void rejected(struct wwri_publisher *publisher,
                     struct wwri_publish *publish, enum wwri_outcome outcome) {
  static const struct wwri_logid none = {0};
  if (publish->acked_ms) {
    declare_lost(publisher, publish);
    return;
  }
  if (publish->unanswered) outcome = WWRI_UNKNOWN;
  publisher->waiting_bytes -= wwri_publish_size(publish);
  end(publisher, publish, outcome, none);
  drop(publisher, publish);
}

void wwri_publisher_answer(struct wwri_publisher *publisher,
                           enum wwri_answer answer, struct wwri_logid id,
                           uint64_t now_ms) {
  struct wwri_publish *publish = take_sent(publisher);
  assert(publish);
  bool again = publish->acked_ms != 0;
  switch (answer) {
    case WWRI_ANSWER_OK:
    case WWRI_ANSWER_DUP:
      publisher->probing = false;
      accepted(publisher, publish, id, now_ms);
      break;
    case WWRI_ANSWER_SUPERSEDED:
      rejected(publisher, publish, WWRI_FAILED);
      break;
    case WWRI_ANSWER_WRAPPED:
      rejected(publisher, publish, WWRI_UNKNOWN);
      break;
    case WWRI_ANSWER_ERROR:
      rejected(publisher, publish, WWRI_DENIED);
      break;
    case WWRI_ANSWER_NONE:
      if (!again) publish->unanswered = true;
      put_back(publisher, publish);
      break;
    case WWRI_ANSWER_REFUSED:
      put_back(publisher, publish);
      publisher->draining = publisher->probing = true;
      publisher->retry_at_ms = now_ms + publisher->config->retry_ms;
      break;
    case WWRI_ANSWER_DEMOTED:
      put_back(publisher, publish);
      publisher->draining = publisher->demoted = true;
      break;
  }
}

/* Deadlines are in the order of numbers. */
static void expire_waiting(struct wwri_publisher *publisher, uint64_t now_ms) {
  while (!wwri_list_empty(&publisher->waiting)) {
    struct wwri_publish *publish = publish_of(publisher->waiting.next);
    if (publish->deadline_ms > now_ms) return;
    wwri_list_remove(&publish->node);
    rejected(publisher, publish, WWRI_FAILED);
  }
}

/* In flight: the caller is told, the answer is still awaited. */
static void expire_sent(struct wwri_publisher *publisher, uint64_t now_ms) {
  static const struct wwri_logid none = {0};
  struct wwri_publish *publish;
  while ((publish = oldest_open(publisher)) && publish->deadline_ms <= now_ms) {
    publish->unanswered = true;
    end(publisher, publish, WWRI_UNKNOWN, none);
  }
}

void wwri_publisher_run(struct wwri_publisher *publisher, uint64_t now_ms) {
  expire_waiting(publisher, now_ms);
  expire_sent(publisher, now_ms);
}

uint64_t wwri_publisher_deadline(const struct wwri_publisher *publisher) {
  uint64_t at = UINT64_MAX;
  const struct wwri_publish *open = oldest_open(publisher);
  if (publisher->link && publisher->draining && publisher->in_flight == 0) {
    at = publisher->retry_at_ms;
  }
  if (open && open->deadline_ms < at) at = open->deadline_ms;
  if (wwri_list_empty(&publisher->waiting)) return at;
  open = publish_of(publisher->waiting.next);
  return open->deadline_ms < at ? open->deadline_ms : at;
}
