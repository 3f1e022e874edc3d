/* broken.c - a link that breaks R4: each connection is judged by itself. It is
 * live when both are up, wherever they ended; when one is lost, the other is
 * kept; beats prove the commands' connection only. */
#include <assert.h>

#include "world.h"

enum { BEAT_MS = 1000, DEAD_MS = 3000, CONNECT_MS = 2000 };

static uint64_t now_of(const struct node *node) {
  return node->world->now_ms;
}

static void dial(struct node *node, enum wwri_pair_side side) {
  struct world *world = node->world;
  struct event event = {.kind = EVENT_MASTER, .node = node->index};
  event.connection = node->proc;
  event.side = side;
  world_push(world, world->now_ms + 20 + world_below(world, 300), event);
}

static void lose(struct node *node, enum wwri_pair_side side) {
  struct link *link = &node->link;
  net_close(node, side);
  link->ready[side] = false;
  link->live = false;
  link->drop = NULL;
  if (side == WWRI_PAIR_COMMANDS) {
    link->unanswered = link->ignored = 0;
  } else {
    link->ignored = link->unanswered;
    wwri_subs_disconnected(&link->subs);
  }
  wwri_node_link_lost(&node->core, now_of(node));
  dial(node, side);
}

static void say_again(struct node *node) {
  for (unsigned i = 0; i < STREAMS; i++) {
    const char name[] = {'c', (char)('0' + i), '\0'};
    if (!node->link.wanted[i]) continue;
    if (!node->link.conns[WWRI_PAIR_SUBSCRIBER].takes[i]) continue;
    wwri_node_subscribed(
        &node->core, wwri_node_channel(&node->core, wwr_view_str(name), false));
  }
}

static void check_live(struct node *node) {
  struct link *link = &node->link;
  if (link->live || !link->ready[0] || !link->ready[1]) return;
  link->live = true;
  link->beat_at = now_of(node);
  link->beat_ok = now_of(node);
  wwri_node_link_live(&node->core, true, now_of(node));
  if (link->subs.online) {
    say_again(node);
  } else {
    wwri_subs_connected(&link->subs);
  }
  wwri_subs_set_live(&link->subs, true);
}

static void next_step(struct node *node, enum wwri_pair_side side,
                      enum wwri_pair_step done) {
  bool commands = side == WWRI_PAIR_COMMANDS;
  if (done == WWRI_STEP_DIAL) {
    link_send_step(node, side, commands ? WWRI_STEP_LOAD : WWRI_STEP_LISTEN);
    return;
  }
  node->link.ready[side] = true;
  check_live(node);
}

void broken_start(struct node *node) {
  dial(node, WWRI_PAIR_COMMANDS);
  dial(node, WWRI_PAIR_SUBSCRIBER);
}

void broken_drop(struct node *node) {
  lose(node, WWRI_PAIR_COMMANDS);
}

uint64_t broken_due(const struct node *node) {
  return node->link.ready[0] ? node->link.beat_at : UINT64_MAX;
}

void broken_tick(struct node *node) {
  struct link *link = &node->link;
  if (!link->ready[0] || now_of(node) < link->beat_at) return;
  link->beat_at = now_of(node) + BEAT_MS;
  if (link->live && now_of(node) - link->beat_ok >= DEAD_MS) {
    lose(node, WWRI_PAIR_COMMANDS);
  } else {
    link_send_beat(node, 0);
  }
}

static void answered(struct node *node, const struct answer *answer) {
  struct link *link = &node->link;
  if (answer->reply.status == WWRI_REPLY_NOT_MASTER) {
    lose(node, WWRI_PAIR_COMMANDS);
  } else if (answer->kind == REQUEST_BEAT) {
    link->beat_ok = now_of(node);
    wwri_node_beat_answered(&node->core, &answer->beat, now_of(node));
  } else {
    link->unanswered--;
    if (link->ignored == 0) {
      link_answered(node, answer);
    } else {
      link->ignored--;
    }
  }
}

void broken_event(struct node *node, struct event *event) {
  switch (event->kind) {
    case EVENT_MASTER:
      net_connect(node, event->side);
      break;
    case EVENT_OPENED:
      next_step(node, event->side, WWRI_STEP_DIAL);
      break;
    case EVENT_STEP_DONE:
      if (event->on) {
        next_step(node, event->side, event->step);
      } else {
        lose(node, event->side);
      }
      break;
    case EVENT_CLOSED:
      lose(node, event->side);
      break;
    case EVENT_ANSWER:
      answered(node, event->answer);
      break;
    case EVENT_CONFIRM:
      link_confirmed(node, event);
      break;
    case EVENT_HINT:
      link_hint(node, event);
      break;
    case EVENT_BEAT_BACK:
      break;
    default:
      assert(false && "an event for servers");
  }
}
