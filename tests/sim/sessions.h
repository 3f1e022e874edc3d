/* sessions.h - applications with sessions: connections that create, restore,
 * give up and close them, on a keeper per node (sessionstore/redis/keeper.h),
 * and what must never happen with them (docs/cluster.md):
 * - the connections of a session never exceed its limit, nor is it destroyed
 *   while one has it (but by its key), as far as nodes with a valid lease have
 *   them and no failover forgot their counts;
 * - nothing is counted that was not granted in this life of the node;
 * - what was destroyed is taken off every connection of every node whose link
 *   is live, soon, and does not come back;
 * - what was created can be restored until it is destroyed;
 * - every operation ends, once, and in time;
 * - a while after the last fault, and in the end, Redis counts what there is.
 *
 * A lease is valid for the lease's time after a beat that the cluster's master
 * accepted; longer when no beat came at all in between (R12). */
#ifndef WWR_SIM_SESSIONS_H
#define WWR_SIM_SESSIONS_H

#include "keeper.h"
#include "node.h"

struct world;
struct node;
struct answer;
struct model;
struct server;
struct sessions; /* all about them in one run */

struct sessions *sessions_new(struct world *world);
void sessions_free(struct sessions *sessions);

/** A node begins, and ends (its connections with it). */
void sessions_node_up(struct node *node);
void sessions_node_down(struct node *node);

/** What its core says. */
void sessions_node_event(struct node *node, enum wwri_node_event event);

/** The control channel: a notice, or some may be missing. */
void sessions_notice(struct node *node, const struct wwri_entry *entry);
void sessions_doubt(struct node *node);

void sessions_answer(struct node *node, const struct answer *answer);
void sessions_run(struct node *node);
uint64_t sessions_deadline(const struct node *node);

/** Some application does something. */
void sessions_act(struct world *world);
/** Connections whose end was not told the keeper yet. */
void sessions_tell(struct world *world, const struct node *node);

/** The data of the cluster's master is another now: what did it forget? */
void sessions_data_changed(struct world *world);

/** Set the model's hooks. */
void sessions_watch(struct model *model);

/** All works again for a while: what rests is as it should be. */
void sessions_check(struct world *world);
/** It was destroyed at `since_ms`, a while ago. */
void sessions_check_gone(struct world *world, unsigned key, uint64_t since_ms);

/** All is calm. */
void sessions_end(struct world *world);

/** Operations and connections so far. */
uint64_t sessions_count(const struct sessions *sessions);

#endif
