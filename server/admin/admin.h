/* admin.h - a server's admin listener: probes, metrics and a small HTTP API for
 * operators, on an address of its own (docs/admin.md). For the programs; no
 * part of the library.
 *
 *   wwri_admin_new()   after wwr_server_new(), before wwr_server_start(): it
 *                      listens and answers from then on
 *   wwri_admin_free()  after wwr_server_wait(), before wwr_server_free()
 *
 * It has one thread, which never waits for the server: a request that needs an
 * answer of it is set aside until that has come. What strangers can do to it is
 * bounded: connections, time, sizes. */
#ifndef WWRI_ADMIN_H
#define WWRI_ADMIN_H

#include <webwire/wwr_server.h>

struct wwri_admin; /* opaque; freed by wwri_admin_free() */

enum { WWRI_ADMIN_TOKEN_MAX = 1024, WWRI_ADMIN_REASON_MAX = 256 };

/** The text of a command by which one node asks another to drain; what a
 * program's on_command hook looks for. */
#define WWRI_ADMIN_COMMAND_DRAIN "drain"

/** What only the program counts; since its start. */
struct wwri_admin_counters {
  uint64_t limited_connection; /**< webwire_rate_limited_total, by scope. */
  uint64_t limited_address;
  uint64_t auth_ok; /**< webwire_auth_total, by result. */
  uint64_t auth_bad;
  uint64_t auth_expired;
};

/** Copied; texts, too. */
struct wwri_admin_opts {
  const char *listen; /**< Required: "HOST:PORT", "[ADDRESS]:PORT", ":PORT" for
                           every address; port 0 picks a free one. */
  const char *token;  /**< Of the API, 1 to WWRI_ADMIN_TOKEN_MAX printable ASCII
                           characters without spaces; NULL: the API answers
                           403. */
  const char *name;   /**< The node's; NULL: wwr_server_node_name(). */
  struct wwr_server *server; /**< Required; borrowed. */
  struct wwr_log log;        /**< Default: silence. */

  /* All optional, called on the admin thread: at most some milliseconds. */

  /** Begin what SIGTERM does, with the program's own drain time; harmless when
   * it has begun. */
  void (*drain)(void *user_data);

  /** Do what SIGHUP does. WWR_OK: it is done, or begun. Else `reason` says in
   * one line why nothing changed. */
  wwr_err (*reload)(char reason[WWRI_ADMIN_REASON_MAX], void *user_data);

  /** Fill in the counters, which are zero. */
  void (*counters)(struct wwri_admin_counters *out, void *user_data);

  void *user_data; /**< Borrowed. */
};

/** True when an address or a token is well-formed. */
bool wwri_admin_listen_ok(const char *listen);
bool wwri_admin_token_ok(const char *token);

/** Listen and answer. Errors: WWR_E_INVALID (`reason`, which may be NULL, says
 * what is wrong with the address or the token), WWR_E_IO (can't listen, no
 * thread: so does it), WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_admin_new(struct wwri_admin **out,
                                      const struct wwri_admin_opts *opts,
                                      char reason[WWRI_ADMIN_REASON_MAX]);

/** Where it listens, "http://127.0.0.1:9180"; lives as long as it does. */
const char *wwri_admin_address(const struct wwri_admin *admin);

/** Change the token; NULL: the API answers 403 from now on. Any thread.
 * WWR_E_INVALID: nothing changed. */
WWR_MUST_CHECK wwr_err wwri_admin_set_token(struct wwri_admin *admin,
                                            const char *token);

/** Change what its log gets from now on. Any thread. */
void wwri_admin_set_log_level(struct wwri_admin *admin,
                              enum wwr_log_level level);

/** Stop and free; requests that wait are answered 503. NULL does nothing. Not
 * from a callback. */
void wwri_admin_free(struct wwri_admin *admin);

#endif
