/* node_impl.h - between node.c (link, beat) and node_work.c (channels, calls).
 */
#ifndef WWRI_NODE_IMPL_H
#define WWRI_NODE_IMPL_H

#include "node.h"

static inline struct wwr_view wwri_name_of(
    const struct wwri_node_channel *channel) {
  return (struct wwr_view){channel->name, channel->name_len};
}

/** Something happened to a channel: look at it in the next run. */
void wwri_node_touch(struct wwri_node *node, struct wwri_node_channel *channel);

/** The link is gone: every call is unanswered. */
void wwri_node_drop_calls(struct wwri_node *node, uint64_t now_ms);

/** What was submitted for a channel was appended, or will not be. */
void wwri_node_settled(struct wwri_publisher *publisher,
                       const struct wwri_publish *publish,
                       struct wwri_logid id);

/** When the oldest publish that is held will have waited too long; UINT64_MAX:
 * none is. */
uint64_t wwri_node_held_until(const struct wwri_node *node);

/** We are live, or no longer. */
void wwri_node_channels_live(struct wwri_node *node);
void wwri_node_channels_lost(struct wwri_node *node, uint64_t now_ms);

/** Channels, publishes, audits: send what is due. */
void wwri_node_work(struct wwri_node *node, uint64_t now_ms);

/** An answer to the call of that slot. */
void wwri_node_work_reply(struct wwri_node *node,
                          const struct wwri_call_slot *slot,
                          const struct wwri_reply *reply, uint64_t now_ms);

#endif
