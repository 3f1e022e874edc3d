/* Happy path: cut at ://, then ?, then the first /, then the last @, then
 * commas; decode each part where it lies in the end. Each step returns NULL or
 * what is wrong, and the first complaint ends it. */
#include "url.h"

#include <string.h>

enum { MAX_DB = 1000000, MAX_PORT = 65535 };

/* A piece of the text. */
struct part {
  const char *at;
  size_t len;
};

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Percent-decode into `out` of WWRI_REDIS_MAX_TEXT bytes. */
static const char *decode(struct part in, char *out) {
  size_t len = 0;
  for (size_t i = 0; i < in.len; i++) {
    char c = in.at[i];
    if (c == '%') {
      bool fits = in.len - i > 2;
      int high = fits ? hex_digit(in.at[i + 1]) : -1;
      int low = fits ? hex_digit(in.at[i + 2]) : -1;
      if (high < 0 || low < 0) return "a % without two hexadecimal digits";
      c = (char)(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return "a NUL byte";
    if (len + 1 == WWRI_REDIS_MAX_TEXT) return "a part is too long";
    out[len++] = c;
  }
  out[len] = '\0';
  return NULL;
}

static bool parse_number(struct part in, uint32_t max, uint32_t *out) {
  uint32_t value = 0;
  if (in.len == 0 || in.len > 9) return false;
  for (size_t i = 0; i < in.len; i++) {
    if (in.at[i] < '0' || in.at[i] > '9') return false;
    value = value * 10 + (uint32_t)(in.at[i] - '0');
  }
  *out = value;
  return value <= max;
}

/* Cut `in` at the first `c`: what is before; *in becomes what is behind, or
 * empty. False when there is none; then *before is all of it. */
static bool cut(struct part *in, char c, struct part *before) {
  const char *found = in->len > 0 ? memchr(in->at, c, in->len) : NULL;
  *before = *in;
  if (!found) {
    *in = (struct part){in->at + in->len, 0};
    return false;
  }
  before->len = (size_t)(found - in->at);
  *in = (struct part){found + 1, in->len - before->len - 1};
  return true;
}

static bool is(struct part in, const char *text) {
  return in.len == strlen(text) && memcmp(in.at, text, in.len) == 0;
}

/* USER:PASSWORD@ in front of the hosts or path. */
static const char *take_login(struct wwri_redis_url *url, struct part *in) {
  const char *found = in->len > 0 ? memrchr(in->at, '@', in->len) : NULL;
  if (!found) return NULL;
  struct part login = {in->at, (size_t)(found - in->at)};
  struct part user;
  *in = (struct part){found + 1, in->len - login.len - 1};
  if (!cut(&login, ':', &user)) return "before @ must be USER:PASSWORD";
  if (login.len == 0) return "the password is empty";
  const char *bad = decode(user, url->user);
  return bad ? bad : decode(login, url->password);
}

static const char *take_port(struct part in, struct wwri_redis_host *host) {
  uint32_t port;
  if (!parse_number(in, MAX_PORT, &port) || port == 0) {
    return "the port must be 1 to 65535";
  }
  host->port = (uint16_t)port;
  return NULL;
}

static const char *take_host(struct wwri_redis_url *url, struct part in) {
  if (url->host_count == WWRI_REDIS_MAX_HOSTS) return "too many hosts";
  struct wwri_redis_host *host = &url->hosts[url->host_count++];
  struct part name;
  bool has_port;
  host->port = url->sentinel ? WWRI_REDIS_SENTINEL_PORT : WWRI_REDIS_PORT;
  if (in.len > 0 && in.at[0] == '[') {
    in = (struct part){in.at + 1, in.len - 1};
    if (!cut(&in, ']', &name)) return "a [ without ]";
    has_port = in.len > 0;
    if (has_port && *in.at != ':') return "only :PORT may follow ]";
    if (has_port) in = (struct part){in.at + 1, in.len - 1};
  } else {
    has_port = cut(&in, ':', &name);
  }
  if (name.len == 0) return "the host is missing";
  const char *bad = has_port ? take_port(in, host) : NULL;
  return bad ? bad : decode(name, host->name);
}

static const char *take_hosts(struct wwri_redis_url *url, struct part in) {
  bool more;
  do {
    struct part host;
    more = cut(&in, ',', &host);
    if (more && !url->sentinel && !url->cluster) {
      return "several hosts need redis+sentinel:// or redis+cluster://, "
             "several URLs spaces between them";
    }
    const char *bad = take_host(url, host);
    if (bad) return bad;
  } while (more);
  return NULL;
}

static const char *take_db(struct wwri_redis_url *url, struct part in) {
  if (in.len == 0) return NULL;
  return parse_number(in, MAX_DB, &url->db) ? NULL
                                            : "the database must be a number";
}

static const char *take_option(struct wwri_redis_url *url, struct part in) {
  const struct {
    const char *name;
    char *text;
    bool fits;
  } known[] = {
      {"ca_file", url->ca_file, url->tls},
      {"cert_file", url->cert_file, url->tls},
      {"key_file", url->key_file, url->tls},
      {"tls_name", url->tls_name, url->tls},
      {"sentinel_user", url->sentinel_user, url->sentinel},
      {"sentinel_password", url->sentinel_password, url->sentinel},
  };
  struct part name;
  if (!cut(&in, '=', &name)) return "an option must be NAME=VALUE";
  if (in.len == 0) return "an option is empty";
  if (is(name, "db") && url->path[0]) return take_db(url, in);
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (!is(name, known[i].name)) continue;
    return known[i].fits ? decode(in, known[i].text)
                         : "an option that this scheme does not have";
  }
  return "an unknown option";
}

static const char *take_options(struct wwri_redis_url *url, struct part in) {
  while (in.len > 0) {
    struct part option;
    cut(&in, '&', &option);
    const char *bad = take_option(url, option);
    if (bad) return bad;
  }
  if (!url->cert_file[0] != !url->key_file[0]) {
    return "cert_file and key_file go together";
  }
  if (url->sentinel_user[0] && !url->sentinel_password[0]) {
    return "sentinel_user needs sentinel_password";
  }
  return NULL;
}

/* The path of a Unix socket holds slashes: only a login can come before. */
static const char *take_unix(struct wwri_redis_url *url, struct part in) {
  const char *bad = take_login(url, &in);
  if (bad) return bad;
  if (in.len == 0 || in.at[0] != '/') return "the socket's path must begin /";
  return decode(in, url->path);
}

static const char *take_address(struct wwri_redis_url *url, struct part in) {
  struct part hosts;
  struct part name;
  /* A slash in a password must be encoded, so the first one ends the hosts. */
  bool slash = cut(&in, '/', &hosts);
  const char *bad = take_login(url, &hosts);
  if (!bad) bad = take_hosts(url, hosts);
  if (bad) return bad;
  if (url->cluster) {
    return in.len == 0 ? NULL : "a Redis Cluster has no databases";
  }
  if (!url->sentinel) return take_db(url, in);
  cut(&in, '/', &name);
  if (!slash || name.len == 0) return "the master's name is missing";
  bad = decode(name, url->master);
  return bad ? bad : take_db(url, in);
}

/* The scheme decides what follows; *in moves behind "://". */
static const char *take_scheme(struct wwri_redis_url *url, struct part *in,
                               bool *local) {
  static const struct {
    const char *name;
    bool tls, sentinel, cluster, local;
  } schemes[] = {{"redis", false, false, false, false},
                 {"rediss", true, false, false, false},
                 {"unix", false, false, false, true},
                 {"redis+sentinel", false, true, false, false},
                 {"rediss+sentinel", true, true, false, false},
                 {"redis+cluster", false, false, true, false},
                 {"rediss+cluster", true, false, true, false}};
  const char *end = strstr(in->at, "://");
  if (!end)
    return "it must begin with redis://, rediss://, unix://, "
           "redis+sentinel:// or redis+cluster://";
  struct part scheme = {in->at, (size_t)(end - in->at)};
  *in = (struct part){end + 3, in->len - scheme.len - 3};
  for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
    if (!is(scheme, schemes[i].name)) continue;
    url->tls = schemes[i].tls;
    url->sentinel = schemes[i].sentinel;
    url->cluster = schemes[i].cluster;
    *local = schemes[i].local;
    return NULL;
  }
  return "the scheme must be redis, rediss, unix, redis+sentinel, "
         "rediss+sentinel, redis+cluster or rediss+cluster";
}

wwr_err wwri_redis_url_parse(struct wwri_redis_url *out, const char *text,
                             const char **why) {
  struct part in = {text, strlen(text)};
  struct part address;
  bool local = false;
  memset(out, 0, sizeof(*out));
  const char *bad = take_scheme(out, &in, &local);
  if (!bad) {
    cut(&in, '?', &address);
    bad = local ? take_unix(out, address) : take_address(out, address);
  }
  if (!bad) bad = take_options(out, in);
  if (!bad) return WWR_OK;
  *why = bad;
  return WWR_E_INVALID;
}
