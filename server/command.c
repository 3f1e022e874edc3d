/* Commands from node to node (wwr_admin.h), by the bus's control channel, which
 * every node reads once and in one order.
 *
 * Happy path, on the sender's first loop: the bus is asked which boot id the
 * name has -> the command is written -> its node hands it to the hook, on its
 * first loop, and writes the answer -> done.
 *
 * Failure modes: no such node, or it does not know the command: said. The bus
 * is away, the node dies, the answer is late: the time is over, which says
 * nothing about the command. A node that was fenced meanwhile is another one.
 * Closed: who waits hears it.
 *
 * On the wire: a version, then numbers, the highest byte first, then text. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
  VERSION = 1,
  ANSWER_WAIT_MS = 5000,
  OPEN_MAX = 64,
  NAME_MAX_BYTES = 255,
  COMMAND_HEAD = 1 + 4 * 8, /* target (2), process, id */
  ANSWER_BYTES = 1 + 2 * 8 + 1
};

static const char command_topic[] = "command";
static const char answer_topic[] = "command-answer";

static struct wwri_loop *home_of(struct wwr_server *server) {
  return server->loops[0];
}

/* --- Bytes ---------------------------------------------------------------- */

static uint8_t *put_number(uint8_t *at, uint64_t number) {
  for (int i = 7; i >= 0; i--, number >>= 8) at[i] = (uint8_t)number;
  return at + 8;
}

static uint64_t get_number(const uint8_t *at) {
  uint64_t number = 0;
  for (int i = 0; i < 8; i++) number = number << 8 | at[i];
  return number;
}

static bool is_topic(struct wwr_view topic, const char *name) {
  return wwr_view_equal(topic, wwr_view_str(name));
}

/* --- The sender ----------------------------------------------------------- */

struct command {
  struct wwri_list link; /* in commands.open, the earliest deadline first */
  struct wwri_mail mail;
  struct wwri_bus_op op;
  struct wwr_server *server;
  wwr_command_done done; /* may be NULL */
  void *user_data;
  uint64_t id;
  uint64_t deadline_ms;
  bool busy;   /* the bus has `op`, or its mail is under way */
  bool ended;  /* `done` was called */
  wwr_err err; /* of the operation */
  struct wwri_boot target;
  size_t text_len;
  uint8_t text[WWR_COMMAND_MAX];
  char name[];
};

static struct command *command_of(struct wwri_list *link) {
  return WWRI_CONTAINER(link, struct command, link);
}

static void command_free(struct command *command) {
  struct wwr_server *server = command->server;
  free(command);
  atomic_fetch_sub(&server->commands.count, 1);
  wwri_channels_call_end(server);
}

/* Tell the application, once; the memory goes when the bus has let go of it. */
static void end(struct command *command, wwr_err err) {
  command->ended = true;
  wwri_list_remove(&command->link);
  if (command->done) command->done(err, command->user_data);
  if (!command->busy) command_free(command);
}

static void arm(struct wwr_server *server) {
  struct wwri_commands *commands = &server->commands;
  if (wwri_list_empty(&commands->open)) return;
  uint64_t now = wwri_loop_now_ms(home_of(server));
  uint64_t due = command_of(commands->open.next)->deadline_ms;
  wwri_loop_timer_set(home_of(server), &commands->timer,
                      due > now ? due - now : 0);
}

static void time_over(struct wwri_timer *timer) {
  struct wwr_server *server =
      WWRI_CONTAINER(timer, struct wwr_server, commands.timer);
  struct wwri_commands *commands = &server->commands;
  uint64_t now = wwri_loop_now_ms(home_of(server));
  while (!wwri_list_empty(&commands->open)) {
    struct command *command = command_of(commands->open.next);
    if (command->deadline_ms > now) break;
    end(command, WWR_E_UNAVAILABLE);
  }
  arm(server);
}

/* An operation of the bus is over, on its thread. */
static void hand_back(struct command *command, wwr_err err,
                      void (*next)(struct wwri_mail *mail)) {
  command->err = err;
  command->mail.fn = next;
  wwri_loop_post(home_of(command->server), &command->mail);
}

/* What the bus says against it, as it is told. */
static wwr_err told_as(wwr_err err) {
  return err == WWR_E_NOT_FOUND || err == WWR_E_CLOSED ? err
                                                       : WWR_E_UNAVAILABLE;
}

/* It goes on, on the first loop; false: it is over. */
static bool is_back(struct command *command) {
  command->busy = false;
  if (command->ended) {
    command_free(command);
  } else if (command->err != WWR_OK) {
    end(command, told_as(command->err));
  } else {
    return true;
  }
  return false;
}

static void is_written(struct wwri_mail *mail) {
  (void)is_back(WWRI_CONTAINER(mail, struct command, mail));
}

static void on_written(struct wwri_bus_op *op,
                       const struct wwri_bus_result *result) {
  hand_back(op->user, result->err, is_written);
}

static void write_command(struct wwri_mail *mail) {
  struct command *command = WWRI_CONTAINER(mail, struct command, mail);
  struct wwr_server *server = command->server;
  struct wwr_bus *bus = server->channels.bus;
  uint8_t bytes[COMMAND_HEAD + WWR_COMMAND_MAX];
  if (!is_back(command)) return;
  bytes[0] = VERSION;
  uint8_t *at = put_number(bytes + 1, command->target.hi);
  at = put_number(at, command->target.lo);
  at = put_number(at, server->channels.process);
  at = put_number(at, command->id);
  memcpy(at, command->text, command->text_len);
  command->op = (struct wwri_bus_op){.done = on_written, .user = command};
  command->busy = true;
  wwr_err err = bus->ops->control(
      bus, wwr_view_str(command_topic),
      (struct wwr_view){bytes, COMMAND_HEAD + command->text_len}, &command->op);
  if (err == WWR_OK) return;
  command->busy = false;
  end(command, told_as(err));
}

/* A node that was started again may be listed under both of its boot ids. */
static void on_nodes(struct wwri_bus_op *op,
                     const struct wwri_bus_result *result) {
  struct command *command = op->user;
  const struct wwri_bus_node *best = NULL;
  for (size_t i = 0; result->err == WWR_OK && i < result->node_count; i++) {
    const struct wwri_bus_node *node = &result->nodes[i];
    if (strcmp(node->name, command->name) != 0) continue;
    if (!best || node->beat_age_ms < best->beat_age_ms) best = node;
  }
  if (best) command->target = best->boot;
  wwr_err err = result->err;
  if (err == WWR_OK && !best) err = WWR_E_NOT_FOUND;
  hand_back(command, err, write_command);
}

static void begin(struct wwri_mail *mail) {
  struct command *command = WWRI_CONTAINER(mail, struct command, mail);
  struct wwr_server *server = command->server;
  struct wwr_bus *bus = server->channels.bus;
  command->id = ++server->commands.last_id;
  command->deadline_ms =
      wwri_loop_now_ms(home_of(server)) + server->commands.wait_ms;
  wwri_list_append(&server->commands.open, &command->link);
  arm(server);
  command->op = (struct wwri_bus_op){.done = on_nodes, .user = command};
  command->busy = true;
  wwr_err err = bus->ops->nodes(bus, &command->op);
  if (err == WWR_OK) return;
  command->busy = false;
  end(command, told_as(err));
}

static struct command *command_new(struct wwr_server *server, const char *node,
                                   struct wwr_view text) {
  size_t name_len = strlen(node);
  struct command *command = calloc(1, sizeof *command + name_len + 1);
  if (!command) return NULL;
  command->server = server;
  command->text_len = text.len;
  memcpy(command->text, text.data, text.len);
  memcpy(command->name, node, name_len + 1);
  wwri_list_init(&command->link);
  return command;
}

wwr_err wwr_server_command(struct wwr_server *server, const char *node,
                           struct wwr_view text, wwr_command_done done,
                           void *user_data) {
  if (!node || !*node || strlen(node) > NAME_MAX_BYTES) return WWR_E_INVALID;
  if (text.len < 1 || text.len > WWR_COMMAND_MAX) return WWR_E_INVALID;
  if (!atomic_load(&server->channels.open)) return WWR_E_CLOSED;
  if (atomic_fetch_add(&server->commands.count, 1) >= OPEN_MAX) {
    atomic_fetch_sub(&server->commands.count, 1);
    return WWR_E_LIMIT;
  }
  struct command *command = command_new(server, node, text);
  if (!command) {
    atomic_fetch_sub(&server->commands.count, 1);
    return WWR_E_NOMEM;
  }
  command->done = done;
  command->user_data = user_data;
  command->mail.fn = begin;
  wwri_channels_call_begin(server);
  wwri_loop_post(home_of(server), &command->mail);
  return WWR_OK;
}

/* --- What is read from the control channel -------------------------------- */

/* A command for this node, or an answer to it. */
struct notice {
  struct wwri_mail mail;
  struct wwri_bus_op op;
  struct wwr_server *server;
  uint64_t process;
  uint64_t id;
  bool yes; /* an answer's */
  size_t text_len;
  uint8_t text[WWR_COMMAND_MAX];
};

static void notice_free(struct notice *notice) {
  struct wwr_server *server = notice->server;
  free(notice);
  wwri_channels_call_end(server);
}

static void on_answered(struct wwri_bus_op *op,
                        const struct wwri_bus_result *result) {
  (void)result; /* the sender's time runs */
  notice_free(op->user);
}

static void answer(struct notice *notice, bool yes) {
  struct wwr_bus *bus = notice->server->channels.bus;
  uint8_t bytes[ANSWER_BYTES] = {VERSION};
  uint8_t *at = put_number(bytes + 1, notice->process);
  at = put_number(at, notice->id);
  *at = yes;
  notice->op = (struct wwri_bus_op){.done = on_answered, .user = notice};
  wwr_err err =
      bus->ops->control(bus, wwr_view_str(answer_topic),
                        (struct wwr_view){bytes, sizeof bytes}, &notice->op);
  if (err != WWR_OK) notice_free(notice);
}

static void obey(struct wwri_mail *mail) {
  struct notice *notice = WWRI_CONTAINER(mail, struct notice, mail);
  struct wwr_server *server = notice->server;
  const struct wwr_server_opts *opts = &server->opts;
  struct wwr_view text = {notice->text, notice->text_len};
  bool yes = opts->hooks.on_command &&
             opts->hooks.on_command(server, text, opts->user_data);
  answer(notice, yes);
}

static void hear_answer(struct wwri_mail *mail) {
  struct notice *notice = WWRI_CONTAINER(mail, struct notice, mail);
  struct wwri_list *open = &notice->server->commands.open;
  for (struct wwri_list *at = open->next; at != open; at = at->next) {
    if (command_of(at)->id != notice->id) continue;
    end(command_of(at), notice->yes ? WWR_OK : WWR_E_REFUSED);
    break;
  }
  notice_free(notice);
}

static struct notice *notice_new(struct wwr_server *server,
                                 void (*fn)(struct wwri_mail *mail)) {
  struct notice *notice = calloc(1, sizeof *notice);
  if (!notice) return NULL; /* as if it had been lost */
  notice->server = server;
  notice->mail.fn = fn;
  wwri_channels_call_begin(server);
  return notice;
}

/* A bus that is sharded knows this node by several. */
static bool is_own_boot(const struct wwr_server *server,
                        struct wwri_boot boot) {
  struct wwri_boot own[WWRI_SHARDS_MAX];
  struct wwr_bus *bus = server->channels.bus;
  size_t count = bus->ops->boots(bus, own, WWRI_SHARDS_MAX);
  for (size_t i = 0; i < count; i++) {
    if (wwri_boot_equal(own[i], boot)) return true;
  }
  return false;
}

static void read_command(struct wwr_server *server, struct wwr_view bytes) {
  if (bytes.len <= COMMAND_HEAD || bytes.len > COMMAND_HEAD + WWR_COMMAND_MAX) {
    return;
  }
  struct wwri_boot target = {get_number(bytes.data + 1),
                             get_number(bytes.data + 9)};
  if (!is_own_boot(server, target)) return;
  struct notice *notice = notice_new(server, obey);
  if (!notice) return;
  notice->process = get_number(bytes.data + 17);
  notice->id = get_number(bytes.data + 25);
  notice->text_len = bytes.len - COMMAND_HEAD;
  memcpy(notice->text, bytes.data + COMMAND_HEAD, notice->text_len);
  wwri_loop_post(home_of(server), &notice->mail);
}

static void read_answer(struct wwr_server *server, struct wwr_view bytes) {
  if (bytes.len != ANSWER_BYTES) return;
  if (get_number(bytes.data + 1) != server->channels.process) return;
  struct notice *notice = notice_new(server, hear_answer);
  if (!notice) return;
  notice->id = get_number(bytes.data + 9);
  notice->yes = bytes.data[17] == 1;
  wwri_loop_post(home_of(server), &notice->mail);
}

void wwri_command_heard(struct wwr_server *server, struct wwr_view topic,
                        struct wwr_view bytes) {
  if (bytes.len < 1 || bytes.data[0] != VERSION) return;
  if (is_topic(topic, command_topic)) read_command(server, bytes);
  if (is_topic(topic, answer_topic)) read_answer(server, bytes);
}

/* --- Life ----------------------------------------------------------------- */

void wwri_commands_init(struct wwr_server *server) {
  server->commands.wait_ms = ANSWER_WAIT_MS;
  wwri_list_init(&server->commands.open);
  wwri_timer_init(&server->commands.timer, time_over);
}

/* The bus is closed: it gives back what it has by mail. */
void wwri_commands_close(struct wwr_server *server) {
  struct wwri_list *open = &server->commands.open;
  wwri_loop_timer_cancel(home_of(server), &server->commands.timer);
  while (!wwri_list_empty(open)) end(command_of(open->next), WWR_E_CLOSED);
}
