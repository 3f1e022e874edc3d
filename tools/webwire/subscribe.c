/* Happy path: connect -> sign in, if there is a token -> "sub:CHANNEL" for each
 * -> print its history, then the signals. All but the first step happens on the
 * client's thread, where answers and signals come in their order.
 *
 * A lost connection comes back; what was published meanwhile is read from the
 * history, and it is subscribed again with what came between these two: printed
 * is what was not before. Deliveries carry no place, but count up by one from
 * the place in the answer (docs/channels.md).
 *
 * Failure modes: refused or not answered: a line on stderr, and the end. */
#include <webwire/wwr_client.h>
#include <webwire/wwr_websocket.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "terminal.h"

enum {
  AGAIN_HISTORY = 256,
  MISSED_MAX = 1 << 16, /* messages of a channel; older ones are not printed */
  STEP_MS = 250,
  RETRIES = 2400
};

struct channel {
  struct subscriber *subscriber;
  const char *name;
  json_int_t epoch, offset; /* the last that was printed; 0: none */
  bool logged;
  bool again;
};

struct subscriber {
  const struct cli *cli;
  struct wwr_client *client;
  struct channel *channels;
  size_t channel_count;
  uint32_t left;  /* messages to print; 0: no limit */
  sem_t wake;     /* something of below has happened */
  atomic_int end; /* exit status + 1; set once */
  atomic_bool lost;
};

static void end(struct subscriber *subscriber, int status) {
  int none = 0;
  atomic_compare_exchange_strong(&subscriber->end, &none, status + 1);
  sem_post(&subscriber->wake);
}

/* --- Printing ------------------------------------------------------------- */

static void print_message(struct channel *channel, const json_t *message) {
  struct subscriber *subscriber = channel->subscriber;
  const char *text = json_string_value(json_object_get(message, "payload"));
  if (subscriber->end) return;
  if (subscriber->cli->json) {
    json_dumpf(message, stdout, JSON_COMPACT);
  } else {
    if (subscriber->channel_count > 1) printf("%s: ", channel->name);
    if (text) wwr_print_harmless(stdout, text, strlen(text));
  }
  fputc('\n', stdout);
  fflush(stdout);
  if (subscriber->left > 0 && --subscriber->left == 0)
    end(subscriber, WWR_EXIT_OK);
}

/* A signal as the history has messages, but without what only that knows.
 * Binary that is no UTF-8 has no text here: its size is printed. */
static void print_signal(struct channel *channel,
                         const struct wwr_payload *payload) {
  static const char *const encodings[] = {"binary", "utf8", "utf16"};
  char *text, size[48];
  size_t len;
  bool ok = wwr_payload_to_utf8(payload, &text, &len) == WWR_OK;
  snprintf(size, sizeof size, "(%zu bytes)", payload->data.len);
  json_t *message =
      json_pack("{s:s, s:o, s:I, s:s, s:s}", "channel", channel->name, "epoch",
                json_sprintf("%lld", (long long)channel->epoch), "offset",
                channel->offset, "encoding", encodings[payload->encoding],
                "payload", ok ? text : size);
  if (message) print_message(channel, message);
  json_decref(message);
  if (ok) wwr_free(text);
}

static bool is_new(const struct channel *channel, const json_t *message) {
  json_int_t epoch = cli_epoch(message);
  json_int_t offset = json_integer_value(json_object_get(message, "offset"));
  return !channel->again || epoch > channel->epoch ||
         (epoch == channel->epoch && offset > channel->offset);
}

/* Offsets are without holes, but for an epoch's end. */
static void say_hole(const struct channel *channel, const json_t *first) {
  json_int_t offset = json_integer_value(json_object_get(first, "offset"));
  if (is_new(channel, first) && cli_epoch(first) == channel->epoch &&
      offset > channel->offset + 1)
    cli_fail(channel->name,
             "the first of what was published meanwhile is missing");
}

/* --- On the client's thread ----------------------------------------------- */

static struct channel *find_channel(struct subscriber *subscriber,
                                    struct wwr_view name) {
  for (size_t i = 0; i < subscriber->channel_count; i++) {
    struct channel *channel = &subscriber->channels[i];
    if (wwr_view_equal(name, wwr_view_str(channel->name))) return channel;
  }
  return NULL;
}

static void say_gap(struct wwr_view name, const struct wwr_payload *payload) {
  char *text, channel[256];
  snprintf(channel, sizeof channel, "%.*s", (int)name.len,
           (const char *)name.data);
  if (wwr_payload_to_utf8(payload, &text, NULL) != WWR_OK) return;
  cli_fail(channel, text);
  wwr_free(text);
}

static void on_signal(const struct wwr_message *message, void *user_data) {
  static const char gap[] = "gap:";
  struct subscriber *subscriber = user_data;
  struct wwr_view name = message->name;
  struct channel *channel = find_channel(subscriber, name);
  if (channel) {
    if (channel->logged) channel->offset++;
    print_signal(channel, &message->payload);
    return;
  }
  if (name.len > sizeof gap && memcmp(name.data, gap, sizeof gap - 1) == 0)
    say_gap(name, &message->payload);
}

static void on_disconnected(wwr_err reason, void *user_data) {
  struct subscriber *subscriber = user_data;
  if (subscriber->end) return;
  fprintf(stderr, "webwire: connection lost: %s\n", wwr_err_text(reason));
  subscriber->lost = true;
  sem_post(&subscriber->wake);
}

/* True when it is an answer; else what is wrong is said, and the end. A lost
 * connection is no end. */
static bool answered(struct subscriber *subscriber, const char *what,
                     const struct wwr_reply *reply) {
  char why[512];
  if (reply->err == WWR_OK) return true;
  if (reply->err == WWR_E_DISCONNECTED) return false;
  if (reply->err == WWR_E_REQUEST) {
    snprintf(why, sizeof why, "%s: %s", reply->error_code,
             reply->error_message);
  } else {
    snprintf(why, sizeof why, "%s", wwr_err_text(reply->err));
  }
  end(subscriber, cli_fail(what, why));
  return false;
}

static void on_subscribed(const struct wwr_reply *reply, void *user_data) {
  struct channel *channel = user_data;
  const struct wwr_view *data = &reply->payload.data;
  if (!answered(channel->subscriber, channel->name, reply)) return;
  json_t *json = json_loadb((const char *)data->data, data->len, 0, NULL);
  size_t index;
  json_t *message;
  json_t *messages = json_object_get(json, "messages");
  say_hole(channel, json_array_get(messages, 0));
  json_array_foreach(messages, index, message) {
    if (is_new(channel, message)) print_message(channel, message);
  }
  channel->epoch = cli_epoch(json);
  channel->offset = json_integer_value(json_object_get(json, "offset"));
  channel->logged = channel->epoch > 0;
  channel->again = true;
  json_decref(json);
}

static void on_signed_in(const struct wwr_reply *reply, void *user_data) {
  (void)answered(user_data, "auth", reply);
}

static wwr_err subscribe(struct subscriber *subscriber,
                         struct channel *channel) {
  char name[256], wish[48];
  const struct cli *cli = subscriber->cli;
  int len = snprintf(name, sizeof name, "sub:%s", channel->name);
  if (len >= (int)sizeof name) return WWR_E_PROTOCOL;
  snprintf(wish, sizeof wish, "{\"history\":%u}",
           channel->again ? AGAIN_HISTORY : cli->history);
  const struct wwr_payload payload = wwr_payload_text(wish);
  return wwr_client_request(subscriber->client, wwr_view_str(name), &payload,
                            cli->timeout_ms, on_subscribed, channel, NULL);
}

/* --- What was missed ------------------------------------------------------ */

/* An answer has at most AGAIN_HISTORY messages: pages of a history, the newest
 * first, back to what was printed; printed when all are there, before it is
 * subscribed again. An older chain may still be under way when the connection
 * was lost again: harmless, what is not new is not printed. */
struct missed {
  struct channel *channel;
  json_t *rows;
};

static void on_page(const struct wwr_reply *reply, void *user_data);

static wwr_err ask_page(struct missed *missed) {
  char name[256], wish[128];
  struct channel *channel = missed->channel;
  const struct cli *cli = channel->subscriber->cli;
  const json_t *first = json_array_get(missed->rows, 0);
  if (snprintf(name, sizeof name, "history:%s", channel->name) >=
      (int)sizeof name)
    return WWR_E_PROTOCOL;
  int len =
      snprintf(wish, sizeof wish, "{\"count\":%u", (unsigned)AGAIN_HISTORY);
  if (first)
    len += snprintf(
        wish + len, sizeof wish - (size_t)len,
        ",\"before\":{\"epoch\":\"%lld\",\"offset\":%lld}",
        (long long)cli_epoch(first),
        (long long)json_integer_value(json_object_get(first, "offset")));
  snprintf(wish + len, sizeof wish - (size_t)len, "}");
  const struct wwr_payload payload = wwr_payload_text(wish);
  return wwr_client_request(channel->subscriber->client, wwr_view_str(name),
                            &payload, cli->timeout_ms, on_page, missed, NULL);
}

static void print_missed(struct missed *missed) {
  struct channel *channel = missed->channel;
  size_t index;
  json_t *message;
  say_hole(channel, json_array_get(missed->rows, 0));
  json_array_foreach(missed->rows, index, message) {
    if (!is_new(channel, message)) continue;
    print_message(channel, message);
    channel->epoch = cli_epoch(message);
    channel->offset = json_integer_value(json_object_get(message, "offset"));
  }
}

static void end_missed(struct missed *missed, bool subscribes) {
  struct channel *channel = missed->channel;
  if (subscribes) {
    print_missed(missed);
    wwr_err err = subscribe(channel->subscriber, channel);
    if (err != WWR_OK && err != WWR_E_CLOSED)
      end(channel->subscriber, cli_fail(channel->name, wwr_err_text(err)));
  }
  json_decref(missed->rows);
  free(missed);
}

/* True when there may be older ones that are new. */
static bool put_page(struct missed *missed, const struct wwr_view *data) {
  json_t *json = json_loadb((const char *)data->data, data->len, 0, NULL);
  json_t *older = json_object_get(json, "messages");
  bool more = json_array_size(older) > 0 &&
              is_new(missed->channel, json_array_get(older, 0)) &&
              json_array_size(missed->rows) < MISSED_MAX;
  if (json_array_size(older) > 0 &&
      json_array_extend(older, missed->rows) == 0) {
    json_decref(missed->rows);
    missed->rows = json_incref(older);
  } else {
    more = false;
  }
  json_decref(json);
  return more;
}

/* Whose history may not be read is subscribed all the same. */
static void on_page(const struct wwr_reply *reply, void *user_data) {
  struct missed *missed = user_data;
  const struct channel *channel = missed->channel;
  if (reply->err == WWR_OK && put_page(missed, &reply->payload.data) &&
      ask_page(missed) == WWR_OK)
    return;
  end_missed(missed, !channel->subscriber->end &&
                         (reply->err == WWR_E_REQUEST ||
                          answered(channel->subscriber, channel->name, reply)));
}

/* --- On our own ----------------------------------------------------------- */

/* When its history can't be asked for, that of the answer has to do. */
static wwr_err subscribe_again(struct subscriber *subscriber,
                               struct channel *channel) {
  bool missed_some = channel->again && channel->logged;
  struct missed *missed = missed_some ? malloc(sizeof *missed) : NULL;
  if (!missed) return subscribe(subscriber, channel);
  *missed = (struct missed){.channel = channel, .rows = json_array()};
  if (ask_page(missed) == WWR_OK) return WWR_OK;
  json_decref(missed->rows);
  free(missed);
  return subscribe(subscriber, channel);
}

/* Requests of one connection are handled in their order. */
static bool subscribe_all(struct subscriber *subscriber) {
  const struct cli *cli = subscriber->cli;
  wwr_err err = WWR_OK;
  struct wwr_session *session = wwr_client_session(subscriber->client);
  if (cli->auth && !session) {
    const struct wwr_payload token = wwr_payload_text(cli->auth);
    err = wwr_client_request(subscriber->client, wwr_view_str("auth"), &token,
                             cli->timeout_ms, on_signed_in, subscriber, NULL);
  }
  wwr_session_unref(session);
  for (size_t i = 0; i < subscriber->channel_count && err == WWR_OK; i++)
    err = subscribe_again(subscriber, &subscriber->channels[i]);
  if (err == WWR_OK) return true;
  cli_fail(cli->url, wwr_err_text(err));
  return false;
}

/* SIGINT and SIGTERM end it; they are blocked, and asked for. */
static bool is_interrupted(struct subscriber *subscriber) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  if (sigtimedwait(&set, NULL, &(struct timespec){0, 0}) < 0) return false;
  end(subscriber, WWR_EXIT_OK);
  return true;
}

static void wait_for(struct subscriber *subscriber) {
  struct timespec until;
  do {
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += STEP_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    if (sem_timedwait(&subscriber->wake, &until) == 0) return;
  } while (!is_interrupted(subscriber));
}

/* The client comes back by itself; we look at it now and then. */
static bool come_back(struct subscriber *subscriber) {
  const char *url = subscriber->cli->url;
  wwr_err err = WWR_E_TIMEOUT;
  for (int i = 0; i < RETRIES && wwr_err_is_timeout(err); i++) {
    err = wwr_client_connect(subscriber->client, STEP_MS);
    if (err == WWR_OK) {
      fputs("webwire: connected again\n", stderr);
      return subscribe_all(subscriber);
    }
    if (is_interrupted(subscriber)) return true;
  }
  cli_fail(url, wwr_err_text(err));
  return false;
}

static int follow(struct subscriber *subscriber) {
  if (!subscribe_all(subscriber)) return WWR_EXIT_FAILED;
  while (!subscriber->end) {
    wait_for(subscriber);
    if (subscriber->end || !subscriber->lost) continue;
    subscriber->lost = false;
    if (!come_back(subscriber)) return WWR_EXIT_FAILED;
  }
  return subscriber->end - 1;
}

/* Like examples/common/client.c, which is there to be copied: programs of ours
 * do not depend on examples. */
static wwr_err open_client(struct subscriber *subscriber) {
  const struct cli *cli = subscriber->cli;
  struct wwr_client_opts opts;
  wwr_client_opts_default(&opts);
  opts.hooks.on_signal = on_signal;
  opts.hooks.on_disconnected = on_disconnected;
  opts.user_data = subscriber;
  opts.subprotocol = "webwire-channels/1";
  if (opts.dial_timeout_ms > cli->timeout_ms)
    opts.dial_timeout_ms = cli->timeout_ms;
  const struct wwr_websocket_dialer_opts dialer = {
      .url = cli->url, .ca_file = cli->ca_file, .insecure = cli->insecure};
  wwr_err err = wwr_websocket_dialer_new(&opts.dialer, &dialer);
  if (err != WWR_OK) return err;
  err = wwr_client_new(&subscriber->client, &opts, NULL);
  if (err != WWR_OK) {
    wwr_dialer_free(opts.dialer);
    return err;
  }
  return wwr_client_connect(subscriber->client, cli->timeout_ms);
}

static int mistake(const char *what, const char *why) {
  cli_fail(what, why);
  return WWR_EXIT_USAGE;
}

static int open_failed(const struct cli *cli, wwr_err err) {
  if (err == WWR_E_INVALID)
    return mistake(cli->url, "is no ws://HOST:PORT or wss:// URL");
  if (wwr_err_is_timeout(err))
    return cli_fail(cli->url, "no connection within --timeout");
  return cli_fail(cli->url, wwr_err_text(err));
}

int cli_subscribe(const struct cli *cli) {
  struct channel channels[64] = {{0}};
  struct subscriber subscriber = {
      .cli = cli, .channels = channels, .left = cli->count};
  for (; cli->args[subscriber.channel_count]; subscriber.channel_count++) {
    channels[subscriber.channel_count] = (struct channel){
        .subscriber = &subscriber, .name = cli->args[subscriber.channel_count]};
  }
  sigset_t set;
  if (cli->ca_file && access(cli->ca_file, R_OK) != 0)
    return mistake(cli->ca_file, strerror(errno));
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  sem_init(&subscriber.wake, 0, 0);
  wwr_err err = open_client(&subscriber);
  int status = err == WWR_OK ? follow(&subscriber) : open_failed(cli, err);
  wwr_client_free(subscriber.client);
  sem_destroy(&subscriber.wake);
  return status;
}
