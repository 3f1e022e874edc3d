/* node_impl.h - between node.c (links, beat) and node_work.c (channels,
 * calls). */
#ifndef WWRI_NODE_IMPL_H
#define WWRI_NODE_IMPL_H

#include "node.h"

static inline struct wwr_view wwri_name_of(
    const struct wwri_node_channel *channel) {
  return (struct wwr_view){channel->name, channel->name_len};
}

/** Something happened to a channel: look at it in the next run. */
void wwri_node_touch(struct wwri_node *node, struct wwri_node_channel *channel);

/** Send a call; false: too many are unanswered. */
bool wwri_node_send(struct wwri_node *node, const struct wwri_call *call,
                    struct wwri_node_channel *channel);

/** The command link died: every call is unanswered. */
void wwri_node_drop_calls(struct wwri_node *node, uint64_t now_ms);

/** The pair is live, or no longer. */
void wwri_node_channels_live(struct wwri_node *node);
void wwri_node_channels_lost(struct wwri_node *node, bool sub_link,
                             uint64_t now_ms);

/** Channels, publishes, audits: send what is due. */
void wwri_node_work(struct wwri_node *node, uint64_t now_ms);

/** An answer to OPEN, RANGE, TOPS or PUBLISH. */
void wwri_node_work_reply(struct wwri_node *node,
                          const struct wwri_call_slot *slot,
                          const struct wwri_reply *reply, uint64_t now_ms);

/** Reconnect both links: whatever we believed about them is void. */
void wwri_node_reconnect(struct wwri_node *node, uint64_t now_ms);

/** The generation may be gone: ask again on the same link. */
void wwri_node_hello(struct wwri_node *node);

#endif
