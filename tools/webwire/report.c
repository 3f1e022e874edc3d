#include "report.h"
#include "terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const words[] = {"ok", "warning", "problem", "skipped"};

void report_begin(struct report *report, bool json) {
  *report = (struct report){.json = json};
  if (json) report->findings = json_array();
}

static void print(enum finding finding, const char *what, const char *text,
                  const char *advice) {
  printf("%-8s %s: ", words[finding], what);
  wwr_print_harmless(stdout, text, strlen(text));
  if (advice) printf("\n         -> %s", advice);
  putchar('\n');
  fflush(stdout);
}

void report_say(struct report *report, enum finding finding, const char *what,
                const char *advice, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  report->counts[finding]++;
  if (!report->json) {
    print(finding, what, text, advice);
  } else if (report->findings) {
    json_array_append_new(
        report->findings,
        json_pack("{s:s, s:s, s:s, s:s*}", "finding", words[finding], "what",
                  what, "text", text, "advice", advice));
  }
}

int report_end(struct report *report) {
  unsigned problems = report->counts[FINDING_PROBLEM];
  if (report->json) {
    json_t *json = json_pack("{s:b, s:o}", "ok", (int)(problems == 0),
                             "findings", report->findings);
    if (cli_print_json(json) != WWR_EXIT_OK) return WWR_EXIT_FAILED;
  } else {
    printf("%u problems, %u warnings, %u ok, %u skipped\n", problems,
           report->counts[FINDING_WARNING], report->counts[FINDING_OK],
           report->counts[FINDING_SKIPPED]);
  }
  return problems == 0 ? WWR_EXIT_OK : WWR_EXIT_FAILED;
}
