#include "room.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

int room_parse_history(const char *json, char texts[][64], int max) {
  static const char pattern[] =
      "^[[,]\\{\"user\":\"([A-Za-z]+)\",\"msg\":\"([^\"]*)\",\"time\":\"20[0-9-"
      "]{8}T[0-9:]{8}\\.[0-9]{3}Z\",\"id\":\"[0-9]+-[0-9]+\"\\}";
  regex_t regex;
  regmatch_t found[3];
  int count = 0;
  if (strcmp(json, "[]") == 0) return 0;
  if (regcomp(&regex, pattern, REG_EXTENDED) != 0) return -1;
  while (count < max && regexec(&regex, json, 3, found, 0) == 0) {
    snprintf(texts[count++], 64, "%.*s: %.*s",
             (int)(found[1].rm_eo - found[1].rm_so), json + found[1].rm_so,
             (int)(found[2].rm_eo - found[2].rm_so), json + found[2].rm_so);
    json += found[0].rm_eo;
  }
  regfree(&regex);
  return strcmp(json, "]") == 0 ? count : -1;
}

bool room_lists(struct rawws *ws, const char *user, int connections) {
  char json[ROOM_MAX_TEXT] = "", row[128];
  snprintf(row, sizeof row, "{\"user\":\"%s\",\"connections\":%d}", user,
           connections);
  for (int i = 0; i < 400; i++) {
    if (!wire_ask(ws, "who", NULL, json, sizeof json)) break;
    bool absent = connections == 0 && !strstr(json, user);
    if (absent || strstr(json, row)) return true;
    rawws_expect_silence(ws, 50);
  }
  fprintf(stderr, "expected %s: %s\n", row, json);
  return false;
}
