/* The linker sends our objects' malloc & co. here (--wrap), so that a test can
 * fail any one of them without a hook in the library. */
#include "test.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);

static atomic_long remaining = -1;
static atomic_bool failed;

void test_alloc_fail_at(long n) {
  atomic_store(&failed, false);
  atomic_store(&remaining, n);
}

bool test_alloc_failed(void) {
  atomic_store(&remaining, -1);
  return atomic_exchange(&failed, false);
}

static bool must_fail(void) {
  if (atomic_load_explicit(&remaining, memory_order_relaxed) < 0) return false;
  if (atomic_fetch_sub(&remaining, 1) != 0) return false;
  atomic_store(&failed, true);
  return true;
}

void *__wrap_malloc(size_t size) {
  return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
  return must_fail() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strndup(const char *text, size_t max) {
  size_t len = strnlen(text, max);
  char *copy = must_fail() ? NULL : __real_malloc(len + 1);
  if (!copy) return NULL;
  memcpy(copy, text, len);
  copy[len] = '\0';
  return copy;
}

char *__wrap_strdup(const char *text) {
  return __wrap_strndup(text, (size_t)-1);
}
