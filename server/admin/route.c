/* Which request is which, and who may ask it. */
#include <stdio.h>
#include <string.h>

#include "impl.h"
#include "text.h"

static const struct wwri_route routes[] = {
    {"/live", WWRI_GET, false, wwri_probe_live},
    {"/ready", WWRI_GET, false, wwri_probe_ready},
    {"/metrics", WWRI_GET, false, wwri_probe_metrics},
    {"/api/v1/node", WWRI_GET, true, wwri_api_node},
    {"/api/v1/nodes", WWRI_GET, true, wwri_api_nodes},
    {"/api/v1/shards", WWRI_GET, true, wwri_api_shards},
    {"/api/v1/drain", WWRI_POST, true, wwri_api_drain},
    {"/api/v1/reload", WWRI_POST, true, wwri_api_reload},
    {"/api/v1/channels", WWRI_GET, true, wwri_api_channels},
    {"/api/v1/channels/*", WWRI_GET, true, wwri_api_channel},
    {"/api/v1/channels/*/history", WWRI_GET, true, wwri_api_history},
    {"/api/v1/channels/*/messages", WWRI_POST, true, wwri_api_publish},
    {"/api/v1/sessions", WWRI_GET, true, wwri_api_sessions},
    {"/api/v1/sessions/*", WWRI_GET | WWRI_DELETE, true, wwri_api_session},
    {"/api/v1/connections", WWRI_GET, true, wwri_api_conns},
    {"/api/v1/connections/*", WWRI_GET | WWRI_DELETE, true, wwri_api_conn},
};

/* --- Paths ---------------------------------------------------------------- */

static bool split(struct wwri_ask *ask, const char *path) {
  size_t len = strlen(path), at = 0;
  if (len >= sizeof ask->path || *path != '/') return false;
  memcpy(ask->path, path, len + 1);
  while (at < len) {
    if (ask->part_count == WWRI_ADMIN_PARTS_MAX) return false;
    char *part = ask->path + at + 1;
    size_t part_len = strcspn(part, "/");
    at += part_len + 1;
    part[part_len] = '\0';
    if (!wwri_percent_decode(part, &part_len)) return false;
    ask->parts[ask->part_count++] =
        (struct wwr_view){(const uint8_t *)part, part_len};
  }
  return true;
}

/* A pattern's parts are the same, or "*" for any that is not empty. */
static bool fits(const struct wwri_ask *ask, const char *pattern) {
  size_t i = 0;
  for (; *pattern && i < ask->part_count; i++) {
    size_t len = strcspn(++pattern, "/");
    bool any = len == 1 && *pattern == '*';
    struct wwr_view want = {(const uint8_t *)pattern, len};
    if (any ? !ask->parts[i].len : !wwr_view_equal(want, ask->parts[i])) {
      return false;
    }
    pattern += len;
  }
  return !*pattern && i == ask->part_count;
}

static const struct wwri_route *find(const struct wwri_ask *ask) {
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
    if (fits(ask, routes[i].path)) return &routes[i];
  }
  return NULL;
}

/* --- Who may -------------------------------------------------------------- */

static bool permitted(struct wwri_ask *ask) {
  struct wwri_admin *admin = ask->admin;
  const char *given = wwri_http_header(ask, "Authorization");
  pthread_mutex_lock(&admin->locked.mutex);
  bool exists = *admin->locked.token;
  bool right =
      exists && given && wwri_token_matches(given, admin->locked.token);
  pthread_mutex_unlock(&admin->locked.mutex);
  if (!exists) {
    wwri_answer_error(ask, 403, NULL,
                      "the API is off: no admin token is configured");
  } else if (!right) {
    wwri_answer_error(
        ask, 401, NULL,
        given ? "the token is wrong" : "send Authorization: Bearer TOKEN");
  }
  return right;
}

static bool method_ok(struct wwri_ask *ask) {
  unsigned methods = ask->route->methods;
  char message[80];
  if (methods & ask->method) return true;
  snprintf(ask->allow, sizeof ask->allow, "%s%s%s%s",
           methods & WWRI_GET ? "GET, HEAD" : "",
           methods & WWRI_GET && methods & ~(unsigned)WWRI_GET ? ", " : "",
           methods & WWRI_POST ? "POST" : "",
           methods & WWRI_DELETE ? "DELETE" : "");
  snprintf(message, sizeof message, "only %s", ask->allow);
  wwri_answer_error(ask, 405, NULL, message);
  return false;
}

bool wwri_route_find(struct wwri_ask *ask, const char *path) {
  static const char api[] = "/api/";
  static const struct wwri_route unknown = {"/api/v1/?", 0, true, NULL};
  bool well_formed = split(ask, path);
  /* The API does not tell strangers what is in it. */
  if (strncmp(path, api, sizeof api - 1) == 0) {
    ask->route = &unknown;
    if (!permitted(ask)) return false;
  }
  if (!well_formed) {
    wwri_answer_error(ask, 400, NULL, "the path is malformed or too long");
    return false;
  }
  const struct wwri_route *route = find(ask);
  if (!route) {
    wwri_answer_error(ask, 404, NULL, "there is nothing here");
    return false;
  }
  ask->route = route;
  return method_ok(ask);
}
