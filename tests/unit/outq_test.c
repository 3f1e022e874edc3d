#include "outq.h"

#include "test.h"

static struct wwri_frame *frame_of(size_t len) {
  struct wwri_frame *frame = wwri_frame_new(len);
  CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
  return frame;
}

static void push_new(struct wwri_outq *queue, size_t len) {
  CU_ASSERT_EQUAL_FATAL(wwri_outq_push(queue, frame_of(len), UINT32_MAX),
                        WWR_OK);
}

static void test_order_over_growth_and_wrap(void) {
  struct wwri_outq queue;
  wwri_outq_init(&queue);
  size_t in = 0;
  size_t out = 0;
  for (int round = 0; round < 50; round++) {
    for (int i = 0; i < round % 13; i++) push_new(&queue, in++);
    for (int i = 0; i < round % 11 && queue.count > 0; i++) {
      struct wwri_frame *frame = wwri_outq_pop(&queue);
      CU_ASSERT_EQUAL(frame->message_len, out++);
      wwri_frame_unref(frame);
    }
    CU_ASSERT_EQUAL(queue.count, in - out);
  }
  for (uint32_t i = 0; i < queue.count; i++) {
    CU_ASSERT_EQUAL(wwri_outq_peek(&queue, i)->message_len, out + i);
  }
  wwri_outq_deinit(&queue);
  CU_ASSERT_EQUAL(queue.bytes, 0);
  CU_ASSERT_PTR_NULL(queue.ring);
}

static void test_ceiling(void) {
  struct wwri_outq queue;
  wwri_outq_init(&queue);
  struct wwri_frame *big = frame_of(1000); /* 1004 with its header */
  struct wwri_frame *small = frame_of(10); /* 12 */
  CU_ASSERT_EQUAL(wwri_outq_push(&queue, big, 5), WWR_OK); /* it was empty */
  CU_ASSERT_EQUAL(wwri_outq_push(&queue, small, 1015), WWR_E_SLOW_CONSUMER);
  CU_ASSERT_EQUAL(queue.count, 1);
  CU_ASSERT_EQUAL(wwri_outq_push(&queue, small, 1016), WWR_OK);
  CU_ASSERT_EQUAL(queue.bytes, 1016);
  wwri_outq_written(&queue, 1);
  CU_ASSERT_EQUAL(queue.bytes, 1015);
  wwri_outq_deinit(&queue);
}

/* Any way of cutting the bytes gives the same frames. */
static void test_written_in_pieces(void) {
  for (size_t piece = 1; piece < 40; piece++) {
    struct wwri_outq queue;
    wwri_outq_init(&queue);
    for (size_t i = 0; i < 5; i++) push_new(&queue, i * 3);
    size_t total = queue.bytes;
    for (size_t sent = 0; sent < total;) {
      size_t now = piece < total - sent ? piece : total - sent;
      wwri_outq_written(&queue, now);
      sent += now;
      CU_ASSERT_EQUAL(queue.bytes, total - sent);
      if (queue.count > 0) {
        struct wwri_frame *first = wwri_outq_peek(&queue, 0);
        CU_ASSERT_TRUE(queue.offset < wwri_frame_wire_len(first));
      }
    }
    CU_ASSERT_EQUAL(queue.count, 0);
    CU_ASSERT_EQUAL(queue.offset, 0);
    wwri_outq_deinit(&queue);
  }
}

static void test_big_ring_is_freed_when_empty(void) {
  struct wwri_outq queue;
  wwri_outq_init(&queue);
  CU_ASSERT_PTR_NULL(queue.ring);
  for (int i = 0; i < 16; i++) push_new(&queue, 1);
  wwri_outq_written(&queue, queue.bytes);
  CU_ASSERT_PTR_NOT_NULL(queue.ring);
  for (int i = 0; i < 17; i++) push_new(&queue, 1);
  wwri_outq_written(&queue, queue.bytes);
  CU_ASSERT_PTR_NULL(queue.ring);
  CU_ASSERT_EQUAL(queue.cap, 0);
  push_new(&queue, 1);
  CU_ASSERT_EQUAL(queue.count, 1);
  wwri_outq_deinit(&queue);
}

static void test_pop_of_empty(void) {
  struct wwri_outq queue;
  wwri_outq_init(&queue);
  CU_ASSERT_PTR_NULL(wwri_outq_pop(&queue));
  wwri_outq_deinit(&queue);
}

static void test_no_memory(void) {
  struct wwri_outq queue;
  wwri_outq_init(&queue);
  struct wwri_frame *frame = frame_of(1);
  test_alloc_fail_at(0);
  CU_ASSERT_EQUAL(wwri_outq_push(&queue, frame, 100), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  for (int i = 0; i < 8; i++) push_new(&queue, 1);
  test_alloc_fail_at(0); /* growing keeps what is there */
  CU_ASSERT_EQUAL(wwri_outq_push(&queue, frame, 100), WWR_E_NOMEM);
  CU_ASSERT_TRUE(test_alloc_failed());
  CU_ASSERT_EQUAL(queue.count, 8);
  CU_ASSERT_EQUAL(queue.bytes, 24);
  wwri_frame_unref(frame); /* still ours */
  wwri_outq_deinit(&queue);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"order over growth and wrap", test_order_over_growth_and_wrap},
      {"ceiling", test_ceiling},
      {"written in pieces", test_written_in_pieces},
      {"big ring freed when empty", test_big_ring_is_freed_when_empty},
      {"pop of empty", test_pop_of_empty},
      {"no memory", test_no_memory},
      CU_TEST_INFO_NULL,
  };
  CU_SuiteInfo suites[] = {
      {"outq", NULL, NULL, NULL, NULL, tests},
      CU_SUITE_INFO_NULL,
  };
  return test_run(argc, argv, suites);
}
