/* policy.h - the settings that decide about requests, ready for use: which
 * namespace a channel is in and who may do what there. Pure; immutable, owns
 * all that it has. */
#ifndef WEBWIRED_POLICY_H
#define WEBWIRED_POLICY_H

#include "permit.h"
#include "settings.h"

enum { POLICY_SUBSCRIBE, POLICY_PUBLISH, POLICY_HISTORY, POLICY_ACTIONS };

struct namespace {
  char *prefix; /* "": of those without one */
  size_t prefix_len;
  uint32_t log_entries;
  uint32_t log_age_ms;
  bool presence;
  struct permit permits[POLICY_ACTIONS];
};

struct policy {
  struct namespace *namespaces; /* longest prefix first; the last has none */
  size_t count;
  size_t max_name;
};

/** Make it of settings that settings_settle() finds nothing wrong with. NULL
 * without memory. */
struct policy *policy_new(const struct settings *settings);

/** NULL does nothing. */
void policy_free(struct policy *policy);

/** The namespace of a channel. */
const struct namespace *policy_namespace(const struct policy *policy,
                                         struct wwr_view channel);

/** True when channels with a namespace are kept the same way by both: logs and
 * presence. */
bool policy_keeps_alike(const struct policy *a, const struct policy *b);

/** True when it may be a channel's name: printable ASCII, not beginning with
 * '!' (the server's own) or "gap:" (signals about channels). */
bool policy_name_ok(const struct policy *policy, struct wwr_view channel);

#endif
