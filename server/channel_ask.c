/* Questions to the bus: history, presence, subscribers, nodes. The answer is
 * copied on the bus's thread and told on an I/O thread, the caller's if it is
 * one. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* --- Copies --------------------------------------------------------------- */

static struct wwr_view copy_view(uint8_t **at, struct wwr_view view) {
  struct wwr_view copy = {*at, view.len};
  if (view.len) memcpy(*at, view.data, view.len);
  *at += view.len;
  return copy;
}

static struct wwr_channel_message copy_message(
    uint8_t **at, const struct wwri_bus_message *from) {
  struct wwr_channel_message message = {.id = {from->id.epoch, from->id.offset},
                                        .time_ms = from->time_ms};
  message.name = copy_view(at, from->name);
  message.payload.encoding = from->payload.encoding;
  message.payload.data = copy_view(at, from->payload.data);
  return message;
}

struct wwri_messages *wwri_messages_copy(
    const struct wwri_bus_message *messages, size_t count) {
  struct wwri_messages *copy;
  size_t head = sizeof *copy + count * sizeof *copy->items;
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) {
    bytes += messages[i].name.len + messages[i].payload.data.len;
  }
  copy = malloc(head + bytes);
  if (!copy) return NULL;
  uint8_t *at = (uint8_t *)copy + head;
  copy->count = count;
  copy->items = (struct wwr_channel_message *)(void *)(copy + 1);
  for (size_t i = 0; i < count; i++) {
    copy->items[i] = copy_message(&at, &messages[i]);
  }
  return copy;
}

static struct wwr_member *copy_members(const struct wwri_bus_member *members,
                                       size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += members[i].member.len;
  struct wwr_member *copy = malloc(count * sizeof *copy + bytes);
  if (!copy) return NULL;
  uint8_t *at = (uint8_t *)(copy + count);
  for (size_t i = 0; i < count; i++) {
    copy[i].connections = members[i].connections;
    copy[i].name = copy_view(&at, members[i].member);
  }
  return copy;
}

static const char *copy_text(uint8_t **at, const char *text) {
  struct wwr_view view = {(const uint8_t *)text, strlen(text) + 1};
  return (const char *)copy_view(at, view).data;
}

static struct wwr_node_info *copy_nodes(const struct wwri_bus_node *nodes,
                                        size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) {
    bytes += strlen(nodes[i].name) + strlen(nodes[i].address) +
             strlen(nodes[i].version) + 3;
  }
  struct wwr_node_info *copy = malloc(count * sizeof *copy + bytes);
  if (!copy) return NULL;
  uint8_t *at = (uint8_t *)(copy + count);
  for (size_t i = 0; i < count; i++) {
    copy[i] = (struct wwr_node_info){.started_ms = nodes[i].started_ms,
                                     .beat_age_ms = nodes[i].beat_age_ms,
                                     .connections = nodes[i].connections,
                                     .draining = nodes[i].draining};
    copy[i].name = copy_text(&at, nodes[i].name);
    copy[i].address = copy_text(&at, nodes[i].address);
    copy[i].version = copy_text(&at, nodes[i].version);
  }
  return copy;
}

/* --- One question --------------------------------------------------------- */

enum about { ABOUT_HISTORY, ABOUT_PRESENCE, ABOUT_COUNT, ABOUT_NODES };

struct question {
  struct wwri_item item;
  struct wwri_bus_op op;
  struct wwr_server *server;
  enum about about;
  union {
    wwr_history_done history;
    wwr_presence_done presence;
    wwr_count_done count;
    wwr_nodes_done nodes;
  } done;
  void *user_data;
  wwr_err err;
  uint64_t count; /* of what `copy` holds, or the answer itself */
  void *copy;
};

static void tell(const struct question *question) {
  size_t count = question->err == WWR_OK ? (size_t)question->count : 0;
  const struct wwri_messages *messages = question->copy;
  switch (question->about) {
    case ABOUT_HISTORY:
      question->done.history(question->err, messages ? messages->items : NULL,
                             count, question->user_data);
      break;
    case ABOUT_PRESENCE:
      question->done.presence(question->err, question->copy, count,
                              question->user_data);
      break;
    case ABOUT_COUNT:
      question->done.count(question->err, count, question->user_data);
      break;
    case ABOUT_NODES:
      question->done.nodes(question->err, question->copy, count,
                           question->user_data);
      break;
  }
}

static void answer_here(struct wwri_item *item) {
  struct question *question = WWRI_CONTAINER(item, struct question, item);
  struct wwr_server *server = question->server;
  tell(question);
  free(question->copy);
  free(question);
  wwri_channels_call_end(server);
}

/* What there is to copy; false: it is the number alone, or nothing. */
static bool copy_answer(struct question *question,
                        const struct wwri_bus_result *result) {
  switch (question->about) {
    case ABOUT_HISTORY:
      question->count = result->message_count;
      if (!question->count) return false;
      question->copy =
          wwri_messages_copy(result->messages, result->message_count);
      return true;
    case ABOUT_PRESENCE:
      question->count = result->member_count;
      if (!question->count) return false;
      question->copy = copy_members(result->members, result->member_count);
      return true;
    case ABOUT_NODES:
      question->count = result->node_count;
      if (!question->count) return false;
      question->copy = copy_nodes(result->nodes, result->node_count);
      return true;
    case ABOUT_COUNT:
      question->count = result->connections;
      return false;
  }
  return false;
}

static void on_answer(struct wwri_bus_op *op,
                      const struct wwri_bus_result *result) {
  struct question *question = op->user;
  question->err = result->err;
  if (result->err == WWR_OK && copy_answer(question, result) &&
      !question->copy) {
    question->err = WWR_E_NOMEM;
  }
  wwri_item_send(&question->item);
}

static struct question *question_new(struct wwr_server *server,
                                     enum about about, void *user_data) {
  struct wwri_shard *shard = wwri_shard_current(server);
  struct question *question = calloc(1, sizeof *question);
  if (!question) return NULL;
  question->server = server;
  question->about = about;
  question->user_data = user_data;
  question->op.done = on_answer;
  question->op.user = question;
  question->item.run = answer_here;
  question->item.shard = shard ? shard : &server->shards[0];
  wwri_channels_call_begin(server);
  return question;
}

static wwr_err asked(struct question *question, wwr_err err) {
  if (err == WWR_OK) return WWR_OK;
  struct wwr_server *server = question->server;
  free(question);
  wwri_channels_call_end(server);
  return err;
}

/* --- The calls ------------------------------------------------------------ */

static wwr_err check_running(struct wwr_server *server) {
  return atomic_load(&server->channels.open) ? WWR_OK : WWR_E_CLOSED;
}

wwr_err wwri_channels_check(struct wwr_server *server,
                            struct wwr_view channel) {
  if (!wwri_channel_name_ok(channel)) return WWR_E_INVALID;
  return check_running(server);
}

wwr_err wwr_server_history_before(struct wwr_server *server,
                                  struct wwr_view channel,
                                  struct wwr_channel_id before, uint32_t count,
                                  wwr_history_done done, void *user_data) {
  wwr_err err = wwri_channels_check(server, channel);
  if (err != WWR_OK) return err;
  if (count > WWRI_HISTORY_MAX) return WWR_E_INVALID;
  struct question *question = question_new(server, ABOUT_HISTORY, user_data);
  if (!question) return WWR_E_NOMEM;
  question->done.history = done;
  question->op.before = (struct wwri_logid){before.epoch, before.offset};
  struct wwr_bus *bus = server->channels.bus;
  return asked(question, bus->ops->history(bus, channel, count, &question->op));
}

wwr_err wwr_server_history(struct wwr_server *server, struct wwr_view channel,
                           uint32_t count, wwr_history_done done,
                           void *user_data) {
  const struct wwr_channel_id none = {0, 0};
  return wwr_server_history_before(server, channel, none, count, done,
                                   user_data);
}

wwr_err wwr_server_presence(struct wwr_server *server, struct wwr_view channel,
                            wwr_presence_done done, void *user_data) {
  wwr_err err = wwri_channels_check(server, channel);
  if (err != WWR_OK) return err;
  struct question *question = question_new(server, ABOUT_PRESENCE, user_data);
  if (!question) return WWR_E_NOMEM;
  question->done.presence = done;
  wwri_presence_flush(server, channel);
  struct wwr_bus *bus = server->channels.bus;
  return asked(question, bus->ops->presence_list(bus, channel, &question->op));
}

wwr_err wwr_server_subscribers(struct wwr_server *server,
                               struct wwr_view channel, wwr_count_done done,
                               void *user_data) {
  wwr_err err = wwri_channels_check(server, channel);
  if (err != WWR_OK) return err;
  struct question *question = question_new(server, ABOUT_COUNT, user_data);
  if (!question) return WWR_E_NOMEM;
  question->done.count = done;
  wwri_presence_flush(server, channel);
  struct wwr_bus *bus = server->channels.bus;
  return asked(question, bus->ops->subscribers(bus, channel, &question->op));
}

wwr_err wwr_server_nodes(struct wwr_server *server, wwr_nodes_done done,
                         void *user_data) {
  wwr_err err = check_running(server);
  if (err != WWR_OK) return err;
  struct question *question = question_new(server, ABOUT_NODES, user_data);
  if (!question) return WWR_E_NOMEM;
  question->done.nodes = done;
  struct wwr_bus *bus = server->channels.bus;
  return asked(question, bus->ops->nodes(bus, &question->op));
}
