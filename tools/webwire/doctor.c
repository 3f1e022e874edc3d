#include "doctor.h"

int cli_doctor(const struct cli *cli) {
  struct report report;
  report_begin(&report, cli->json);
  doctor_nodes(cli, &report);
  doctor_redis(cli, &report);
  doctor_way(cli, &report);
  return report_end(&report);
}
