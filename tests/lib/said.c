#include "said.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

void said_add(struct said *said, const char *format, ...) {
  size_t len = strlen(said->text);
  va_list args;
  va_start(args, format);
  vsnprintf(said->text + len, sizeof said->text - len, format, args);
  va_end(args);
}

void said_expect(struct said *said, const char *text) {
  if (strcmp(said->text, text) != 0) printf("said: %s\n", said->text);
  CU_ASSERT_STRING_EQUAL(said->text, text);
  said->text[0] = '\0';
}
