/* room.h - the chat room's answers about itself, for the suites of one node and
 * of many. */
#ifndef WIRE_ROOM_H
#define WIRE_ROOM_H

#include "wire.h"

enum { ROOM_MAX_TEXT = 8193 };

/** Cut a reply to "history" into "NAME: TEXT" (cut off at 63 characters), at
 * most `max`. Their number; -1 when it is not exactly what it should be. */
int room_parse_history(const char *json, char texts[][64], int max);

/** Ask "who" until the user has so many connections (0: is not there). False
 * after 20 s: changes of other nodes come within a second, on a busy machine
 * later. */
bool room_lists(struct rawws *ws, const char *user, int connections);

#endif
