/* Channels at random, against an oracle.
 *
 * Publishers number their messages per channel; a log of every channel is kept
 * by a witness that never leaves. Whoever is subscribed from one moment to
 * another must get exactly the witness's messages between the two, in its
 * order: between the number that `done` names and the end, without a hole. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"
#include "server_channel_common.h"

enum {
  CHANNELS = 3,
  PEERS = 10,
  PUBLISHERS = 3,
  ROUNDS = 400,
  HISTORY = 5,
  MESSAGES_MAX = 5000,              /* of one run */
  NUMBERS = MESSAGES_MAX + CHANNELS /* each channel has a last one */
};

static const char *const names[CHANNELS] = {"c0", "c1", "c2"};
static atomic_bool running;
static atomic_int open_calls;
static atomic_uint next_number;

/* --- Publishers ---------------------------------------------------------- */

static void published(const struct wwr_publish_result *result,
                      void *user_data) {
  (void)user_data;
  if (result->err != WWR_OK && result->err != WWR_E_CLOSED) note(&fix.broken);
  atomic_fetch_sub(&open_calls, 1);
}

static void publish_number(size_t channel, unsigned number) {
  char text[32];
  snprintf(text, sizeof text, "%u", number);
  struct wwr_payload payload = wwr_payload_text(text);
  atomic_fetch_add(&open_calls, 1);
  wwr_err err = wwr_server_publish(fix.server, wwr_view_str(names[channel]),
                                   wwr_view_str(names[channel]), &payload, NULL,
                                   published, NULL);
  if (err == WWR_OK) return;
  atomic_fetch_sub(&open_calls, 1);
  if (err != WWR_E_LIMIT && err != WWR_E_CLOSED) note(&fix.broken);
}

static void publish_one(struct rng *rng) {
  unsigned number = atomic_fetch_add(&next_number, 1);
  size_t channel = rng_below(rng, CHANNELS);
  if (number < MESSAGES_MAX) publish_number(channel, number);
}

static void *publisher(void *arg) {
  static const struct timespec nap = {0, 200000};
  struct rng rng = {(uint64_t)(uintptr_t)arg * 7919 + 1};
  while (atomic_load(&running)) {
    for (uint64_t n = rng_below(&rng, 8); n > 0; n--) publish_one(&rng);
    nanosleep(&nap, NULL);
  }
  return NULL;
}

/* --- What peers should see ----------------------------------------------- */

/* The payloads of a channel in a peer's messages, from `*at` on; the marks that
 * subscriptions leave are signals "mark" in the same queue. */
struct seen {
  unsigned numbers[NUMBERS];
  size_t places[NUMBERS]; /* by number, from 1; 0: it was not seen */
  size_t count;
};

static struct seen witness[CHANNELS];

static unsigned number_of(struct wwr_view text) {
  char copy[32];
  snprintf(copy, sizeof copy, "%.*s", (int)text.len, (const char *)text.data);
  return (unsigned)strtoul(copy, NULL, 10);
}

static size_t place_of(const struct seen *seen, unsigned number) {
  return number < NUMBERS ? seen->places[number] - 1 : SIZE_MAX;
}

/* Marks: "on CHANNEL TURN LAST" from inside `done`, where LAST is the last of
 * the history or "-"; "off CHANNEL TURN" behind the unsubscribe. They come from
 * different threads, so an "on" may come behind its "off": then it is void. */
static void mark(struct wwr_conn *conn, const char *what, uintptr_t which,
                 struct wwr_view last) {
  char text[64];
  snprintf(text, sizeof text, "%s %u %.*s", names[which % CHANNELS],
           (unsigned)(which / CHANNELS), (int)last.len,
           (const char *)last.data);
  struct wwr_payload payload = wwr_payload_text(text);
  (void)wwr_conn_signal(conn, wwr_view_str(what), &payload);
}

static void marked(struct wwr_conn *conn, wwr_err err,
                   const struct wwr_channel_message *history, size_t count,
                   void *user_data) {
  atomic_fetch_sub(&open_calls, 1);
  if (err != WWR_OK) return;
  mark(conn, "on", (uintptr_t)user_data,
       count ? history[count - 1].payload.data : wwr_view_str("-"));
}

struct guest {
  struct peer *peer;
  struct wwr_conn *conn; /* a reference */
  bool on[CHANNELS];
  unsigned turn[CHANNELS];
};

static void join_or_leave(struct rng *rng, struct guest *guest) {
  size_t channel = rng_below(rng, CHANNELS);
  struct wwr_view name = wwr_view_str(names[channel]);
  guest->on[channel] = !guest->on[channel];
  if (guest->on[channel]) guest->turn[channel]++;
  uintptr_t which = guest->turn[channel] * (uintptr_t)CHANNELS + channel;
  if (guest->on[channel]) {
    atomic_fetch_add(&open_calls, 1);
    if (wwr_conn_subscribe(guest->conn, name, HISTORY, marked, (void *)which)) {
      note(&fix.broken);
    }
    return;
  }
  if (wwr_conn_unsubscribe(guest->conn, name)) note(&fix.broken);
  mark(guest->conn, "off", which, wwr_view_str("-"));
}

static int errors;

static size_t channel_of(struct wwr_view name) {
  for (size_t i = 0; i < CHANNELS; i++) {
    if (view_is(name, names[i])) return i;
  }
  return CHANNELS;
}

struct expecting {
  bool on;
  unsigned turn; /* the last that was seen, on or off */
  size_t next;
};

static void check_message(struct expecting *expecting, size_t channel,
                          struct wwr_view text) {
  struct expecting *here = &expecting[channel];
  unsigned number = number_of(text);
  const struct seen *all = &witness[channel];
  if (!here->on) {
    errors++;
  } else if (here->next >= all->count || all->numbers[here->next] != number) {
    errors++;
    here->next = place_of(all, number) + 1;
  } else {
    here->next++;
  }
}

static void check_mark(struct expecting *expecting,
                       const struct wwri_msg *msg) {
  char name[8] = "", last[32] = "", text[64];
  unsigned turn = 0;
  snprintf(text, sizeof text, "%.*s", (int)msg->payload.data.len,
           (const char *)msg->payload.data.data);
  if (sscanf(text, "%7s %u %31s", name, &turn, last) != 3) errors++;
  struct expecting *here = &expecting[channel_of(wwr_view_str(name))];
  if (!view_is(msg->name, "on")) {
    if (turn >= here->turn) here->on = false;
    if (turn > here->turn) here->turn = turn;
    return;
  }
  if (turn <= here->turn) return; /* it is over already */
  *here = (struct expecting){.on = true, .turn = turn};
  if (last[0] == '-') return; /* from the very first */
  const struct seen *all = &witness[channel_of(wwr_view_str(name))];
  size_t place = place_of(all, number_of(wwr_view_str(last)));
  if (place == SIZE_MAX) errors++;
  here->next = place + 1;
}

static struct wwri_msg message_at(const struct peer *peer, size_t i) {
  struct wwri_msg msg = {0};
  if (wwri_decode(wwri_frame_view(peer->rx[i]), &msg) != WWR_OK) errors++;
  return msg;
}

static void check_peer(const struct peer *peer) {
  struct expecting expecting[CHANNELS] = {{false, 0, 0}};
  for (size_t i = 1; i < peer->rx_count; i++) {
    struct wwri_msg msg = message_at(peer, i);
    size_t channel = channel_of(msg.name);
    if (channel < CHANNELS) {
      check_message(expecting, channel, msg.payload.data);
    } else {
      check_mark(expecting, &msg);
    }
  }
  for (size_t c = 0; c < CHANNELS; c++) {
    bool whole = !expecting[c].on || expecting[c].next == witness[c].count;
    if (peer->closed == 0 && !whole) errors++;
  }
}

static void read_witness(const struct peer *peer) {
  memset(witness, 0, sizeof witness);
  for (size_t i = 1; i < peer->rx_count; i++) {
    struct wwri_msg msg = message_at(peer, i);
    size_t channel = channel_of(msg.name);
    if (channel == CHANNELS) continue;
    struct seen *seen = &witness[channel];
    unsigned number = number_of(msg.payload.data);
    if (number >= NUMBERS || seen->places[number]) {
      errors++;
      continue;
    }
    seen->numbers[seen->count++] = number;
    seen->places[number] = seen->count;
  }
}

/* --- The run ------------------------------------------------------------- */

static void arrive(struct guest *guest) {
  *guest = (struct guest){.peer = peer_connect_conn(&guest->conn)};
  guest->conn = wwr_conn_ref(fix.last_conn);
}

static void leave(struct rng *rng, struct guest *guest) {
  if (rng_below(rng, 2)) {
    peer_close(guest->peer);
  } else {
    peer_abort(guest->peer);
  }
  wwr_conn_unref(guest->conn);
}

/* Under the lock. */
static bool got(const struct peer *peer, size_t channel, unsigned number) {
  for (size_t i = peer->rx_count; i-- > 1;) {
    struct wwri_msg msg = message_at(peer, i);
    if (channel_of(msg.name) != channel) continue;
    return number_of(msg.payload.data) == number;
  }
  return false;
}

/* Everybody has the last message of every channel. */
static bool all_have(const struct peer *peer, const struct guest *guests,
                     const unsigned *last) {
  for (size_t c = 0; c < CHANNELS; c++) {
    if (!got(peer, c, last[c])) return false;
    for (int i = 0; i < PEERS; i++) {
      const struct guest *guest = &guests[i];
      if (guest->on[c] && !got(guest->peer, c, last[c])) return false;
    }
  }
  return true;
}

static void let_all_arrive(const struct peer *peer,
                           const struct guest *guests) {
  unsigned last[CHANNELS];
  uint64_t until = now_ms() + 30000;
  while (atomic_load(&open_calls) > 0 && now_ms() < until) settle();
  CU_ASSERT_EQUAL(atomic_load(&open_calls), 0);
  for (unsigned c = 0; c < CHANNELS; c++) {
    last[c] = MESSAGES_MAX + c;
    publish_number(c, last[c]);
  }
  WAIT(all_have(peer, guests, last));
  settle(); /* nothing may follow */
}

static void run_guests(struct guest *guests, uint64_t seed) {
  struct rng rng = {seed};
  for (int i = 0; i < PEERS; i++) arrive(&guests[i]);
  for (int i = 0; i < ROUNDS; i++) {
    struct guest *guest = &guests[rng_below(&rng, PEERS)];
    join_or_leave(&rng, guest);
    if (rng_below(&rng, 40) == 0) {
      leave(&rng, guest);
      arrive(guest);
    }
    if (rng_below(&rng, 10) == 0) settle();
  }
}

static void run(uint64_t seed) {
  struct guest guests[PEERS];
  pthread_t threads[PUBLISHERS];
  struct wwr_conn *conn;
  errors = 0;
  atomic_store(&next_number, 0);
  fix.opts.max_queued_bytes = 64 << 20; /* nobody is slow */
  channel_start();
  fix.server->channels.linger_ms = (uint32_t)(seed % 3);
  struct peer *peer = peer_connect_conn(&conn);
  for (int c = 0; c < CHANNELS; c++) (void)subscribe(conn, names[c], 0);
  atomic_store(&running, true);
  for (uintptr_t i = 0; i < PUBLISHERS; i++) {
    pthread_create(&threads[i], NULL, publisher, (void *)(i + seed));
  }
  run_guests(guests, seed);
  atomic_store(&running, false);
  for (int i = 0; i < PUBLISHERS; i++) pthread_join(threads[i], NULL);
  let_all_arrive(peer, guests);
  pthread_mutex_lock(&fix.lock);
  read_witness(peer);
  for (int i = 0; i < fix.peer_count; i++) {
    if (&fix.peers[i] != peer) check_peer(&fix.peers[i]);
  }
  pthread_mutex_unlock(&fix.lock);
  if (errors) printf("(seed %" PRIu64 ") ", seed);
  CU_ASSERT_EQUAL(errors, 0);
  for (int i = 0; i < PEERS; i++) wwr_conn_unref(guests[i].conn);
}

static void subscribers_see_what_the_witness_sees(void) {
  const char *given = getenv("SEED");
  if (given) {
    run(strtoull(given, NULL, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= 3; seed++) {
    run(seed);
    fixture_reset();
  }
}

/* The server goes while everybody is busy: every callback still comes. */
static void a_shutdown_in_the_middle(void) {
  struct guest guests[PEERS];
  pthread_t threads[PUBLISHERS];
  atomic_store(&next_number, 0);
  channel_start();
  atomic_store(&running, true);
  for (uintptr_t i = 0; i < PUBLISHERS; i++) {
    pthread_create(&threads[i], NULL, publisher, (void *)(i + 1));
  }
  run_guests(guests, 4711);
  wwr_server_shutdown(fix.server);
  atomic_store(&running, false);
  for (int i = 0; i < PUBLISHERS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < PEERS; i++) wwr_conn_unref(guests[i].conn);
  fixture_stop_peers();
  fixture_free_server();
  CU_ASSERT_EQUAL(atomic_load(&open_calls), 0);
}

static CU_TestInfo tests[] = {
    {"subscribers see what the witness sees",
     subscribers_see_what_the_witness_sees},
    {"a shutdown in the middle", a_shutdown_in_the_middle},
    CU_TEST_INFO_NULL};

int main(int argc, char **argv) {
  return channel_main(argc, argv, tests);
}
