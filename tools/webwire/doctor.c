#include "doctor.h"

#include <stdlib.h>

enum { SKEW_S = 2, SKEW_TOO_MUCH_S = 10 };

/* Clocks tell whole seconds, and an answer takes its time. */
void doctor_clock(struct report *report, const char *what, const char *whose,
                  long skew_s) {
  long apart = labs(skew_s);
  enum finding finding = FINDING_OK;
  if (apart > SKEW_S) finding = FINDING_WARNING;
  if (apart > SKEW_TOO_MUCH_S) finding = FINDING_PROBLEM;
  report_say(
      report, finding, what,
      apart > SKEW_S ? "run chrony or systemd-timesyncd on all machines" : NULL,
      "%s is %ld s from ours", whose, apart);
}

int cli_doctor(const struct cli *cli) {
  struct report report;
  report_begin(&report, cli->json);
  struct doctor_losses *losses = doctor_losses_begin(cli);
  doctor_nodes(cli, &report);
  doctor_redis(cli, &report);
  doctor_way(cli, &report);
  doctor_losses_end(cli, &report, losses);
  return report_end(&report);
}
