/* A request that was recognised is the same with more behind it and partial
 * with less; its parts lie inside it and are text. */
#include <string.h>

#include "fuzz.h"
#include "wshead.h"

static enum wwri_wshead_kind read_copy(struct wwri_wshead *head, char **copy,
                                       const uint8_t *data, size_t size) {
  *copy = malloc(size ? size : 1);
  fuzz_check(*copy);
  if (size) memcpy(*copy, data, size);
  return wwri_wshead_read(head, *copy, size);
}

static enum wwri_wshead_kind kind_of(const uint8_t *data, size_t size) {
  struct wwri_wshead head;
  char *copy;
  enum wwri_wshead_kind kind = read_copy(&head, &copy, data, size);
  free(copy);
  return kind;
}

static void check_text(const char *text, const char *from, size_t size) {
  fuzz_check(text > from && text < from + size);
  fuzz_check(memchr(text, '\0', (size_t)(from + size - text)));
  fuzz_check(!strpbrk(text, "\r\n"));
}

static void check_parts(const struct wwri_wshead *head, const char *from) {
  check_text(head->path, from, head->len);
  fuzz_check(head->path[0] == '/' && !strpbrk(head->path, " ?%"));
  if (head->query) check_text(head->query, from, head->len);
  for (size_t i = 0; i < head->header_count; i++) {
    check_text(head->headers[i].name, from, head->len);
    check_text(head->headers[i].value, from, head->len);
    fuzz_check(wwri_wshead_find(head, head->headers[i].name) ==
               head->headers[i].value);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct wwri_wshead head;
  char *copy;
  enum wwri_wshead_kind kind = read_copy(&head, &copy, data, size);
  if (kind == WWRI_WSHEAD_UPGRADE) {
    fuzz_check(head.len <= size);
    check_parts(&head, copy);
    fuzz_check(kind_of(data, head.len) == WWRI_WSHEAD_UPGRADE);
    fuzz_check(kind_of(data, head.len - 1) == WWRI_WSHEAD_PARTIAL);
    fuzz_check(kind_of(data, head.len / 2) == WWRI_WSHEAD_PARTIAL);
  } else if (kind == WWRI_WSHEAD_PARTIAL && size > 0) {
    fuzz_check(kind_of(data, size - 1) == WWRI_WSHEAD_PARTIAL);
  }
  free(copy);
  return 0;
}
