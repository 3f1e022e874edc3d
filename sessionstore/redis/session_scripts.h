/* session_scripts.h - the Lua scripts of sessions: texts for
 * wwri_redis_script(), and the contract of each. docs/rules.md, R6, R11 to R15.
 *
 * Notation as in cluster/redis/scripts.h; P is "PREFIX:{TAG}", ID the SHA-256
 * of the session's key in hex, V an incarnation (16 hex digits; as an argument
 * empty: whichever it is), NS Unix time in ns. All run even out of memory.
 *
 * P:s:ID  hash, expires when nobody touched it for the sessions' ttl:
 *   v       incarnation
 *   j       the session's JSON without key and last look-up
 *   l, pl   last look-up (NS), and the one before, which is given once more
 *           when a look-up is repeated
 *   max     of connections, 0 none: what the last attach said
 *   c:BOOT  connections on that node; no field: none
 * Of a session that was destroyed lately:
 *   x       its incarnation; expires after 2 minutes
 *
 * Every destruction is an entry of the control log ("!ctl"), envelope + V,
 * written by PEN (a boot id of this store's own) as its SEQ.
 *
 * Replies that every script which writes (all but places and send) may give,
 * and then has done nothing:
 *   "fenced"  this node's lease ran out
 *   "nogen"   no generation, or this is not the node's newest connection
 * A key of another type is an error, and nothing was done. */
#ifndef WWRI_SESSION_SCRIPTS_H
#define WWRI_SESSION_SCRIPTS_H

/** Put a session there, with our count.
 * KEYS  P:s:ID, P:gen, P:nodes
 * ARGV  BOOT, CONNECTION, lease ms, ttl ms, V, count, max (empty: not known),
 *       j, l
 * Reply "ok" (also when this incarnation is there: only our count changed);
 *       "taken": another one is there; "closed": this one was destroyed */
extern const char wwri_session_script_create[];

/** Set our count, as far as the maximum lets; give the session.
 * KEYS  P:s:ID, P:gen, P:nodes
 * ARGV  BOOT, CONNECTION, lease ms, ttl ms, V, count, how many of them we have
 *       in any case, "1" all or none (else "0"), max (empty: the stored one),
 *       now (NS; empty: this is no look-up)
 * Reply "ok", V, count (integer; lower than asked for: the maximum), j,
 *       previous look-up (NS); "full": all were too many, and ours is 0;
 *       "missing" */
extern const char wwri_session_script_attach[];

/** Set our count; when no node that is alive has any, destroy the session.
 * KEYS  P:s:ID, P:gen, P:nodes, P:m:!ctl, P:l:!ctl
 * ARGV  BOOT, CONNECTION, lease ms, ttl ms, V, count, channel P:c:!ctl, PEN,
 *       SEQ, envelope, entries and age (ms) to keep, expiry (ms)
 * Reply "ok", V; "last", V: destroyed; "missing" */
extern const char wwri_session_script_leave[];

/** Destroy a session.
 * KEYS  as leave
 * ARGV  BOOT, CONNECTION, lease ms, V, how, channel P:c:!ctl, PEN, SEQ,
 *       envelope, entries and age (ms) to keep, expiry (ms)
 *       how: empty: if a node that is alive has connections; else in any case
 * Reply "ok", V; "nobody": nobody has, untouched; "missing"; "missing", V: it
 *       can't be put back any more either */
extern const char wwri_session_script_kill[];

/** Set our counts of many sessions, renew their expiry.
 * KEYS  P:gen, P:nodes, P:s:ID ... up to 128
 * ARGV  BOOT, CONNECTION, lease ms, ttl ms, then V, count for each
 * Reply "ok", then the numbers (from 1) of those that are missing */
extern const char wwri_session_script_touch[];

/** KEYS  P:s:ID, P:nodes
 * ARGV  lease ms, "P:node:"
 * Reply "ok", then name and count (text) of each node; "missing" */
extern const char wwri_session_script_places[];

/** PUBLISH to every node that is alive and has connections: head, V, bytes.
 * KEYS  P:s:ID, P:nodes
 * ARGV  lease ms, "P:n:", head, bytes
 * Reply "ok", nodes (integer); "missing", also when there are none */
extern const char wwri_session_script_send[];

#endif
