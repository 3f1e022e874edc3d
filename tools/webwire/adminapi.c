#include "adminapi.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BODY_MAX = 64 << 20 };

/* --- One request ---------------------------------------------------------- */

struct body {
  char *text;
  size_t len;
};

static size_t on_data(char *data, size_t size, size_t count, void *user_data) {
  struct body *body = user_data;
  size_t len = size * count;
  if (len > BODY_MAX - body->len) return 0;
  char *text = realloc(body->text, body->len + len + 1);
  if (!text) return 0;
  memcpy(text + body->len, data, len);
  body->text = text;
  body->len += len;
  text[body->len] = '\0';
  return len;
}

static size_t on_header(char *data, size_t size, size_t count,
                        void *user_data) {
  struct http_answer *answer = user_data;
  char line[128];
  size_t len = size * count;
  if (len > 6 && len < sizeof line && strncasecmp(data, "Date: ", 6) == 0) {
    memcpy(line, data + 6, len - 6);
    line[len - 6] = '\0';
    answer->date = (long)curl_getdate(line, NULL);
  }
  return len;
}

static struct curl_slist *make_headers(const struct cli *cli, bool has_body) {
  struct curl_slist *headers = NULL;
  char line[1100];
  if (cli->token) {
    snprintf(line, sizeof line, "Authorization: Bearer %s", cli->token);
    headers = curl_slist_append(headers, line);
  }
  if (has_body)
    headers = curl_slist_append(headers, "Content-Type: application/json");
  return headers;
}

static CURLcode perform(const struct cli *cli, CURL *curl, const char *method,
                        const char *url, const char *text,
                        struct http_answer *out) {
  struct body body = {NULL, 0};
  struct curl_slist *headers = make_headers(cli, text != NULL);
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* nodes are near */
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)cli->timeout_ms);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, out);
  if (text) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
  if (cli->ca_file) curl_easy_setopt(curl, CURLOPT_CAINFO, cli->ca_file);
  CURLcode code = curl_easy_perform(curl);
  if (code == CURLE_OK)
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
  out->text = body.text ? body.text : strdup("");
  curl_slist_free_all(headers);
  return code;
}

bool http_ask(const struct cli *cli, const char *base, const char *method,
              const char *path, const json_t *body, struct http_answer *out) {
  *out = (struct http_answer){.date = -1};
  snprintf(out->why, sizeof out->why, "out of memory");
  size_t base_len = strlen(base), len = base_len + strlen(path) + 1;
  while (base_len > 0 && base[base_len - 1] == '/') base_len--;
  char *url = malloc(len), *text = body ? json_dumps(body, 0) : NULL;
  CURL *curl = curl_easy_init();
  bool ok = url && curl && (text || !body);
  if (ok) {
    snprintf(url, len, "%.*s%s", (int)base_len, base, path);
    CURLcode code = perform(cli, curl, method, url, text, out);
    ok = code == CURLE_OK && out->text;
    if (code != CURLE_OK)
      snprintf(out->why, sizeof out->why, "%s", curl_easy_strerror(code));
  }
  curl_easy_cleanup(curl);
  free(text);
  free(url);
  return ok;
}

void http_deinit(struct http_answer *answer) {
  free(answer->text);
  answer->text = NULL;
}

/* --- The API -------------------------------------------------------------- */

static void explain(const char *base, const struct http_answer *answer,
                    json_t *json) {
  const char *message = NULL, *hint = "";
  char why[512];
  (void)json_unpack(json, "{s:{s:s}}", "error", "message", &message);
  if (answer->status == 401) hint = " (--token-file, or WEBWIRE_TOKEN_FILE)";
  snprintf(why, sizeof why, "%s%s",
           message ? message : "no answer of a webwire admin listener", hint);
  cli_fail(base, why);
}

json_t *http_api(const struct cli *cli, const char *method, const char *path,
                 const json_t *body) {
  const char *base = cli->admins.items[0];
  struct http_answer answer;
  json_t *json = NULL;
  if (!http_ask(cli, base, method, path, body, &answer)) {
    cli_fail(base, answer.why);
  } else {
    json = json_loads(answer.text, JSON_REJECT_DUPLICATES, NULL);
    if (answer.status < 200 || answer.status > 299 || !json_is_object(json)) {
      explain(base, &answer, json);
      json_decref(json);
      json = NULL;
    }
  }
  http_deinit(&answer);
  return json;
}

char *http_escape(const char *text) {
  static const char digits[] = "0123456789ABCDEF";
  char *out = malloc(3 * strlen(text) + 1), *at = out;
  if (!out) return NULL;
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 (c >= '0' && c <= '9') || strchr("-._~", c);
    if (plain) {
      *at++ = (char)c;
    } else {
      *at++ = '%';
      *at++ = digits[c >> 4];
      *at++ = digits[c & 15];
    }
  }
  *at = '\0';
  return out;
}
