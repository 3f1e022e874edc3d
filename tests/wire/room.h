/* room.h - the chat room's answers about itself, for the suites of one node and
 * of many. */
#ifndef WIRE_ROOM_H
#define WIRE_ROOM_H

#include "wire.h"

enum { ROOM_MAX_TEXT = 8193, ROOM_MAX_ENTRIES = 256 };

/** Cut a reply to "history" into "NAME: TEXT" (cut off at 63 characters), at
 * most `max`. Their number; -1 when it is not exactly what it should be. */
int room_parse_history(const char *json, char texts[][64], int max);

/** Ask "who" until the user has so many connections (0: is not there). False
 * after 20 s: changes of other nodes come within a second, on a busy machine
 * later. */
bool room_lists(struct rawws *ws, const char *user, int connections);

/* --- The page's requests -------------------------------------------------- */

/** A message, as history has it or as a signal (then without an id). */
struct room_entry {
  char user[32];
  char msg[96]; /* as it stands in the JSON, cut off */
  char cid[65]; /* "": none */
  char id[48];
};

/** Connect on the page's path, and read accept-conf. */
struct rawws *room_open_page(uint16_t port);

/** Ask "join" for `count` ("": by default): the node's name and the messages.
 * Their number; -1 when anything but the reply comes first, or it is not
 * exactly what it should be. */
int room_join(struct rawws *ws, const char *count, char node[64],
              struct room_entry entries[ROOM_MAX_ENTRIES]);

/** Read that reply only. */
int room_joined(struct rawws *ws, char node[64],
                struct room_entry entries[ROOM_MAX_ENTRIES]);

/** The next message is a signal of the room. */
bool room_hear(struct rawws *ws, struct room_entry *out);

/** Ask "say", skipping signals; the message's id. False: the id is the error's
 * code. */
bool room_say(struct rawws *ws, const char *msg, const char *cid, char id[48]);

/** A client on the first port says 1000 things, while others join on each port
 * in turn: each has one piece of what was said, up to the last thing, from
 * history and signals together. What was said before does not matter. */
bool room_join_amid(const uint16_t *ports, int port_count);

#endif
