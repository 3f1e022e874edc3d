/* What is asked about a channel: the question goes to the server -> its answer,
 * on an I/O thread, becomes JSON that fits into one message. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "webwired.h"

enum { REPLY_HEAD_BYTES = 9, AROUND_BYTES = 128 };

/* An open question. */
struct ask {
  struct webwired *webwired;
  struct wwr_request *request;
  struct message_wish wish;
  json_t *members; /* of presence */
  bool more;
  size_t name_len;
  uint8_t name[];
};

static struct ask *ask_new(const struct webwired_call *call) {
  struct ask *ask = malloc(sizeof *ask + call->channel.len);
  if (!ask) {
    webwired_fail(call->request, WWR_E_NOMEM, true);
    return NULL;
  }
  *ask = (struct ask){.webwired = call->webwired,
                      .request = call->request,
                      .name_len = call->channel.len};
  memcpy(ask->name, call->channel.data, call->channel.len);
  return ask;
}

static void ask_free(struct ask *ask) {
  json_decref(ask->members);
  free(ask);
}

/* What fails changed nothing. */
static void give_up(struct ask *ask, wwr_err err) {
  webwired_fail(ask->request, err, true);
  ask_free(ask);
}

static struct wwr_view name_of(const struct ask *ask) {
  return (struct wwr_view){ask->name, ask->name_len};
}

/* For what stands in the list of a reply. */
static size_t room(const struct ask *ask) {
  size_t max = ask->webwired->message_buffer;
  size_t around = REPLY_HEAD_BYTES + AROUND_BYTES;
  return max > around ? max - around : 0;
}

/* Frees the ask and the text. */
static void reply(struct ask *ask, char *text) {
  if (text) {
    const struct wwr_payload payload = wwr_payload_text(text);
    wwr_request_reply(ask->request, &payload);
  } else {
    webwired_fail(ask->request, WWR_E_NOMEM, true);
  }
  free(text);
  ask_free(ask);
}

/* --- Subscribing ---------------------------------------------------------- */

static char *sub_reply(struct wwr_channel_id at, const char *list, bool more) {
  size_t cap = strlen(list) + AROUND_BYTES;
  char *text = malloc(cap);
  if (!text) return NULL;
  snprintf(text, cap,
           "{\"epoch\":\"%" PRIu64 "\",\"offset\":%" PRIu64
           ",\"messages\":%s,\"more\":%s}",
           at.epoch, at.offset, list, more ? "true" : "false");
  return text;
}

static void on_subscribed(struct wwr_conn *conn, wwr_err err,
                          const struct wwr_channel_message *messages,
                          size_t count, void *user_data) {
  struct ask *ask = user_data;
  struct wwr_channel_id at;
  if (err == WWR_E_LIMIT) {
    wwr_request_fail(ask->request, "TOO_MANY_CHANNELS",
                     "unsubscribe from another first");
    ask_free(ask);
    return;
  }
  if (err == WWR_E_CANCELED || err == WWR_E_DISCONNECTED) {
    wwr_request_fail(ask->request, "UNAVAILABLE", "unsubscribed meanwhile");
    ask_free(ask);
    return;
  }
  if (err != WWR_OK) {
    give_up(ask, err);
    return;
  }
  if (!webwired_channel(ask->webwired, name_of(ask)).logged ||
      !wwr_conn_channel_place(conn, name_of(ask), &at))
    at = (struct wwr_channel_id){0, 0};
  struct message_page page =
      message_page(&ask->wish, messages, count, room(ask));
  char *text = page.json ? sub_reply(at, page.json, page.more) : NULL;
  free(page.json);
  reply(ask, text);
}

void webwired_subscribe(const struct webwired_call *call) {
  struct message_wish wish;
  if (!message_read_sub(call->payload, &wish)) {
    wwr_request_fail(call->request, "BAD_REQUEST",
                     "expected {\"history\":N}, N from 0 to 256, or nothing");
    return;
  }
  if (!webwired_may(call, POLICY_SUBSCRIBE)) return;
  if (wish.count > 0 && !webwired_may(call, POLICY_HISTORY)) return;
  struct ask *ask = ask_new(call);
  if (!ask) return;
  ask->wish = wish;
  wwr_err err = wwr_conn_subscribe(call->conn, call->channel, wish.count,
                                   on_subscribed, ask);
  if (err != WWR_OK) on_subscribed(call->conn, err, NULL, 0, ask);
}

void webwired_unsubscribe(const struct webwired_call *call) {
  wwr_err err = wwr_conn_unsubscribe(call->conn, call->channel);
  if (err == WWR_OK) {
    webwired_done(call->request);
  } else {
    webwired_fail(call->request, err, true);
  }
}

/* --- History -------------------------------------------------------------- */

static void on_history(wwr_err err, const struct wwr_channel_message *messages,
                       size_t count, void *user_data) {
  struct ask *ask = user_data;
  char *text = NULL;
  if (err != WWR_OK) {
    give_up(ask, err);
    return;
  }
  struct message_page page =
      message_page(&ask->wish, messages, count, room(ask));
  size_t cap = page.json ? strlen(page.json) + AROUND_BYTES : 0;
  if (cap > 0) text = malloc(cap);
  if (text) {
    snprintf(text, cap, "{\"messages\":%s,\"more\":%s}", page.json,
             page.more ? "true" : "false");
  }
  free(page.json);
  reply(ask, text);
}

void webwired_history(const struct webwired_call *call) {
  struct message_wish wish;
  if (!message_read_history(call->payload, &wish)) {
    wwr_request_fail(call->request, "BAD_REQUEST",
                     "expected {\"count\":N,\"after\":{\"epoch\":E,\"offset\":"
                     "O}}, or \"before\", N from 0 to 256, or less of it");
    return;
  }
  if (!webwired_may(call, POLICY_HISTORY)) return;
  if (!webwired_channel(call->webwired, call->channel).logged) {
    wwr_request_fail(call->request, "NOT_LOGGED", "this channel has no log");
    return;
  }
  struct ask *ask = ask_new(call);
  if (!ask) return;
  ask->wish = wish;
  const struct wwr_channel_id end = {0, 0};
  /* A place to go on from is looked for as far back as one may. */
  uint32_t count = wish.after ? MESSAGE_HISTORY_MAX : wish.count;
  wwr_err err = wwr_server_history_before(call->webwired->server, call->channel,
                                          wish.before ? wish.place : end, count,
                                          on_history, ask);
  if (err != WWR_OK) give_up(ask, err);
}

/* --- Presence ------------------------------------------------------------- */

static char *presence_reply(const struct ask *ask, uint64_t subscribers) {
  json_t *json = json_pack("{sI}", "subscribers", (json_int_t)subscribers);
  bool good = json != NULL;
  if (good && ask->members) {
    good = json_object_set(json, "members", ask->members) == 0 &&
           json_object_set_new(json, "more", json_boolean(ask->more)) == 0;
  }
  char *text = good ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  return text;
}

static void on_count(wwr_err err, uint64_t count, void *user_data) {
  struct ask *ask = user_data;
  if (err != WWR_OK) {
    give_up(ask, err);
  } else {
    reply(ask, presence_reply(ask, count));
  }
}

static void count_subscribers(struct ask *ask) {
  wwr_err err = wwr_server_subscribers(ask->webwired->server, name_of(ask),
                                       on_count, ask);
  if (err != WWR_OK) give_up(ask, err);
}

/* Names come from sessions; what is no UTF-8 has no place in JSON. */
static json_t *member_json(const struct wwr_member *member) {
  json_t *name =
      json_stringn(member->name.len ? (const char *)member->name.data : "",
                   member->name.len);
  if (!name) name = json_string("\xef\xbf\xbd");
  return json_pack("{so, sI}", "name", name, "connections",
                   (json_int_t)member->connections);
}

/* As many as fit. */
static bool add_members(struct ask *ask, const struct wwr_member *members,
                        size_t count) {
  size_t left = room(ask);
  for (size_t i = 0; i < count; i++) {
    json_t *one = member_json(&members[i]);
    char *text = one ? json_dumps(one, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) + 1 : 0;
    free(text);
    if (len == 0) {
      json_decref(one);
      return false;
    }
    ask->more = len > left;
    if (ask->more) {
      json_decref(one);
      return true;
    }
    left -= len;
    if (json_array_append_new(ask->members, one) != 0) return false;
  }
  return true;
}

static void on_presence(wwr_err err, const struct wwr_member *members,
                        size_t count, void *user_data) {
  struct ask *ask = user_data;
  if (err == WWR_OK) {
    ask->members = json_array();
    if (!ask->members || !add_members(ask, members, count)) err = WWR_E_NOMEM;
  }
  if (err != WWR_OK) {
    give_up(ask, err);
  } else {
    count_subscribers(ask);
  }
}

void webwired_presence(const struct webwired_call *call) {
  if (!webwired_may(call, POLICY_SUBSCRIBE)) return;
  if (call->payload->data.len > 0) {
    wwr_request_fail(call->request, "BAD_REQUEST", "expected no payload");
    return;
  }
  struct ask *ask = ask_new(call);
  if (!ask) return;
  if (!webwired_channel(call->webwired, call->channel).presence) {
    count_subscribers(ask);
    return;
  }
  wwr_err err = wwr_server_presence(call->webwired->server, call->channel,
                                    on_presence, ask);
  if (err != WWR_OK) give_up(ask, err);
}
