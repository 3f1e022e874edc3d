/* said.h - what happened, written down as text and compared: callbacks add to
 * it, the test expects it. */
#ifndef TEST_SAID_H
#define TEST_SAID_H

struct said {
  char text[1024];
};

__attribute__((format(printf, 2, 3))) void said_add(struct said *said,
                                                    const char *format, ...);

/** Assert that exactly this was said since the last time, and forget it. */
void said_expect(struct said *said, const char *text);

#endif
