/* The WebSocket header in front of a message, and its references. */
#include <pthread.h>
#include <string.h>

#include "frame.h"
#include "test.h"

struct expectation {
  size_t len;
  uint8_t header[10];
  size_t header_len;
};

/* RFC 6455, 5.2: 0x82, then the length in 7 bits, 126 and 16 bits, or 127 and
 * 64 bits, big-endian. */
static const struct expectation expectations[] = {
    {0, {0x82, 0}, 2},
    {1, {0x82, 1}, 2},
    {125, {0x82, 125}, 2},
    {126, {0x82, 126, 0, 126}, 4},
    {256, {0x82, 126, 1, 0}, 4},
    {65535, {0x82, 126, 0xff, 0xff}, 4},
    {65536, {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}, 10},
    {0x123456, {0x82, 127, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56}, 10},
};

static void headers_are_rfc6455(void) {
  for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
    const struct expectation *want = &expectations[i];
    struct wwri_frame *frame = wwri_frame_new(want->len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
    memset(wwri_frame_message(frame), 0xab, want->len);
    CU_ASSERT_EQUAL(frame->header_len, want->header_len);
    CU_ASSERT_EQUAL(memcmp(frame->wire, want->header, want->header_len), 0);
    struct wwr_view view = wwri_frame_view(frame);
    CU_ASSERT_EQUAL(view.len, want->len);
    CU_ASSERT_PTR_EQUAL(view.data, frame->wire + want->header_len);
    CU_ASSERT_EQUAL(wwri_frame_wire_len(frame), want->header_len + want->len);
    wwri_frame_unref(frame);
  }
}

static void no_memory_gives_no_frame(void) {
  test_alloc_fail_at(0);
  CU_ASSERT_PTR_NULL(wwri_frame_new(10));
  CU_ASSERT_TRUE(test_alloc_failed());
  CU_ASSERT_PTR_NULL(wwri_frame_new((size_t)UINT32_MAX + 1));
  CU_ASSERT_PTR_NULL(wwri_frame_new(SIZE_MAX));
  wwri_frame_unref(NULL);
}

enum { THREADS = 4, ROUNDS = 20000 };

/* Takes over one reference. */
static void *churn(void *arg) {
  struct wwri_frame *frame = arg;
  for (int i = 0; i < ROUNDS; i++) {
    wwri_frame_ref_n(frame, 2);
    wwri_frame_unref(wwri_frame_ref(frame));
    wwri_frame_unref(frame);
    wwri_frame_unref(frame);
  }
  wwri_frame_unref(frame);
  return NULL;
}

static void references_are_counted_across_threads(void) {
  struct wwri_frame *frame = wwri_frame_new(3);
  CU_ASSERT_PTR_NOT_NULL_FATAL(frame);
  pthread_t threads[THREADS];
  wwri_frame_ref_n(frame, THREADS);
  for (int i = 0; i < THREADS; i++) {
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, churn, frame), 0);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  CU_ASSERT_EQUAL(atomic_load(&frame->refs), 1);
  wwri_frame_unref(frame); /* a leak or a double free shows under ASan */
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"headers are RFC 6455's", headers_are_rfc6455},
                         {"no memory gives no frame", no_memory_gives_no_frame},
                         {"references are counted across threads",
                          references_are_counted_across_threads},
                         CU_TEST_INFO_NULL};
  CU_SuiteInfo suites[] = {{"frame", NULL, NULL, NULL, NULL, tests},
                           CU_SUITE_INFO_NULL};
  return test_run(argc, argv, suites);
}
