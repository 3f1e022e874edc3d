/* Through the load balancer as a client goes. */
#include <stdio.h>
#include <string.h>

#include "doctor.h"
#include "wsprobe.h"

enum { CONTINUE = 0, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { ACCEPT_CONF = 23, ACCEPT_CONF_MIN = 11 };

/* --- The upgrade ---------------------------------------------------------- */

static const char *refusal_advice(int status) {
  switch (status) {
    case 400:
    case 426:
      return "something on the way drops the headers Upgrade and Connection; "
             "nginx needs proxy_http_version 1.1 and proxy_set_header for both";
    case 403:
      return "an origin, or a hook, is refused: see server.origins";
    case 404:
    case 200:
      return "this is not a webwire server's address or path";
    case 429:
      return "too many connections from this address: see limits, and "
             "trusted-proxies when all clients come through a balancer";
    case 502:
    case 504:
      return "the balancer does not reach the nodes: see its list of servers";
    case 503:
      return "no node is ready: ask /ready of each, or all are draining";
    default:
      return "not what a webwire server answers";
  }
}

static struct wsprobe *open_way(const struct cli *cli, struct report *report,
                                const char *what) {
  struct wsprobe_answer answer;
  long start = wsprobe_now_ms();
  struct wsprobe *probe = wsprobe_open(cli, &answer);
  if (probe) {
    report_say(report, FINDING_OK, what, NULL, "%s took it in %ld ms", cli->url,
               wsprobe_now_ms() - start);
  } else if (answer.status == 0) {
    report_say(report, FINDING_PROBLEM, what,
               "is this the address, and does anything listen there?", "%s: %s",
               cli->url, answer.why);
  } else {
    report_say(report, FINDING_PROBLEM, what, refusal_advice(answer.status),
               "%s answered %d instead of 101%s%s", cli->url, answer.status,
               *answer.server ? ", as " : "", answer.server);
  }
  return probe;
}

/* --- Accept-conf ---------------------------------------------------------- */

static unsigned long read_u32(const unsigned char *at) {
  return at[0] | (unsigned long)at[1] << 8 | (unsigned long)at[2] << 16 |
         (unsigned long)at[3] << 24;
}

/* What the server says first; its read timeout in ms, 0: nothing of the kind.
 */
static unsigned long read_conf(const struct cli *cli, struct report *report,
                               struct wsprobe *probe) {
  struct wsprobe_frame frame;
  enum wsprobe_event event = wsprobe_read(probe, (long)cli->timeout_ms, &frame);
  if (event != WSPROBE_FRAME || frame.opcode != BINARY ||
      frame.len < ACCEPT_CONF_MIN || frame.data[0] != ACCEPT_CONF) {
    report_say(report, FINDING_PROBLEM, "protocol",
               "the balancer's tunnel works, but no webwire server is behind "
               "it, or it waits for Redis",
               event == WSPROBE_FRAME ? "what came first is not accept-conf"
                                      : "nothing came after the upgrade");
    return 0;
  }
  unsigned long timeout_ms = read_u32(frame.data + 3);
  report_say(report, FINDING_OK, "protocol", NULL,
             "webwire %u.%u, read timeout %.1f s, messages up to %lu bytes%s"
             "%.*s",
             frame.data[1], frame.data[2], (double)timeout_ms / 1000.0,
             read_u32(frame.data + 7),
             frame.len > ACCEPT_CONF_MIN ? ", speaks " : "",
             (int)(frame.len - ACCEPT_CONF_MIN),
             (const char *)frame.data + ACCEPT_CONF_MIN);
  return timeout_ms;
}

/* --- Closing -------------------------------------------------------------- */

static void check_close(const struct cli *cli, struct report *report,
                        struct wsprobe *probe) {
  static const unsigned char normal[] = {1000 >> 8, 1000 & 255};
  static const char advice[] =
      "something on the way ends connections by itself; clients can't tell a "
      "graceful end from a broken one";
  struct wsprobe_frame frame;
  long until = wsprobe_now_ms() + (long)cli->timeout_ms, left;
  enum wsprobe_event event = WSPROBE_END;
  if (wsprobe_write(probe, CLOSE, normal, sizeof normal)) {
    do {
      left = until - wsprobe_now_ms();
      event = wsprobe_read(probe, left > 0 ? left : 0, &frame);
    } while (event == WSPROBE_FRAME && frame.opcode != CLOSE);
  }
  unsigned code = event == WSPROBE_FRAME && frame.len >= 2
                      ? (unsigned)frame.data[0] << 8 | frame.data[1]
                      : 1006;
  if (code == 1000) {
    report_say(report, FINDING_OK, "close codes", NULL,
               "1000 was answered with 1000");
  } else {
    report_say(report, FINDING_PROBLEM, "close codes", advice,
               "1000 was answered with %u", code);
  }
}

/* --- Silence -------------------------------------------------------------- */

struct silence {
  long lasted_ms;
  unsigned pings;
  bool cut;
  unsigned code; /* of a close frame; 0: none */
};

/* Say nothing but answer pings, as a client may that has nothing to say. */
static void keep_silent(struct wsprobe *probe, long ms, struct silence *out) {
  struct wsprobe_frame frame;
  long start = wsprobe_now_ms();
  *out = (struct silence){0};
  while (!out->cut && out->lasted_ms < ms) {
    enum wsprobe_event event = wsprobe_read(probe, ms - out->lasted_ms, &frame);
    out->lasted_ms = wsprobe_now_ms() - start;
    if (event == WSPROBE_FRAME && frame.opcode == PING) {
      out->pings++;
      out->cut = !wsprobe_write(probe, PONG, frame.data,
                                frame.len <= 125 ? frame.len : 0);
    } else if (event == WSPROBE_FRAME && frame.opcode == CLOSE) {
      out->cut = true;
      if (frame.len >= 2)
        out->code = (unsigned)frame.data[0] << 8 | frame.data[1];
    } else if (event == WSPROBE_END) {
      out->cut = true;
    }
  }
}

static void judge_silence(struct report *report, const struct silence *silence,
                          unsigned long read_timeout_ms) {
  double seconds = (double)silence->lasted_ms / 1000.0;
  if (silence->code == 1001) {
    report_say(report, FINDING_WARNING, "idle time-out",
               "try again when no node is draining",
               "the node went away after %.1f s", seconds);
  } else if (silence->code != 0) {
    report_say(report, FINDING_PROBLEM, "idle time-out",
               "the server did not hear the answers to its pings",
               "the server closed with %u after %.1f s", silence->code,
               seconds);
  } else if (silence->cut) {
    report_say(report, FINDING_PROBLEM, "idle time-out",
               "give the balancer a longer one than the nodes' ping-interval: "
               "`timeout tunnel` of HAProxy, `proxy_read_timeout` and "
               "`proxy_send_timeout` of nginx, the idle time-out of a cloud's "
               "balancer; or lower server.ping-interval",
               "a silent connection was cut off after %.1f s", seconds);
  } else if (silence->pings > 0) {
    report_say(report, FINDING_OK, "idle time-out", NULL,
               "silent for %.1f s, %u pings came", seconds, silence->pings);
  } else {
    report_say(report, FINDING_WARNING, "idle time-out",
               "--idle must be longer than server.ping-interval (25 s unless "
               "configured) to see more",
               "silent for %.1f s of the %.1f s of the read timeout, but no "
               "ping came",
               seconds, (double)read_timeout_ms / 1000.0);
  }
}

static void check_silence(const struct cli *cli, struct report *report,
                          struct wsprobe *probe,
                          unsigned long read_timeout_ms) {
  struct silence silence;
  if (cli->idle_ms == 0) {
    report_say(report, FINDING_SKIPPED, "idle time-out", NULL, "--idle 0");
    return;
  }
  if (!cli->json)
    fprintf(stderr, "webwire: keeping silent for %.0f s ...\n",
            (double)cli->idle_ms / 1000.0);
  keep_silent(probe, (long)cli->idle_ms, &silence);
  judge_silence(report, &silence, read_timeout_ms);
}

void doctor_way(const struct cli *cli, struct report *report) {
  struct wsprobe *probe = open_way(cli, report, "upgrade");
  unsigned long timeout_ms = probe ? read_conf(cli, report, probe) : 0;
  if (timeout_ms > 0) check_close(cli, report, probe);
  wsprobe_close(probe);
  if (timeout_ms == 0) return;
  probe = open_way(cli, report, "a second upgrade");
  if (probe) check_silence(cli, report, probe, timeout_ms);
  wsprobe_close(probe);
}
