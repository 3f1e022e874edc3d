/* terminal.h - print text of strangers on a terminal. */
#ifndef WWR_TERMINAL_H
#define WWR_TERMINAL_H

#include <stddef.h>
#include <stdio.h>

/** Write valid UTF-8 text so that it can do nothing but be read: line breaks
 * and tabs become spaces; other control characters, and those that turn the
 * direction of writing, become U+FFFD. */
void wwr_print_harmless(FILE *out, const char *text, size_t len);

#endif
