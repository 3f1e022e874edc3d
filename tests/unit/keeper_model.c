/* keeper_model.c - what the scripts do (session_scripts.h), on the model. */
#include <string.h>

#include "keeper_world.h"

static void notice(struct world *world, unsigned key, uint64_t v) {
  struct model *model = &world->model;
  if (model->notice_count == NOTICES) {
    world->wrong++;
    return;
  }
  model->notices[model->notice_count].key = key;
  model->notices[model->notice_count].v = v;
  model->notice_count++;
}

static void destroy(struct world *world, unsigned key, uint64_t v) {
  struct model_session *session = &world->model.sessions[key];
  memset(session, 0, sizeof *session);
  session->tombstone = v;
  session->tombstone_until = world->now + 120000;
  notice(world, key, v);
}

static uint32_t others(struct world *world, struct model_session *session,
                       unsigned boot) {
  uint32_t sum = 0;
  for (unsigned i = 0; i < BOOTS; i++) {
    if (world->dead[i]) session->counts[i] = 0;
    if (i != boot) sum += session->counts[i];
  }
  return sum;
}

static bool has_tombstone(const struct world *world,
                          const struct model_session *session, uint64_t v) {
  return session->tombstone == v && world->now < session->tombstone_until;
}

static enum wwri_keeper_word create(struct world *world,
                                    struct model_session *session,
                                    const struct message *message) {
  uint64_t v = message->call.v;
  if (has_tombstone(world, session, v)) return WWRI_WORD_CLOSED;
  if (session->v && session->v != v) return WWRI_WORD_TAKEN;
  if (!session->v) {
    memset(session, 0, sizeof *session);
    session->v = v;
    if (message->call.max_known) session->max = message->call.max;
  }
  session->counts[message->boot] = message->call.count;
  return WWRI_WORD_OK;
}

static bool is_other(const struct model_session *session, uint64_t v) {
  return !session->v || (v && session->v != v);
}

static enum wwri_keeper_word attach(struct world *world,
                                    struct model_session *session,
                                    const struct message *message,
                                    struct wwri_keeper_answer *answer) {
  const struct wwri_keeper_call *call = &message->call;
  if (is_other(session, call->v)) return WWRI_WORD_MISSING;
  uint32_t count = call->count, elsewhere;
  uint32_t max = call->max_known ? call->max : session->max;
  elsewhere = others(world, session, message->boot);
  if (max && elsewhere + count > max) {
    if (call->whole) {
      session->counts[message->boot] = 0;
      return WWRI_WORD_FULL;
    }
    count = max > elsewhere ? max - elsewhere : 0;
    if (count < call->had) count = call->had;
  }
  session->max = max;
  session->counts[message->boot] = count;
  answer->v = session->v;
  answer->count = count;
  return WWRI_WORD_OK;
}

static enum wwri_keeper_word leave(struct world *world,
                                   struct model_session *session,
                                   const struct message *message,
                                   struct wwri_keeper_answer *answer) {
  if (is_other(session, message->call.v)) return WWRI_WORD_MISSING;
  answer->v = session->v;
  uint32_t elsewhere = others(world, session, message->boot);
  if (elsewhere + message->call.count > 0) {
    session->counts[message->boot] = message->call.count;
    return WWRI_WORD_OK;
  }
  destroy(world, message->key, session->v);
  return WWRI_WORD_LAST;
}

static enum wwri_keeper_word kill(struct world *world,
                                  struct model_session *session,
                                  const struct message *message,
                                  struct wwri_keeper_answer *answer) {
  const struct wwri_keeper_call *call = &message->call;
  if (!session->v) {
    if (call->v && !has_tombstone(world, session, call->v)) {
      destroy(world, message->key, call->v);
    }
    return WWRI_WORD_MISSING;
  }
  if (is_other(session, call->v)) return WWRI_WORD_MISSING;
  bool ours = session->counts[message->boot] > 0;
  if (!call->any && !call->force && !ours &&
      !others(world, session, message->boot)) {
    return WWRI_WORD_NOBODY;
  }
  answer->v = session->v;
  destroy(world, message->key, session->v);
  return WWRI_WORD_OK;
}

static enum wwri_keeper_word touch(struct world *world,
                                   const struct message *message, bool *gone) {
  for (size_t i = 0; i < message->call.touch_count; i++) {
    struct model_session *session = &world->model.sessions[message->keys[i]];
    gone[i] = is_other(session, message->vs[i]);
    if (!gone[i]) session->counts[message->boot] = message->counts[i];
  }
  return WWRI_WORD_OK;
}

void model_execute(struct world *world, const struct message *message,
                   struct reply *reply) {
  struct model_session *session = &world->model.sessions[message->key];
  memset(reply, 0, sizeof *reply);
  reply->slot = message->call.slot;
  reply->key = message->key;
  struct wwri_keeper_answer *answer = &reply->answer;
  answer->word = WWRI_WORD_UNAVAILABLE;
  if (world->dead[message->boot]) return;
  if (world->connection_of[message->boot] > message->connection) return;
  switch (message->call.kind) {
    case WWRI_KEEP_CREATE:
      answer->word = create(world, session, message);
      break;
    case WWRI_KEEP_ATTACH:
      answer->word = attach(world, session, message, answer);
      break;
    case WWRI_KEEP_LEAVE:
      answer->word = leave(world, session, message, answer);
      break;
    case WWRI_KEEP_KILL:
      answer->word = kill(world, session, message, answer);
      break;
    case WWRI_KEEP_TOUCH:
      answer->word = touch(world, message, reply->gone);
      break;
    default:
      answer->word = session->v ? WWRI_WORD_OK : WWRI_WORD_MISSING;
      break;
  }
}
