/* Large channels are served in turns: how much there is between two of them,
 * who does not wait meanwhile, and that each reader still gets everything once
 * and in order, whoever leaves in the midst of a walk. */
#include <stdlib.h>
#include <string.h>

#include "rng.h"
#include "server_channel_common.h"

enum { READERS = 48, STEPS = 8, MESSAGES = 5, ROUNDS = 12 };

static struct peer *peers[READERS];
static struct wwr_conn *conns[READERS]; /* a reference each */

/* --- A room with many readers on one loop --------------------------------- */

static void start_small_turns(size_t steps) {
  fix.opts.io_threads = 1;
  fixture_start();
  fix.server->channels.turn_steps = steps;
  fix.server->shards[0].channels.steps = steps;
}

static void fill_room(void) {
  for (int i = 0; i < READERS; i++) {
    peers[i] = peer_connect_conn(&conns[i]);
    wwr_conn_ref(conns[i]);
    CU_ASSERT_EQUAL(subscribe(conns[i], "room", 0).err, WWR_OK);
  }
}

static void empty_room(void) {
  for (int i = 0; i < READERS; i++) wwr_conn_unref(conns[i]);
}

static struct wwri_feed *feed_of(const char *channel) {
  return wwri_feed_find(&fix.server->shards[0], wwr_view_str(channel));
}

static void say(const char *channel, const char *text) {
  struct wwr_payload payload = wwr_payload_text(text);
  CU_ASSERT_EQUAL(
      wwr_server_publish(fix.server, wwr_view_str(channel), wwr_view_str("m"),
                         &payload, NULL, NULL, NULL),
      WWR_OK);
}

/* --- Someone who looks in every pass of the loop -------------------------- */

struct watch {
  struct wwri_mail mail;
  void (*look)(struct watch *watch);
  struct rng rng;
  uint64_t given;   /* at the last look */
  uint64_t most;    /* between two looks */
  unsigned looks;   /* with something given since the one before */
  size_t start;     /* of the walk, at the last look */
  unsigned starts;  /* walks that began elsewhere than the one before */
  bool walking;     /* the room, at the last look */
  bool seen;        /* it was walked at all */
  bool aside_first; /* the small channel's came during the walk */
  bool left[READERS];
  int over;
};

static void look_again(struct wwri_mail *mail) {
  struct watch *watch = WWRI_CONTAINER(mail, struct watch, mail);
  struct wwri_feed *feed = feed_of("room");
  uint64_t given = atomic_load(&fix.server->shards[0].counters.signals_out);
  uint64_t more = given - watch->given;
  watch->given = given;
  if (more > watch->most) watch->most = more;
  if (more) watch->looks++;
  watch->walking = feed && (feed->walk.frame || !wwri_list_empty(&feed->pent));
  if (watch->walking) watch->seen = true;
  if (watch->look) watch->look(watch);
  if (watch->seen && !watch->walking) {
    note(&watch->over);
  } else {
    wwri_loop_post(fix.server->loops[0], mail);
  }
}

static void say_all(const struct watch *watch) {
  (void)watch;
  for (int i = 0; i < MESSAGES; i++) {
    char text[] = {(char)('0' + i), '\0'};
    say("room", text);
  }
}

static void begin_watch(void *arg) {
  struct watch *watch = arg;
  watch->given = atomic_load(&fix.server->shards[0].counters.signals_out);
  watch->mail.fn = look_again;
  say_all(watch);
  if (feed_of("aside")) say("aside", "small");
  look_again(&watch->mail);
}

static void watch_the_room(struct watch *watch) {
  run_on(fix.server->loops[0], begin_watch, watch);
  WAIT(watch->over);
}

/* --- The rule ------------------------------------------------------------- */

/* Two looks have a pass of the loop between them: what is said at once, and a
 * turn. */
static void a_turn_is_bounded(void) {
  struct watch watch = {.look = NULL};
  start_small_turns(STEPS);
  fill_room();
  watch_the_room(&watch);
  CU_ASSERT_EQUAL(watch.given, READERS * MESSAGES);
  CU_ASSERT_TRUE(watch.most <= 2 * STEPS);
  CU_ASSERT_TRUE(watch.looks >= READERS * MESSAGES / (2 * STEPS));
  for (int i = 0; i < READERS; i++) {
    for (int m = 0; m < MESSAGES; m++) {
      char text[] = {(char)('0' + m), '\0'};
      expect_message(peers[i], text);
    }
  }
  empty_room();
}

static void look_aside(struct watch *watch) {
  struct wwri_logid last = feed_of("aside")->last;
  if (watch->walking && last.offset == 1) watch->aside_first = true;
}

/* Its message is said behind all those to the crowd. */
static void a_small_channel_does_not_wait(void) {
  struct watch watch = {.look = look_aside};
  start_small_turns(STEPS);
  fill_room();
  struct peer *small = connect_to("aside");
  watch_the_room(&watch);
  CU_ASSERT_TRUE(watch.aside_first);
  expect_message(small, "small");
  empty_room();
}

static void look_where_it_starts(struct watch *watch) {
  const struct wwri_walk *walk = &feed_of("room")->walk;
  if (!walk->frame) return;
  if (walk->start != watch->start) watch->starts++;
  watch->start = walk->start;
}

static void nobody_is_always_last(void) {
  struct watch watch = {.look = look_where_it_starts};
  start_small_turns(STEPS);
  fill_room();
  watch_the_room(&watch);
  CU_ASSERT_TRUE(watch.starts >= MESSAGES - 1);
  empty_room();
}

/* Each loop makes a copy of what many of its readers get. */
static void readers_on_two_loops(void) {
  fix.opts.io_threads = 2;
  fixture_start();
  fill_room();
  for (int m = 0; m < MESSAGES; m++) {
    char text[] = {(char)('0' + m), '\0'};
    (void)publish("room", text);
  }
  for (int i = 0; i < READERS; i++) {
    for (int m = 0; m < MESSAGES; m++) {
      char text[] = {(char)('0' + m), '\0'};
      expect_message(peers[i], text);
    }
  }
  empty_room();
}

/* --- Leaving in the midst ------------------------------------------------- */

static void leave_by_unsubscribing(struct watch *watch) {
  int who = (int)rng_below(&watch->rng, READERS);
  if (!watch->walking || watch->left[who]) return;
  watch->left[who] = true;
  CU_ASSERT_EQUAL(wwr_conn_unsubscribe(conns[who], room()), WWR_OK);
}

static void leave_by_breaking(struct watch *watch) {
  int who = (int)rng_below(&watch->rng, READERS);
  if (!watch->walking || watch->left[who]) return;
  watch->left[who] = true;
  conns[who]->pipe->ops->abort(conns[who]->pipe);
}

/* Who stayed got all, who left a beginning of it; nobody anything twice. */
static void check_what_came(const struct watch *watch) {
  for (int i = 0; i < READERS; i++) {
    int count = 0;
    struct wwri_msg msg;
    while (
        count < MESSAGES &&
        (!watch->left[i] || peers[i]->rx_next < LOCKED(peers[i]->rx_count))) {
      if (!peer_try_next(peers[i], &msg)) break;
      char text[] = {(char)('0' + count++), '\0'};
      CU_ASSERT_TRUE(view_is(msg.payload.data, text));
    }
    if (!watch->left[i]) CU_ASSERT_EQUAL(count, MESSAGES);
    CU_ASSERT_EQUAL(LOCKED(peers[i]->rx_count - peers[i]->rx_next), 0);
  }
}

static void leave_in_the_midst(void (*leave)(struct watch *watch)) {
  for (int round = 0; round < ROUNDS; round++) {
    struct watch watch = {.look = leave};
    watch.rng.state = (uint64_t)round + 1;
    fixture_reset();
    start_small_turns((size_t)(1 + round % 5));
    fill_room();
    watch_the_room(&watch);
    settle();
    check_what_came(&watch);
    empty_room();
  }
}

static void readers_unsubscribe(void) {
  leave_in_the_midst(leave_by_unsubscribing);
}

static void readers_break(void) {
  leave_in_the_midst(leave_by_breaking);
}

static void all_leave(struct watch *watch) {
  for (int i = 0; watch->walking && i < READERS; i++) {
    (void)wwr_conn_unsubscribe(conns[i], room());
  }
}

static void count_feeds(void *arg) {
  *(size_t *)arg = fix.server->shards[0].channels.feeds.count;
}

static size_t feeds_left(void) {
  size_t count;
  run_on(fix.server->loops[0], count_feeds, &count);
  return count;
}

static void everybody_leaves(void) {
  struct watch watch = {.look = all_leave};
  start_small_turns(3);
  fix.server->channels.linger_ms = 1;
  fill_room();
  watch_the_room(&watch);
  uint64_t until = now_ms() + 30000;
  while (feeds_left() && now_ms() < until) settle();
  CU_ASSERT_EQUAL(feeds_left(), 0);
  empty_room();
}

static void say_and_end(void *arg) {
  say_all(arg);
  wwr_server_shutdown_async(fix.server);
}

static void the_server_ends_in_the_midst(void) {
  start_small_turns(1);
  fill_room();
  run_on(fix.server->loops[0], say_and_end, NULL);
  wwr_server_shutdown(fix.server);
  empty_room();
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"a turn is bounded", a_turn_is_bounded},
      {"a small channel does not wait", a_small_channel_does_not_wait},
      {"nobody is always last", nobody_is_always_last},
      {"readers on two loops", readers_on_two_loops},
      {"readers unsubscribe", readers_unsubscribe},
      {"readers break", readers_break},
      {"everybody leaves", everybody_leaves},
      {"the server ends in the midst", the_server_ends_in_the_midst},
      CU_TEST_INFO_NULL,
  };
  return channel_main(argc, argv, tests);
}
