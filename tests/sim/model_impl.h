/* model_impl.h - one script under way: between model.c and sessions_model.c. */
#ifndef WWR_SIM_MODEL_IMPL_H
#define WWR_SIM_MODEL_IMPL_H

#include "model.h"

struct script {
  struct model *model;
  struct server *server;
  const struct request *request;
  uint64_t now_ms;  /* of the world */
  uint64_t time_us; /* of the server */
  struct answer *answer;
};

void script_write(struct script *script, struct op op);

/** Its place among the beats; SIZE_MAX: it never beat. */
size_t server_find_boot(const struct server *server, struct wwri_boot boot);
uint64_t server_newest_beat(const struct server *server);

/** Silent for a lease while others were heard, or taken for that before. */
bool script_is_dead(const struct script *script, size_t at);

/** There is a generation, and the boot's last beat was of this connection. */
bool script_is_current(const struct script *script);

/** How many of the keys that a request names the server has. */
struct slot_keys {
  unsigned present, missing;
};
struct slot_keys slot_keys_of(const struct server *server,
                              const struct request *request);

/** Append to a channel's log and tell the subscribers. */
struct wwri_logid script_append(struct script *script, unsigned channel,
                                struct wwri_entry entry);

/** A call about sessions. */
void script_session(struct script *script);

/** Sessions that nobody touched for too long. */
void script_expire_sessions(struct script *script);

#endif
