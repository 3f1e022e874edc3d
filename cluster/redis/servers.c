/* servers.c - the text is cut at white space, each word is a URL.
 *
 * What can go wrong: a word that is no URL, too many of them, the same Redis
 * twice, by whatever database: channels have none. Two names of one server are
 * not seen here; its memberships will refuse each other. */
#include "servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char space[] = " \t\r\n\v\f";

static size_t count_words(const char *text) {
  size_t count = 0;
  for (text += strspn(text, space); *text; text += strspn(text, space)) {
    text += strcspn(text, space);
    count++;
  }
  return count;
}

static bool same_host(const struct wwri_redis_host *a,
                      const struct wwri_redis_host *b) {
  return a->port == b->port && strcasecmp(a->name, b->name) == 0;
}

static bool share_a_host(const struct wwri_redis_url *a,
                         const struct wwri_redis_url *b) {
  for (size_t i = 0; i < a->host_count; i++) {
    for (size_t j = 0; j < b->host_count; j++) {
      if (same_host(&a->hosts[i], &b->hosts[j])) return true;
    }
  }
  return false;
}

/* Sentinels know many masters; else the address is what counts. */
static bool same_server(const struct wwri_redis_url *a,
                        const struct wwri_redis_url *b) {
  if (a->sentinel != b->sentinel) return false;
  if (a->path[0] || b->path[0]) return strcmp(a->path, b->path) == 0;
  if (a->sentinel && strcmp(a->master, b->master) != 0) return false;
  return share_a_host(a, b);
}

static size_t find_same(const struct wwri_servers *servers, size_t index) {
  for (size_t i = 0; i < index; i++) {
    if (same_server(&servers->urls[i], &servers->urls[index])) return i + 1;
  }
  return 0;
}

static const char *read_one(struct wwri_servers *out, size_t index,
                            const char *word,
                            struct wwri_servers_fault *fault) {
  struct wwri_redis_url *url = &out->urls[index];
  const char *why = NULL;
  if (wwri_redis_url_parse(url, word, &why)) return why;
  wwri_redis_url_name(url, out->names[index]);
  if (url->cluster && fault->of > 1) {
    return "redis+cluster:// stands alone, it names several hosts itself";
  }
  fault->other = find_same(out, index);
  return fault->other ? "this Redis is in the list already" : NULL;
}

static wwr_err read_words(struct wwri_servers *out, char *words,
                          struct wwri_servers_fault *fault) {
  for (size_t i = 0; i < out->count; i++) {
    words += strspn(words, space);
    size_t len = strcspn(words, space);
    bool last = !words[len];
    words[len] = '\0';
    fault->why = read_one(out, i, words, fault);
    fault->at = i + 1;
    if (fault->why) return WWR_E_INVALID;
    words += len + !last;
  }
  if (out->count > 1) out->sharding = WWRI_SHARD_LIST;
  if (out->urls[0].cluster) out->sharding = WWRI_REDIS_CLUSTER;
  return WWR_OK;
}

wwr_err wwri_servers_parse(struct wwri_servers *out, const char *text,
                           struct wwri_servers_fault *fault) {
  size_t count = count_words(text);
  *out = (struct wwri_servers){.count = count};
  *fault = (struct wwri_servers_fault){.of = count};
  if (count == 0) {
    fault->why = "url is empty";
    return WWR_E_INVALID;
  }
  if (count > WWRI_SHARDS_MAX) {
    fault->why = "more than 64 Redis servers";
    return WWR_E_INVALID;
  }
  char *words = strdup(text);
  out->urls = calloc(count, sizeof *out->urls);
  out->names = calloc(count, sizeof *out->names);
  wwr_err err = words && out->urls && out->names ? WWR_OK : WWR_E_NOMEM;
  if (!err) err = read_words(out, words, fault);
  free(words);
  return err;
}

void wwri_servers_say(wwr_err err, const struct wwri_servers_fault *fault,
                      char *why, size_t cap) {
  if (err == WWR_E_NOMEM) {
    snprintf(why, cap, "out of memory");
  } else if (fault->other) {
    snprintf(why, cap, "URL %zu of %zu is the same Redis as URL %zu", fault->at,
             fault->of, fault->other);
  } else if (fault->at && fault->of > 1) {
    snprintf(why, cap, "URL %zu of %zu: %s", fault->at, fault->of, fault->why);
  } else {
    snprintf(why, cap, "%s", fault->why);
  }
}

void wwri_servers_free(struct wwri_servers *servers) {
  free(servers->urls);
  free(servers->names);
  *servers = (struct wwri_servers){0};
}
