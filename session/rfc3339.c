#include <stdio.h>
#include <string.h>
#include <time.h>

#include "session.h"

enum { NANOS = 1000000000, DAY = 86400 };

/* Days since 1970-01-01 of a date of the Gregorian calendar, counted in
 * years that start in March so that the leap day comes last. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year =
      (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

struct reader {
  const uint8_t *at;
  const uint8_t *end;
  bool bad;
};

static unsigned take_digits(struct reader *in, int count) {
  unsigned value = 0;
  for (; count > 0; count--) {
    if (in->at == in->end || *in->at < '0' || *in->at > '9') {
      in->bad = true;
      return 0;
    }
    value = value * 10 + (unsigned)(*in->at++ - '0');
  }
  return value;
}

/* The next character, if it is one of `set`; else 0 and nothing is taken. */
static char take_one_of(struct reader *in, const char *set) {
  if (in->at == in->end || !*in->at || !strchr(set, *in->at)) return 0;
  return (char)*in->at++;
}

static void expect(struct reader *in, const char *set) {
  if (!take_one_of(in, set)) in->bad = true;
}

static int64_t month_days(int64_t year, unsigned month) {
  static const uint8_t days[] = {31, 28, 31, 30, 31, 30,
                                 31, 31, 30, 31, 30, 31};
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return days[month - 1] + (leap && month == 2);
}

static int64_t take_date(struct reader *in) {
  unsigned year = take_digits(in, 4);
  expect(in, "-");
  unsigned month = take_digits(in, 2);
  expect(in, "-");
  unsigned day = take_digits(in, 2);
  if (in->bad || month < 1 || month > 12 || day < 1 ||
      day > month_days(year, month)) {
    in->bad = true;
    return 0;
  }
  return days_from_date(year, month, day);
}

/* "18:50" in seconds. */
static int64_t take_hours_minutes(struct reader *in) {
  unsigned hours = take_digits(in, 2);
  expect(in, ":");
  unsigned minutes = take_digits(in, 2);
  if (hours > 23 || minutes > 59) in->bad = true;
  return (int64_t)hours * 3600 + (int64_t)minutes * 60;
}

static int64_t take_seconds(struct reader *in) {
  expect(in, ":");
  unsigned seconds = take_digits(in, 2);
  if (seconds > 59) in->bad = true; /* leap seconds: Unix time has none */
  return seconds;
}

static int64_t take_fraction(struct reader *in) {
  if (!take_one_of(in, ".")) return 0;
  int64_t nanos = take_digits(in, 1) * (int64_t)(NANOS / 10);
  for (int64_t unit = NANOS / 100; in->at < in->end; unit /= 10) {
    if (*in->at < '0' || *in->at > '9') break;
    nanos += (*in->at++ - '0') * unit;
  }
  return nanos;
}

/* Seconds east of UTC. */
static int64_t take_zone(struct reader *in) {
  char sign = take_one_of(in, "Zz+-");
  if (sign == '+') return take_hours_minutes(in);
  if (sign == '-') return -take_hours_minutes(in);
  if (!sign) in->bad = true;
  return 0;
}

/* Before 1970 count back from the next second, so that the earliest
 * nanosecond does not overflow on the way. */
static bool join(int64_t seconds, int64_t nanos, int64_t *unix_ns) {
  if (seconds < 0) {
    seconds += 1;
    nanos -= NANOS;
  }
  int64_t whole;
  return !__builtin_mul_overflow(seconds, (int64_t)NANOS, &whole) &&
         !__builtin_add_overflow(whole, nanos, unix_ns);
}

bool wwri_rfc3339_parse(struct wwr_view text, int64_t *unix_ns) {
  if (text.len == 0) return false;
  struct reader in = {text.data, text.data + text.len, false};
  int64_t seconds = take_date(&in) * DAY;
  expect(&in, "Tt");
  seconds += take_hours_minutes(&in);
  seconds += take_seconds(&in);
  int64_t nanos = take_fraction(&in);
  seconds -= take_zone(&in);
  if (in.bad || in.at != in.end) return false;
  return join(seconds, nanos, unix_ns);
}

/* ".5Z" for half a second, "Z" for none. */
static void format_fraction(int64_t nanos, char *out, size_t cap) {
  size_t len = 0;
  if (nanos > 0) {
    len = (size_t)snprintf(out, cap, ".%09u", (unsigned)nanos);
    while (out[len - 1] == '0') len--;
  }
  snprintf(out + len, cap - len, "Z");
}

void wwri_rfc3339_format(int64_t unix_ns, char *out) {
  int64_t nanos = unix_ns % NANOS;
  time_t seconds = (time_t)(unix_ns / NANOS);
  if (nanos < 0) {
    nanos += NANOS;
    seconds -= 1;
  }
  struct tm tm;
  gmtime_r(&seconds, &tm);
  size_t len = strftime(out, WWRI_RFC3339_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
  format_fraction(nanos, out + len, WWRI_RFC3339_MAX - len);
}

int64_t wwri_unix_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * NANOS + now.tv_nsec;
}
