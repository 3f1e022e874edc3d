/* scripts.h - the Lua scripts of the cluster: texts for wwri_redis_script(),
 * and the contract of each. docs/rules.md, R1, R2, R5 to R8, R12, R13.
 *
 * Notation: P is "PREFIX:{TAG}". Numbers in arguments are decimal text; BOOT is
 * 32 hex digits; ID is "EPOCH-OFFSET", of which {0, 0} is "0-0". Every reply
 * that is no error is an array whose first element is a text, mostly "ok".
 *
 * Late commands. Scripts that write for a node take its BOOT and CONNECTION
 * (which grows with every new connection of that boot, or differs at least).
 * Unless the boot's last beat was of that connection they do nothing and reply
 * "nogen", as they do when there is no generation: beat first.
 *
 * Errors. OOM, READONLY, NOREPLICAS, MISCONF refuse a script before its first
 * line (except that scripts marked "even out of memory" run). A key of another
 * type is a definite error, and then nothing was written or published. PUBLISH
 * comes last in every script.
 *
 * Keys (all with an expiry):
 *   P:gen        hash: n generation, id replication id, born, v layout, fp,
 *                k:BOOT the connection of its last beat, "-": gone for good
 *   P:nodes      sorted set: BOOT by its last beat (ms), "!grace" by its end,
 *                "-BOOT": gone for good
 *   P:node:BOOT  hash: n, name, address, version, started, connections,
 *                draining
 *   P:m:CH       hash: e epoch, r generation it began in, p parent, w why,
 *                a age of the log (ms)
 *   P:l:CH       stream, see "Entries"
 *   P:pr:CH:BOOT hash: member by "CONNECTIONS INFO"
 *   P:pi:CH      sorted set: BOOT by its connections of all members
 *
 * Entries of a log have four fields, always in this order, so that they arrive
 * as [ID, ["b", BOOT, "s", SEQ, "t", TIME, "d", ENVELOPE]]: who published it as
 * which of its publishes, when (the server's clock, ms), what. The first of an
 * epoch (offset 0) is its fork record: b is empty, s the ID it continues
 * (empty: none), d why the epoch began: "new" (there was nothing),
 * "generation", "log" (the log was gone), "meta" (P:m was gone), "order".
 *
 * Hints, the payload on a channel: "ID BOOT SEQ TIME ENVELOPE", one space each;
 * the envelope is the rest. ID is 0-0 for what is not logged. */
#ifndef WWRI_CLUSTER_SCRIPTS_H
#define WWRI_CLUSTER_SCRIPTS_H

/** The beat, of every node once a second, first thing on every connection
 * (R1, R5, R12, R13; rows 2, 6, 12, 45 to 48, 64). Even out of memory.
 * KEYS  P:gen, P:nodes, P:node:BOOT
 * ARGV  channel that the beat comes back on, token of the link, BOOT,
 *       CONNECTION, n (larger than in every beat of this boot before, executed
 *       or not), lease ms, layout version of the data, fingerprint ("KEY=VALUE"
 *       lines, no empty value), name, address, version, started (ms),
 *       connections, draining (0, 1)
 * Reply "ok", generation, born, server's time (ms), grace left (ms, 0: none);
 *       the beat was PUBLISHed as "TOKEN GENERATION". A generation is text, up
 *       to 2^64 - 1; the others are integers.
 *       Else the lease is not renewed and nothing is published:
 *       "fenced", generation, born: silent for a lease while others were heard;
 *       this boot is gone for good;
 *       "clone", generation, born: somebody beats under this boot id;
 *       "disagree", then pairs of lines, theirs and ours, empty for none: we
 *       may not join. Layouts come as lines "layout=N". Settings of which no
 *       node is left alive are replaced by ours.
 * A generation begins when there is none or the replication id is another;
 * born changes only when there was none: the data is gone. */
extern const char wwri_script_beat[];

/** A node leaves: it is gone for good. Even out of memory.
 * KEYS  P:gen, P:nodes, P:node:BOOT
 * ARGV  BOOT, lease ms
 * Reply "ok" */
extern const char wwri_script_bye[];

/** Append and tell the subscribers (R2, R6, R7, R8; rows 1 to 11, 29 to 35).
 * KEYS  P:m:CH, P:l:CH, P:gen
 * ARGV  channel P:c:CH, BOOT, CONNECTION, author (the BOOT that published it
 *       first), SEQ (below 2^53), envelope, entries to keep (1 or more), age to
 *       keep (ms), expiry of the keys (ms, longer), flags, hint ID, when it was
 *       first sent or earlier (ms, the server's clock). The last two count only
 *       with flag r and may be left out else. Flags, one text, perhaps empty:
 *       t  renew the keys' expiry. New keys get one anyway: send it with a
 *          node's first publish on a channel, then every quarter of the expiry
 *       r  it may be there already: look first, forward from the hint, which it
 *          can't be before, or from the log's end if that entry is not there
 *       d  with r: it was acknowledged, and the hint is its own id
 *       a  with r: ... and it was appended only once: if it is there at all,
 *          then at the hint; a later one of its author is behind it
 * Reply "ok", ID; "dup", ID: it was there; "superseded": it is not there, but a
 *       later one of its author is (with a: "dup", for then it was); "wrapped":
 *       can't tell, the log holds more than was looked through (10,000 entries,
 *       or back to before it was first sent); "nogen". */
extern const char wwri_script_publish[];

/** Tell the subscribers, keep nothing; at most once (row 34).
 * KEYS  P:gen
 * ARGV  channel P:c:CH, BOOT, CONNECTION, author, SEQ, envelope
 * Reply "ok"; "nogen" */
extern const char wwri_script_publish_unlogged[];

/** Bytes for one node.
 * KEYS  P:nodes
 * ARGV  lease ms, BOOT it is for, channel P:n:BOOT, bytes
 * Reply "ok", connections that got it (0: nobody; else no proof);
 *       "dead": not sent, for that node is not alive */
extern const char wwri_script_direct[];

/** Make sure of an epoch of this generation; the last entries (row 10).
 * KEYS  P:m:CH, P:l:CH, P:gen
 * ARGV  BOOT, CONNECTION, expiry (ms) that the keys get at least, n entries at
 *       most (0: none), bytes of entries at most (about; one always fits)
 * Reply "ok", ID, BOOT, SEQ of the last entry (the last two empty for a fork
 *       record), array of entries: the newest first, fork records too, none
 *       older than the channel's age (row 11); "nogen" */
extern const char wwri_script_open[];

/** The last messages, if there are any. Also on replicas and out of memory.
 * KEYS  P:m:CH, P:l:CH
 * ARGV  n entries at most, bytes of entries at most, ID: only what is before
 *       it; empty: all
 * Reply as open, but without fork records; without a log ID, BOOT, SEQ and the
 *       array are empty. */
extern const char wwri_script_history[];

/** Entries from an ID on, that one included. Also on replicas and out of
 * memory.
 * KEYS  P:l:CH
 * ARGV  ID, entries at most (1 or more), bytes of entries at most (about; one
 *       always fits)
 * Reply "ok", 1 when there may be more (one of the limits was reached) else 0,
 *       array of entries: the oldest first */
extern const char wwri_script_range[];

/** The last entries of channels (row 21). Also on replicas and out of memory.
 * KEYS  P:l:CH ... up to 256
 * Reply "ok", then for each key ID, BOOT, SEQ as in open; three empty texts:
 *       no log (or something else: reading it will tell). */
extern const char wwri_script_tops[];

/** The same, renewing the expiry (row 9). A write; even out of memory.
 * KEYS  P:l:CH, P:m:CH ... up to 256 pairs
 * ARGV  expiry (ms) that the keys get at least */
extern const char wwri_script_tops_touch[];

/** Nodes that are alive, those that beat last first. Also on replicas.
 * KEYS  P:nodes
 * ARGV  "P:node:", lease ms, how many at most
 * Reply "ok", then for each BOOT, ms since its beat (integer), name, address,
 *       version, started, connections, draining (texts, as in the beat; empty
 *       when they are lost until its next one) */
extern const char wwri_script_nodes[];

/** This node's connections of members of a channel; absolute, so that a
 * repetition changes nothing (R11, row 62). Even out of memory.
 * KEYS  P:gen, P:pr:CH:BOOT, P:pi:CH
 * ARGV  BOOT, CONNECTION, connections of all members on this node (0: none),
 *       expiry ms (2 leases), 1: these are all members (0: others stay as they
 *       are), then for each member, connections (0: none), info; up to 1000
 * Reply "ok"; "nogen" */
extern const char wwri_script_presence_set[];

/** Keep rows alive; every half lease. Even out of memory.
 * KEYS  P:pr:CH:BOOT, P:pi:CH ... up to 128 pairs
 * ARGV  BOOT, expiry ms, connections of all members on this node, for each pair
 * Reply "ok", then the numbers (from 1) of the pairs that are not as they
 *       should be: set all their members again */
extern const char wwri_script_presence_renew[];

/** Members of a channel, summed over the nodes that are alive; rows of dead
 * ones are dropped. A write; even out of memory.
 * KEYS  P:nodes, P:pi:CH
 * ARGV  "P:pr:CH:", lease ms, members at most (0: only the sum)
 * Reply "ok", connections of all members, 1 when members were left out (then
 *       what is said of others may be too little; else 0), then for each
 *       member, connections (integers), info */
extern const char wwri_script_presence_list[];

/* For scripts of other folders, `-- include: NAME.lua` (cmake/EmbedLua.cmake):
 *   clock.lua    clock(), whole(), server(), next_number()
 *   keep.lua     keep(key, ttl)
 *   current.lua  current(gen, boot, connection)
 *   epoch.lua    append(), publish_entry(); needs clock.lua, keep.lua
 *   alive.lua    living(nodes, lease); needs clock.lua
 *   moved.lua    is_moved(reply), for keys that are not among KEYS
 * To log and publish from a script, as its end:
 *   local gen, reply = current(KEYS[3], boot, connection)
 *   if not gen then return reply end
 *   local id, ms = append(m, l, gen, pen, seq, data, limit, age, ttl, touch)
 *   if not id then return ms end       -- ms is the reply: nothing was written
 *   publish_entry(channel, id, pen, seq, ms, data)
 * (pen, seq) must be unique and seq increase, or receivers take the entry for
 * a duplicate: use an id of your own, not the publisher's boot. */

#endif
