#include "policy.h"

#include <stdlib.h>
#include <string.h>

static bool namespace_init(struct namespace *out,
                           const struct namespace_settings *settings) {
  const char *const texts[POLICY_ACTIONS] = {
      [POLICY_SUBSCRIBE] = settings->subscribe,
      [POLICY_PUBLISH] = settings->publish,
      [POLICY_HISTORY] = settings->history};
  *out = (struct namespace){
      .prefix = strdup(settings->prefix ? settings->prefix : ""),
      .log_entries = settings->log_entries,
      .log_age_ms = settings->log_age_ms,
      .presence = settings->presence};
  bool good = out->prefix != NULL;
  out->prefix_len = good ? strlen(out->prefix) : 0;
  for (int i = 0; good && i < POLICY_ACTIONS; i++)
    good = permit_init(&out->permits[i], texts[i]);
  return good;
}

static int longest_first(const void *a, const void *b) {
  const struct namespace *left = a, *right = b;
  if (left->prefix_len == right->prefix_len) return 0;
  return left->prefix_len > right->prefix_len ? -1 : 1;
}

static bool fill(struct policy *policy, const struct settings *settings) {
  const struct namespace_settings *items = settings->namespaces.items;
  size_t count = settings->namespaces.count;
  policy->max_name = settings->max_name;
  policy->namespaces = calloc(count + 1, sizeof *policy->namespaces);
  if (!policy->namespaces) return false;
  for (size_t i = 0; i < count; i++) {
    if (!namespace_init(&policy->namespaces[policy->count++], &items[i]))
      return false;
  }
  qsort(policy->namespaces, count, sizeof *policy->namespaces, longest_first);
  return namespace_init(&policy->namespaces[policy->count++],
                        &settings->channels);
}

struct policy *policy_new(const struct settings *settings) {
  struct policy *policy = calloc(1, sizeof *policy);
  if (policy && fill(policy, settings)) return policy;
  policy_free(policy);
  return NULL;
}

void policy_free(struct policy *policy) {
  if (!policy) return;
  for (size_t i = 0; i < policy->count; i++) {
    free(policy->namespaces[i].prefix);
    for (int p = 0; p < POLICY_ACTIONS; p++)
      permit_deinit(&policy->namespaces[i].permits[p]);
  }
  free(policy->namespaces);
  free(policy);
}

const struct namespace *policy_namespace(const struct policy *policy,
                                         struct wwr_view channel) {
  const struct namespace *at = policy->namespaces;
  while (at->prefix_len > channel.len ||
         memcmp(at->prefix, channel.data, at->prefix_len) != 0)
    at++;
  return at;
}

/* What `a` says of a prefix `b` says, too. */
static bool is_within(const struct policy *a, const struct policy *b) {
  for (size_t i = 0; i < a->count; i++) {
    const struct namespace *one = &a->namespaces[i];
    const struct namespace *other = policy_namespace(
        b, (struct wwr_view){(const uint8_t *)one->prefix, one->prefix_len});
    if (one->prefix_len == 0) continue;
    if (one->log_entries != other->log_entries ||
        one->log_age_ms != other->log_age_ms ||
        one->presence != other->presence)
      return false;
  }
  return true;
}

bool policy_keeps_alike(const struct policy *a, const struct policy *b) {
  return is_within(a, b) && is_within(b, a);
}

bool policy_name_ok(const struct policy *policy, struct wwr_view channel) {
  static const char gap[] = "gap:";
  size_t gap_len = sizeof gap - 1;
  if (channel.len == 0 || channel.len > policy->max_name) return false;
  if (channel.data[0] == '!') return false;
  if (channel.len >= gap_len && memcmp(channel.data, gap, gap_len) == 0)
    return false;
  for (size_t i = 0; i < channel.len; i++) {
    if (channel.data[i] < ' ' || channel.data[i] > '~') return false;
  }
  return true;
}
