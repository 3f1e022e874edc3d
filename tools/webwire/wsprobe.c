#include "wsprobe.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { HEAD_MAX = 16384 };

struct wsprobe {
  CURL *curl;
  curl_socket_t socket;
  size_t have, taken; /* of `buffer` */
  unsigned char buffer[WSPROBE_FRAME_MAX + HEAD_MAX];
};

long wsprobe_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- Bytes ---------------------------------------------------------------- */

static bool write_all(struct wsprobe *probe, const void *data, size_t len) {
  const char *at = data;
  for (int i = 0; i < 1000 && len > 0; i++) {
    size_t sent = 0;
    CURLcode code = curl_easy_send(probe->curl, at, len, &sent);
    if (code == CURLE_AGAIN) {
      poll(&(struct pollfd){.fd = probe->socket, .events = POLLOUT}, 1, 100);
    } else if (code != CURLE_OK) {
      return false;
    }
    at += sent;
    len -= sent;
  }
  return len == 0;
}

/* More bytes into the buffer, until a time. */
static enum wsprobe_event fill(struct wsprobe *probe, long until) {
  for (;;) {
    size_t got = 0;
    if (probe->have == sizeof probe->buffer) return WSPROBE_END;
    CURLcode code = curl_easy_recv(probe->curl, probe->buffer + probe->have,
                                   sizeof probe->buffer - probe->have, &got);
    probe->have += got;
    if (code == CURLE_OK) return got > 0 ? WSPROBE_FRAME : WSPROBE_END;
    if (code != CURLE_AGAIN) return WSPROBE_END;
    long left = until - wsprobe_now_ms();
    if (left <= 0) return WSPROBE_QUIET;
    poll(&(struct pollfd){.fd = probe->socket, .events = POLLIN}, 1,
         left > 60000 ? 60000 : (int)left);
  }
}

/* --- The handshake -------------------------------------------------------- */

/* "ws://x" is "http://x" for curl. NULL: no such URL, or no memory. */
static char *http_url(const char *url) {
  bool tls = strncasecmp(url, "wss://", 6) == 0;
  if (!tls && strncasecmp(url, "ws://", 5) != 0) return NULL;
  size_t size = strlen(url) + 8;
  char *out = malloc(size);
  if (out)
    snprintf(out, size, "%s%s", tls ? "https://" : "http://",
             strstr(url, "//") + 2);
  return out;
}

static bool connect_to(const struct cli *cli, struct wsprobe *probe,
                       const char *url, struct wsprobe_answer *out) {
  CURL *curl = probe->curl;
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)cli->timeout_ms);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)cli->timeout_ms);
  if (cli->ca_file) curl_easy_setopt(curl, CURLOPT_CAINFO, cli->ca_file);
  if (cli->insecure) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  CURLcode code = curl_easy_perform(curl);
  if (code == CURLE_OK)
    code = curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &probe->socket);
  snprintf(out->why, sizeof out->why, "%s",
           code == CURLE_OK ? "" : curl_easy_strerror(code));
  return code == CURLE_OK;
}

static bool ask_upgrade(struct wsprobe *probe, const char *url) {
  char request[2048];
  const char *host = strstr(url, "//") + 2;
  size_t host_len = strcspn(host, "/?#");
  const char *path = host + host_len;
  int len = snprintf(request, sizeof request,
                     "GET %s%s HTTP/1.1\r\nHost: %.*s\r\n"
                     "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                     "Sec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: d2Vid2lyZSBkb2N0b3IhIQ==\r\n"
                     "User-Agent: webwire-doctor\r\n\r\n",
                     *path == '/' ? "" : "/", path, (int)host_len, host);
  return len < (int)sizeof request && write_all(probe, request, (size_t)len);
}

static void note_server(const char *head, struct wsprobe_answer *out) {
  const char *line = strcasestr(head, "\nserver:");
  if (!line) return;
  line += strlen("\nserver:");
  line += strspn(line, " ");
  snprintf(out->server, sizeof out->server, "%.*s", (int)strcspn(line, "\r\n"),
           line);
}

/* True when the answer is 101; what follows it stays in the buffer. */
static bool read_answer(struct wsprobe *probe, long until,
                        struct wsprobe_answer *out) {
  unsigned char *end = NULL;
  while (!(end = memmem(probe->buffer, probe->have, "\r\n\r\n", 4))) {
    enum wsprobe_event event =
        probe->have < HEAD_MAX ? fill(probe, until) : WSPROBE_END;
    if (event == WSPROBE_FRAME) continue;
    snprintf(out->why, sizeof out->why, "%s",
             event == WSPROBE_QUIET ? "no answer in time"
                                    : "the connection ended without an answer");
    return false;
  }
  *end = '\0';
  const char *head = (const char *)probe->buffer;
  if (sscanf(head, "HTTP/%*d.%*d %3d", &out->status) != 1)
    snprintf(out->why, sizeof out->why, "the answer is no HTTP");
  note_server(head, out);
  probe->taken = (size_t)(end - probe->buffer) + 4;
  return out->status == 101;
}

struct wsprobe *wsprobe_open(const struct cli *cli,
                             struct wsprobe_answer *out) {
  struct wsprobe *probe = calloc(1, sizeof *probe);
  char *url = http_url(cli->url);
  *out = (struct wsprobe_answer){0};
  snprintf(out->why, sizeof out->why, "no ws:// or wss:// URL");
  if (probe && url) {
    long until = wsprobe_now_ms() + (long)cli->timeout_ms;
    probe->curl = curl_easy_init();
    if (probe->curl && connect_to(cli, probe, url, out) &&
        ask_upgrade(probe, url) && read_answer(probe, until, out)) {
      free(url);
      return probe;
    }
  }
  free(url);
  wsprobe_close(probe);
  return NULL;
}

void wsprobe_close(struct wsprobe *probe) {
  if (!probe) return;
  curl_easy_cleanup(probe->curl);
  free(probe);
}

/* --- Frames --------------------------------------------------------------- */

/* A server's frame: not masked, not in parts, and small; all else is the end,
 * for a doctor. Its length with the head, 0: not all there, SIZE_MAX: no. */
static size_t parse(const unsigned char *at, size_t have,
                    struct wsprobe_frame *out) {
  size_t head = 2, len;
  if (have < 2) return 0;
  len = at[1] & 127;
  if (at[1] & 128 || len == 127) return SIZE_MAX;
  if (len == 126) {
    if (have < 4) return 0;
    len = (size_t)at[2] << 8 | at[3];
    head = 4;
  }
  if (have < head + len) return 0;
  *out = (struct wsprobe_frame){at[0] & 15U, at + head, len};
  return head + len;
}

enum wsprobe_event wsprobe_read(struct wsprobe *probe, long ms,
                                struct wsprobe_frame *out) {
  long until = wsprobe_now_ms() + ms;
  memmove(probe->buffer, probe->buffer + probe->taken,
          probe->have - probe->taken);
  probe->have -= probe->taken;
  probe->taken = 0;
  for (;;) {
    size_t len = parse(probe->buffer, probe->have, out);
    if (len == SIZE_MAX) return WSPROBE_END;
    if (len > 0) {
      probe->taken = len;
      return WSPROBE_FRAME;
    }
    enum wsprobe_event event = fill(probe, until);
    if (event != WSPROBE_FRAME) return event;
  }
}

bool wsprobe_write(struct wsprobe *probe, unsigned opcode, const void *data,
                   size_t len) {
  /* Masked with zeros, which changes nothing. */
  unsigned char frame[6 + 125] = {(unsigned char)(0x80 | opcode),
                                  (unsigned char)(0x80 | len)};
  if (len > 125) return false;
  if (len > 0) memcpy(frame + 6, data, len);
  return write_all(probe, frame, 6 + len);
}
