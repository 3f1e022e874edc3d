#include "settings.h"

#include <stdio.h>
#include <string.h>

#include "permit.h"

_Static_assert((int)PERMIT_REASON_MAX == (int)WWR_REASON_MAX, "one buffer");

/* 30 days. */
#define MAX_AGE_MS 2592000000U

enum { MAX_NAME = 200, MAX_ENTRIES = 1000000, MIN_AGE_MS = 1000 };

const struct wwr_option_section settings_sections[] = {
    {"server", "Where clients connect, and what they may ask of this node."},
    {"tls", "Encryption. With it the address is wss://."},
    {"admin", "Probes, metrics and the API for operators: docs/admin.md."},
    {"cluster", "Many nodes as one server, over Redis."},
    {"sessions", "Where sessions are kept."},
    {"auth", "How clients sign in."},
    {"limits",
     "How much a client may ask. What is over a rate is refused, and "
     "counted."},
    {"channels",
     "What channels keep, and who may use them: everyone, session (whoever has "
     "one), nobody, info:FIELD=VALUE,... (a field of the session's info is one "
     "of the values, or a list that contains one), info:FIELD (the field is a "
     "list of channel names that contains the channel; * at the end of a name "
     "stands for any rest)."},
    {"drain", "The graceful end, by SIGTERM."},
    {"log", "What is written to stderr."}};
const size_t settings_section_count =
    sizeof settings_sections / sizeof *settings_sections;

/* --- The table ------------------------------------------------------------ */

static bool check_prefix(const char *text, char reason[WWR_REASON_MAX]) {
  size_t len = strlen(text);
  snprintf(reason, WWR_REASON_MAX,
           "'%.64s' begins no channel's name: 1 to %d printable ASCII "
           "characters, not beginning with ! or gap:",
           text, MAX_NAME);
  if (len > MAX_NAME || *text == '!' || strncmp(text, "gap:", 4) == 0)
    return false;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < ' ' || text[i] > '~') return false;
  }
  return true;
}

/* What a channel's namespace decides. In a namespace keys have no section. */
static void channel_rows(struct namespace_settings *channels,
                         struct wwr_option *rows, bool section) {
#define KEY(name) section ? "channels." name : name
  const struct wwr_option all[NAMESPACE_ROWS - 1] = {
      {.value = "N",
       .help = "messages that a channel keeps; 0: no log",
       .kind = WWR_OPTION_NUMBER,
       .target = &channels->log_entries,
       .max = MAX_ENTRIES,
       .key = KEY("log-entries"),
       .detail = "The log is what history is read from and lost links are "
                 "repaired from; without it messages arrive at most once. The "
                 "same on all nodes."},
      {.value = "SECONDS",
       .help = "for how long it keeps them",
       .kind = WWR_OPTION_SECONDS,
       .target = &channels->log_age_ms,
       .min = MIN_AGE_MS,
       .max = MAX_AGE_MS,
       .key = KEY("log-age")},
      {.help = "whether presence: tells who is subscribed",
       .kind = WWR_OPTION_FLAG,
       .target = &channels->presence,
       .key = KEY("presence")},
      {.value = "PERMISSION",
       .help = "who may subscribe",
       .kind = WWR_OPTION_TEXT,
       .target = &channels->subscribe,
       .key = KEY("subscribe"),
       .live = true,
       .check = permit_check},
      {.value = "PERMISSION",
       .help = "who may publish",
       .kind = WWR_OPTION_TEXT,
       .target = &channels->publish,
       .key = KEY("publish"),
       .live = true,
       .check = permit_check},
      {.value = "PERMISSION",
       .help = "who may read the log",
       .kind = WWR_OPTION_TEXT,
       .target = &channels->history,
       .key = KEY("history"),
       .live = true,
       .check = permit_check},
  };
#undef KEY
  memcpy(rows, all, sizeof all);
}

static void bind_namespace(void *item, struct wwr_option *rows) {
  struct namespace_settings *namespace = item;
  rows[0] = (struct wwr_option){.value = "chat:",
                                .help = "how the names of its channels begin",
                                .kind = WWR_OPTION_TEXT,
                                .target = &namespace->prefix,
                                .key = "prefix",
                                .check = check_prefix};
  channel_rows(namespace, rows + 1, false);
}

void settings_init(struct settings *settings) {
  *settings = (struct settings){
      .max_name = MAX_NAME,
      .channels = {.log_entries = 1000,
                   .log_age_ms = 600000,
                   .subscribe = "everyone",
                   .publish = "everyone",
                   .history = "everyone"},
      .namespaces = {.item_size = sizeof(struct namespace_settings),
                     .row_count = NAMESPACE_ROWS,
                     .max = NAMESPACES_MAX,
                     .initial = &settings->channels,
                     .bind = bind_namespace}};
  access_init(&settings->access);
}

void settings_rows(struct settings *settings, struct wwr_option *rows) {
  access_rows(&settings->access, rows);
  rows += ACCESS_ROWS;
  *rows++ = (struct wwr_option){.value = "BYTES",
                                .help = "longest name of a channel",
                                .kind = WWR_OPTION_NUMBER,
                                .target = &settings->max_name,
                                .min = 1,
                                .max = MAX_NAME,
                                .key = "channels.max-name",
                                .live = true};
  channel_rows(&settings->channels, rows, true);
  rows += NAMESPACE_ROWS - 1;
  *rows = (struct wwr_option){
      .help = "channels that are otherwise, by the beginning of their names",
      .kind = WWR_OPTION_GROUPS,
      .target = &settings->namespaces,
      .key = "channels.namespaces",
      .live = true,
      .detail =
          "The longest prefix that fits counts; keys that a namespace "
          "does not have are those above. SIGHUP changes permissions, "
          "and the rest at the next start."};
}

/* --- What is wrong -------------------------------------------------------- */

static const struct namespace_settings *namespace_at(
    const struct settings *settings, size_t index) {
  return (const struct namespace_settings *)settings->namespaces.items + index;
}

static void check_namespace(const struct settings *settings,
                            struct wwr_options *options, size_t index) {
  const char *prefix = namespace_at(settings, index)->prefix;
  if (!prefix) {
    if (!wwr_option_item_given(options, "channels.namespaces", index, "prefix"))
      wwr_options_reject_item(options, "channels.namespaces", index, "prefix",
                              "is missing");
    return;
  }
  for (size_t i = 0; i < index; i++) {
    const char *other = namespace_at(settings, i)->prefix;
    if (!other || strcmp(other, prefix) != 0) continue;
    wwr_options_reject_item(options, "channels.namespaces", index, "prefix",
                            "occurs twice");
    return;
  }
}

void settings_settle(const struct settings *settings,
                     struct wwr_options *options) {
  for (size_t i = 0; i < settings->namespaces.count; i++)
    check_namespace(settings, options, i);
  access_settle(&settings->access, options);
}
