/* member_stop.c - the end of a membership: users write what they must, a word
 * to the cluster, the link.
 *
 * What can go wrong: Redis is away, or goes away meanwhile: nothing is waited
 * for that needs it. A user takes its time: it has two seconds. */
#include "log.h"
#include "member_impl.h"

/* Everything of the link has ended; the core's publishes end here. */
static void on_link_stopped(void *user) {
  struct wwri_member *member = user;
  member->phase = MEMBER_STOPPED;
  wwri_flusher_cancel(&member->runner);
  wwri_loop_timer_cancel(member->loop, &member->timer);
  wwri_member_health_end(member);
  wwri_member_watch_end(member);
  wwri_node_deinit(&member->node);
  member->has_core = false;
  wwri_waiter_wake(&member->stopper, WWR_OK);
}

static void take_down(void *user) {
  struct wwri_member *member = user;
  wwri_redis_stop(member->link, on_link_stopped, member);
}

/* Once: when the users are done, or their time is over. */
static void say_bye(struct wwri_member *member) {
  if (member->said_bye) return;
  member->said_bye = true;
  wwri_loop_timer_cancel(member->loop, &member->stop_timer);
  wwri_member_bye(member, take_down);
}

static void on_stop_timer(struct wwri_timer *timer) {
  struct wwri_member *member =
      WWRI_CONTAINER(timer, struct wwri_member, stop_timer);
  wwri_log(&member->opts.log, WWR_LOG_WARN, 0, "cluster left in haste",
           MEMBER_SHARD(member), NULL);
  say_bye(member);
}

void wwri_member_stop_check(struct wwri_member *member) {
  if (!member->stopping) return;
  if (member->users_left == 0 || !member->node.live) say_bye(member);
}

void wwri_member_user_done(struct wwri_member *member,
                           struct wwri_member_user *user) {
  if (user->stopped) return;
  user->stopped = true;
  member->users_left--;
  wwri_member_stop_check(member);
}

static void stop_user(struct wwri_member_user *user, void *arg) {
  struct wwri_member *member = arg;
  if (user->stop) {
    user->stop(user);
  } else {
    wwri_member_user_done(member, user);
  }
}

static void count_user(struct wwri_member_user *user, void *arg) {
  (void)user;
  (*(unsigned *)arg)++;
}

static void do_stop(struct wwri_mail *mail) {
  struct wwri_member *member =
      WWRI_CONTAINER(mail, struct wwri_member, stop_mail);
  member->users_left = 1; /* until all were told */
  wwri_member_each(member, count_user, &member->users_left);
  member->phase = MEMBER_STOPPING;
  wwri_member_each(member, stop_user, member);
  member->users_left--;
  member->stopping = true;
  wwri_loop_timer_set(member->loop, &member->stop_timer, MEMBER_STOP_MS);
  wwri_member_stop_check(member);
}

void wwri_member_stop_begin(struct wwri_member *member) {
  if (!member->link || member->stop_begun) return;
  member->stop_begun = true;
  wwri_waiter_init(&member->stopper);
  member->stop_mail.fn = do_stop;
  wwri_loop_post(member->loop, &member->stop_mail);
}

void wwri_member_stop_wait(struct wwri_member *member) {
  if (!member->stop_begun || member->stop_awaited) return;
  member->stop_awaited = true;
  wwri_waiter_wait(&member->stopper);
}

void wwri_member_stop_init(struct wwri_member *member) {
  wwri_timer_init(&member->stop_timer, on_stop_timer);
}
