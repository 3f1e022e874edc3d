/* What was meant: the known word that is fewest changes away. */
#include <string.h>

#include "config.h"

enum { LONGEST = 32, FURTHEST = 3 };

static unsigned least(unsigned a, unsigned b, unsigned c) {
  unsigned ab = a < b ? a : b;
  return ab < c ? ab : c;
}

unsigned wwri_distance(const char *a, const char *b) {
  unsigned row[LONGEST + 1];
  size_t a_len = strnlen(a, LONGEST), b_len = strnlen(b, LONGEST);
  for (size_t j = 0; j <= b_len; j++) row[j] = (unsigned)j;
  for (size_t i = 1; i <= a_len; i++) {
    unsigned diagonal = row[0];
    row[0] = (unsigned)i;
    for (size_t j = 1; j <= b_len; j++) {
      unsigned above = row[j];
      unsigned change = diagonal + (a[i - 1] != b[j - 1]);
      row[j] = least(above + 1, row[j - 1] + 1, change);
      diagonal = above;
    }
  }
  return row[b_len];
}

static const char *last_part(const char *key) {
  const char *dot = strrchr(key, '.');
  return dot ? dot + 1 : key;
}

/* A key that is right but for its section is as near as can be. */
static unsigned distance_of(const char *word, const char *written) {
  unsigned whole = wwri_distance(word, written);
  unsigned part = wwri_distance(last_part(word), last_part(written)) + 1;
  return whole < part ? whole : part;
}

const char *wwri_hint(const struct wwr_command *command, const char *written,
                      bool file) {
  const char *best = NULL;
  unsigned nearest = FURTHEST + 1;
  if (strlen(last_part(written)) <= nearest) nearest = 2;
  for (size_t i = 0; i < command->option_count; i++) {
    const struct wwr_option *row = &command->options[i];
    const char *word = file && command->sections ? row->key : row->name;
    if (!word || (file && row->kind == WWR_OPTION_FILE)) continue;
    unsigned distance = distance_of(word, written);
    if (distance >= nearest) continue;
    nearest = distance;
    best = word;
  }
  return best;
}
