/* What is spread over many pipes leaves in turns, behind what was sent to one:
 * how many at a time, and in which order, seen between the loop's passes. */
#include <string.h>

#include "websocket_raw.h"

enum {
  CROWD = 150,
  IN_A_TURN = 64, /* BULK_PIPES of flush.c */
  LAST = CROWD - 1,
  REPLY_LEN = 20,
  SPREAD_LEN = 40
};

static struct rawws *crowd[CROWD];

struct watch {
  struct wwri_mail mail;
  int left;        /* pipes that have something to send, at the last look */
  int most;        /* that got rid of it between two looks */
  int when_prompt; /* left when the prompt one's was out; -1: it is not */
  bool over;       /* under raw.lock */
};

static int count_left(void) {
  int left = 0;
  for (int i = 0; i < CROWD; i++) left += raw.pipes[i]->queued_bytes > 0;
  return left;
}

static void look_again(struct wwri_mail *mail) {
  struct watch *watch = WWRI_CONTAINER(mail, struct watch, mail);
  int left = count_left();
  if (watch->left - left > watch->most) watch->most = watch->left - left;
  watch->left = left;
  if (watch->when_prompt < 0 && raw.pipes[LAST]->queued_bytes == 0) {
    watch->when_prompt = left;
  }
  if (left > 0) {
    wwri_loop_post(raw.loop, mail);
    return;
  }
  pthread_mutex_lock(&raw.lock);
  watch->over = true;
  pthread_cond_broadcast(&raw.changed);
  pthread_mutex_unlock(&raw.lock);
}

static struct wwri_frame *letters(char letter, size_t len) {
  struct wwri_frame *frame = wwri_frame_new(len);
  CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
  memset(wwri_frame_message(frame), letter, len);
  return frame;
}

/* Everybody is spread to, the last one too, and then sent something. */
static void spread_and_send(void *arg) {
  struct watch *watch = arg;
  struct wwri_frame *frame = letters('s', SPREAD_LEN);
  wwri_frame_ref_n(frame, CROWD - 1);
  for (int i = 0; i < CROWD; i++) {
    struct wwri_pipe *pipe = raw.pipes[i];
    CU_ASSERT_EQUAL(pipe->ops->spread(pipe, frame), WWR_OK);
  }
  struct wwri_pipe *last = raw.pipes[LAST];
  CU_ASSERT_EQUAL(last->ops->send(last, letters('r', REPLY_LEN)), WWR_OK);
  watch->left = count_left();
  watch->mail.fn = look_again;
  wwri_loop_post(raw.loop, &watch->mail);
}

static void gather_crowd(void) {
  for (int i = 0; i < CROWD; i++) {
    crowd[i] = raw_client(0);
    RAW_WAIT(raw.opened == i + 1);
  }
}

static bool hears(struct rawws *ws, char letter, size_t len) {
  char text[SPREAD_LEN];
  memset(text, letter, len);
  return rawws_expect(ws, text, len, WAIT_MS);
}

static void check_turns(void) {
  struct watch watch = {.when_prompt = -1};
  gather_crowd();
  raw_on_loop(spread_and_send, &watch);
  RAW_WAIT(watch.over);
  CU_ASSERT_TRUE(watch.most <= IN_A_TURN + 1);
  CU_ASSERT_TRUE(watch.when_prompt >= CROWD - IN_A_TURN - 1);
  for (int i = 0; i < CROWD; i++) {
    CU_ASSERT_TRUE(hears(crowd[i], 's', SPREAD_LEN));
    if (i == LAST) CU_ASSERT_TRUE(hears(crowd[i], 'r', REPLY_LEN));
    rawws_free(crowd[i]);
  }
}

static void test_turns(void) {
  raw_start_with(WWR_WRITE_DIRECT, false);
  check_turns();
}

static void test_turns_tls(void) {
  raw_start_with(WWR_WRITE_DIRECT, true);
  check_turns();
}

CU_TestInfo raw_turns[] = {{"turns", test_turns},
                           {"turns with TLS", test_turns_tls},
                           CU_TEST_INFO_NULL};
