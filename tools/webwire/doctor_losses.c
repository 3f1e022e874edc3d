/* What nodes lose while the doctor looks: their counters are since their start,
 * which may be months ago, so that they are read twice. How long he looks is
 * --idle, mostly. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adminapi.h"
#include "doctor.h"

struct counts {
  double started; /* Unix seconds; another: a process of its own */
  double slow;
  double gaps;
};

struct doctor_losses {
  struct timespec begun;
  struct counts nodes[];
};

double doctor_metric(const char *metrics, const char *name) {
  size_t len = strlen(name);
  for (const char *at = metrics; (at = strstr(at, name)); at += len) {
    if ((at == metrics || at[-1] == '\n') && at[len] == ' ')
      return strtod(at + len, NULL);
  }
  return -1;
}

/* False when the node does not say: others say why. */
static bool count(const struct cli *cli, const char *base, struct counts *out) {
  struct http_answer answer;
  bool ok = http_ask(cli, base, "GET", "/metrics", NULL, &answer) &&
            answer.status == 200;
  if (ok) {
    *out = (struct counts){
        doctor_metric(answer.text, "process_start_time_seconds"),
        doctor_metric(answer.text, "webwire_slow_consumers_total"),
        doctor_metric(answer.text, "webwire_verdicts_total{kind=\"lost\"}")};
  }
  http_deinit(&answer);
  return ok;
}

struct doctor_losses *doctor_losses_begin(const struct cli *cli) {
  struct doctor_losses *losses =
      calloc(1, sizeof *losses + cli->admins.count * sizeof *losses->nodes);
  if (!losses) return NULL;
  clock_gettime(CLOCK_MONOTONIC, &losses->begun);
  for (size_t i = 0; i < cli->admins.count; i++) {
    if (!count(cli, cli->admins.items[i], &losses->nodes[i]))
      losses->nodes[i].slow = -1;
  }
  return losses;
}

/* --- What came meanwhile -------------------------------------------------- */

struct loss {
  const char *what, *unit, *advice;
};

static const struct loss slow_consumers = {
    "slow consumers", "connections were cut off",
    "clients read too slowly for what they are sent; server.max-queued is what "
    "they may fall behind"};
static const struct loss messages = {
    "messages", "gaps could not be repaired",
    "a longer channels.log-entries or log-age would have kept them"};

static void say(struct report *report, const char *base,
                const struct loss *loss, double before, double now,
                double seconds) {
  double lost = now - before;
  report_say(report, lost > 0 ? FINDING_WARNING : FINDING_OK, loss->what,
             lost > 0 ? loss->advice : NULL,
             "%s: in %.1f s %.0f %s, %.0f since its start", base, seconds, lost,
             loss->unit, now);
}

static void compare(const struct cli *cli, struct report *report, size_t i,
                    const struct doctor_losses *losses, double seconds) {
  const char *base = cli->admins.items[i];
  struct counts before = losses->nodes[i], now;
  if (before.slow < 0 || !count(cli, base, &now)) return;
  if (now.started > before.started) before = (struct counts){0};
  say(report, base, &slow_consumers, before.slow, now.slow, seconds);
  /* Without a cluster there are no verdicts. */
  if (now.gaps >= 0)
    say(report, base, &messages, before.gaps < 0 ? 0 : before.gaps, now.gaps,
        seconds);
}

void doctor_losses_end(const struct cli *cli, struct report *report,
                       struct doctor_losses *before) {
  struct timespec now;
  if (!before) return;
  clock_gettime(CLOCK_MONOTONIC, &now);
  double seconds = (double)(now.tv_sec - before->begun.tv_sec) +
                   (double)(now.tv_nsec - before->begun.tv_nsec) / 1e9;
  for (size_t i = 0; i < cli->admins.count; i++)
    compare(cli, report, i, before, seconds);
  free(before);
}
