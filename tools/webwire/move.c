/* Happy path: connect, see that no node is alive, copy, look for remnants on
 * the target, see again that no node is alive, delete if asked to. */
#include "move.h"
#include "columns.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- The way -------------------------------------------------------------- */

static bool connect_all(struct move *move) {
  const struct cli *cli = move->cli;
  char why[REDIS_WHY_SIZE];
  const char *which = "--from";
  bool ok = redis_group_open(&move->from, cli->from, cli->timeout_ms, why);
  if (ok) {
    which = "--to";
    ok = redis_group_open(&move->to, cli->to, cli->timeout_ms, why);
  }
  if (!ok) {
    snprintf(move->why, sizeof move->why, "%s: %.480s", which, why);
    return false;
  }
  move->to_each = calloc(move->to.count, sizeof *move->to_each);
  if (!move->to_each) snprintf(move->why, sizeof move->why, "out of memory");
  return move->to_each != NULL;
}

static bool check_idle(struct move *move) {
  return move_check_idle(move, &move->from) && move_check_idle(move, &move->to);
}

static bool run(struct move *move) {
  if (!connect_all(move) || !check_idle(move)) return false;
  bool ok = move_walk(move, &move->from, move_copy, &move->astray);
  move_end_progress(move);
  if (!ok || !move_walk(move, &move->to, move_find_stale, NULL)) return false;
  if (move->cli->dry_run) return true;
  if (!check_idle(move)) return false;
  return !move->cli->delete || move_walk(move, &move->from, move_delete, NULL);
}

/* --- Telling -------------------------------------------------------------- */

static json_t *describe(const struct move *move) {
  json_t *servers = json_array();
  for (size_t i = 0; i < move->to.count; i++) {
    const struct move_counts *counts = &move->to_each[i];
    json_array_append_new(
        servers, json_pack("{s:s, s:I, s:I, s:I}", "address",
                           redis_address(move->to.servers[i].conn), "sessions",
                           (json_int_t)counts->sessions, "logs",
                           (json_int_t)counts->logs, "bytes",
                           (json_int_t)counts->bytes));
  }
  return json_pack("{s:b, s:o, s:I, s:I, s:I, s:I}", "dry_run",
                   (int)move->cli->dry_run, "to", servers, "in_place",
                   (json_int_t)move->in_place, "astray",
                   (json_int_t)move->astray, "stale", (json_int_t)move->stale,
                   "deleted", (json_int_t)move->deleted);
}

static void print(const struct move *move, const json_t *json) {
  static const struct table_column columns[] = {
      {"TO", "address", TABLE_TEXT},
      {"SESSIONS", "sessions", TABLE_NUMBER},
      {"LOGS", "logs", TABLE_NUMBER},
      {"BYTES", "bytes", TABLE_NUMBER}};
  table_print(json_object_get(json, "to"), columns,
              sizeof columns / sizeof *columns);
  if (move->in_place > 0)
    printf("%" PRIu64 " keys are where they belong already\n", move->in_place);
  if (move->astray > 0)
    printf("%" PRIu64
           " keys are left alone: no node of --from looks for them "
           "where they are\n",
           move->astray);
  if (move->deleted > 0) printf("%" PRIu64 " keys deleted\n", move->deleted);
  if (move->cli->dry_run) printf("nothing was changed (--dry-run)\n");
}

/* Remnants of an earlier move: sessions that were closed since then would be
 * back. */
static int judge(const struct move *move) {
  char why[160];
  if (move->stale == 0 || move->cli->delete) return WWR_EXIT_OK;
  snprintf(why, sizeof why,
           "%" PRIu64
           " keys are there, but not on the source: closed sessions would "
           "come back; --delete removes them",
           move->stale);
  return cli_fail("--to", why);
}

/* NULL, or what is wrong with the command line. */
static const char *check(const struct cli *cli) {
  size_t len = cli->prefix ? strlen(cli->prefix) : 3;
  for (size_t i = 0; cli->prefix && i < len; i++) {
    unsigned char c = (unsigned char)cli->prefix[i];
    if (!isalnum(c) && c != '-' && c != '_') len = 0;
  }
  if (len < 1 || len > 32)
    return "--prefix is 1 to 32 letters, digits, '-' or '_'";
  if (!cli->from || !cli->to) return "--from and --to are needed";
  return NULL;
}

int cli_move(const struct cli *cli) {
  struct move move = {.cli = cli, .prefix = cli->prefix ? cli->prefix : "wwr"};
  const char *bad = check(cli);
  if (bad) {
    cli_fail("move", bad);
    return WWR_EXIT_USAGE;
  }
  bool ok = run(&move);
  int status = ok ? judge(&move) : cli_fail("move", move.why);
  json_t *json = ok ? describe(&move) : NULL;
  if (json && cli->json) {
    if (cli_print_json(json) != WWR_EXIT_OK) status = WWR_EXIT_FAILED;
  } else if (json) {
    print(&move, json);
    json_decref(json);
  }
  redis_group_close(&move.from);
  redis_group_close(&move.to);
  free(move.to_each);
  return status;
}
