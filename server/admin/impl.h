/* impl.h - the inside of the admin listener.
 *
 * Threads: everything belongs to the admin thread but what says otherwise:
 * `locked`, the log and the post box. A question to the server is a *call*; its
 * answer is put into the call on an I/O thread and posted. The post box is
 * counted by everybody who may still post, so that an answer that comes after
 * the listener's end finds it closed. */
#ifndef WWRI_ADMIN_IMPL_H
#define WWRI_ADMIN_IMPL_H

#include <jansson.h>
#include <pthread.h>

#include "admin.h"
#include "list.h"
#include "log.h"

struct MHD_Connection;
struct MHD_Daemon;

enum {
  WWRI_ADMIN_BODY_MAX = 1 << 20,
  WWRI_ADMIN_PATH_MAX = 2048,
  WWRI_ADMIN_PARTS_MAX = 6,
  WWRI_ADMIN_LIST_DEFAULT = 100,
  WWRI_ADMIN_PAGE = 100, /* rows that an I/O thread collects at a time */
  WWRI_ADMIN_HISTORY_MAX = 256,
  WWRI_ADMIN_ANSWER_BYTES = 4 << 20 /* of messages in one answer */
};

/* --- Answers from other threads ------------------------------------------- */

struct wwri_postbox; /* opaque; counted */

struct wwri_ask;

/* One question to the server. Whoever asks fills nothing in before; the
 * server's callback fills in what it learned and posts it. */
struct wwri_call {
  struct wwri_list node; /* in the post box */
  struct wwri_postbox *box;
  struct wwri_ask *ask; /* NULL: nobody waits any more */
  void (*then)(struct wwri_ask *ask, struct wwri_call *call);
  wwr_err err;
  bool more;
  bool certain;
  bool closes; /* what the answer is to do */
  uint64_t number;
  struct wwr_channel_id id;
  json_t *json; /* the call's */
};

/** A call whose answer `then` gets, on the admin thread. NULL: no memory, and
 * the ask is answered with that. */
struct wwri_call *wwri_call_new(struct wwri_ask *ask,
                                void (*then)(struct wwri_ask *ask,
                                             struct wwri_call *call));

/** The server has taken the call, or has not: then the ask is answered with
 * `err`. */
void wwri_call_begun(struct wwri_call *call, wwr_err err);

/** The server has answered. Any thread; the call is gone for the caller. */
void wwri_call_post(struct wwri_call *call);

struct wwri_postbox *wwri_postbox_new(int wake_fd);

/** Nobody is woken any more; what comes is dropped. Drops a reference. */
void wwri_postbox_close(struct wwri_postbox *box);

/** Go on with what has been answered. */
void wwri_postbox_take(struct wwri_postbox *box);

/* --- Requests ------------------------------------------------------------- */

enum wwri_method {
  WWRI_GET = 1,
  WWRI_POST = 2,
  WWRI_DELETE = 4,
  WWRI_OTHER = 0
};

struct wwri_route {
  const char *path; /* "*" stands for one part */
  unsigned methods;
  bool json; /* part of the API: needs the token, speaks JSON */
  void (*handle)(struct wwri_ask *ask);
};

/* One HTTP request. */
struct wwri_ask {
  struct wwri_admin *admin;
  struct MHD_Connection *connection;
  const char *method_name; /* as it came; the connection's */
  enum wwri_method method;
  const struct wwri_route *route;
  char path[WWRI_ADMIN_PATH_MAX]; /* its parts, decoded, each with a NUL */
  struct wwr_view parts[WWRI_ADMIN_PARTS_MAX];
  size_t part_count;
  char *body;
  size_t body_len;

  struct wwri_call *call; /* under way, or NULL */
  bool suspended;
  struct wwri_list waiting; /* in admin->waiting while suspended */
  uint64_t until_ms;
  /* What is kept from call to call. */
  const struct wwri_listing *listing;
  json_t *rows;
  uint64_t left;
  char filter[256];

  bool answered;
  int status;
  const char *type;
  char *text; /* the answer's body */
  size_t text_len;
  char allow[48];
};

/* One connection, from its socket's beginning to its end. */
struct wwri_client {
  struct wwri_list node; /* in admin->clients; alone while an ask waits */
  int fd;
  uint64_t since_ms; /* its start, or its last answer */
};

struct wwri_admin {
  struct wwri_admin_opts opts; /* its texts are not ours: don't look */
  struct wwr_log log;
  char *name; /* of the node */
  char address[128];
  uint64_t started_ms; /* Unix time */
  uint64_t since_ms;   /* the same by the monotonic clock */
  int listen_fd;
  int wake_fd;
  int epoll_fd; /* libmicrohttpd's */
  struct MHD_Daemon *daemon;
  pthread_t thread;
  bool has_thread;
  struct wwri_postbox *box;
  uint64_t lag_us; /* the largest since the last scrape */

  struct wwri_list clients; /* by since_ms */
  size_t client_count;
  struct wwri_list waiting; /* asks, by until_ms */

  struct {
    pthread_mutex_t mutex;
    char token[WWRI_ADMIN_TOKEN_MAX + 1]; /* "": none */
    bool stop;
  } locked;
};

/** Monotonic milliseconds. */
uint64_t wwri_admin_now(void);

/** Open a listening socket for opts.listen and note admin->address. */
WWR_MUST_CHECK wwr_err wwri_admin_listen(struct wwri_admin *admin,
                                         const char *listen,
                                         char reason[WWRI_ADMIN_REASON_MAX]);

/** Start libmicrohttpd on the socket, without a thread of its own. */
WWR_MUST_CHECK wwr_err wwri_http_start(struct wwri_admin *admin);
void wwri_http_stop(struct wwri_admin *admin);

/** Let it work, end what takes too long; milliseconds until there is something
 * to do without being woken, -1 for never. */
int wwri_http_turn(struct wwri_admin *admin);

/** The answer of a suspended ask is there. */
void wwri_http_resume(struct wwri_ask *ask);

/** A header, and a parameter as it came, or NULL; the connection's. */
const char *wwri_http_header(const struct wwri_ask *ask, const char *name);
const char *wwri_http_param(const struct wwri_ask *ask, const char *name);

/* --- Answering ------------------------------------------------------------ */

/** Plain text, copied. */
void wwri_answer_text(struct wwri_ask *ask, int status, const char *text);

/** Memory from malloc(), taken over; NULL is 503. */
void wwri_answer_take(struct wwri_ask *ask, int status, const char *type,
                      char *text, size_t len);

/** JSON, whose reference is taken over; NULL is 503. */
void wwri_answer_json(struct wwri_ask *ask, int status, json_t *json);

/** An error: JSON in the API, a line of text elsewhere. `code` NULL: the
 * status's own. */
void wwri_answer_error(struct wwri_ask *ask, int status, const char *code,
                       const char *message);

/** The same for what the library said. */
void wwri_answer_err(struct wwri_ask *ask, wwr_err err);

/** A JSON text of bytes that may be no UTF-8. NULL: no memory. */
json_t *wwri_json_text(struct wwr_view bytes);

/** A parameter of the request, decoded, or NULL; at most `cap` - 1 bytes.
 * False, and the ask is answered, when it is malformed. */
bool wwri_ask_param(struct wwri_ask *ask, const char *name, char *out,
                    size_t cap, bool *given);

/** A number parameter, `fallback` without it. False: the ask is answered. */
bool wwri_ask_number(struct wwri_ask *ask, const char *name, uint64_t min,
                     uint64_t max, uint64_t fallback, uint64_t *out);

/** The body's JSON object, an empty one without a body, to json_decref(); with
 * members of these names only, ended by NULL. NULL: the ask is answered. */
json_t *wwri_ask_object(struct wwri_ask *ask, const char *const *names);

/** Find the route of a path, and split and decode the path into the ask. False:
 * the ask is answered. */
bool wwri_route_find(struct wwri_ask *ask, const char *path);

/* --- Lists ---------------------------------------------------------------- */

/** One kind of list. Collected in pages, so that no I/O thread is busy for long
 * with one. */
struct wwri_listing {
  const char *key; /* of the array in the answer */
  const char *id;  /* the member of a row behind which the next page begins */
  /** Ask for rows behind `after` (NULL: from the beginning). */
  wwr_err (*ask)(struct wwri_ask *ask, const json_t *after, uint32_t max,
                 struct wwri_call *call);
};

/** Answer with up to `limit` rows (a parameter of the request) behind `after`,
 * whose reference is taken over. */
void wwri_list_answer(struct wwri_ask *ask, const struct wwri_listing *listing,
                      json_t *after);

/** Note an object's number. */
void wwri_json_number(json_t *object, const char *key, uint64_t number);

/* --- What is asked for ---------------------------------------------------- */

void wwri_probe_live(struct wwri_ask *ask);
void wwri_probe_ready(struct wwri_ask *ask);
void wwri_probe_metrics(struct wwri_ask *ask);

void wwri_api_node(struct wwri_ask *ask);
void wwri_api_nodes(struct wwri_ask *ask);
void wwri_api_shards(struct wwri_ask *ask);
void wwri_api_drain(struct wwri_ask *ask);
void wwri_api_reload(struct wwri_ask *ask);
void wwri_api_channels(struct wwri_ask *ask);
void wwri_api_channel(struct wwri_ask *ask);
void wwri_api_history(struct wwri_ask *ask);
void wwri_api_publish(struct wwri_ask *ask);
void wwri_api_sessions(struct wwri_ask *ask);
void wwri_api_session(struct wwri_ask *ask);
void wwri_api_conns(struct wwri_ask *ask);
void wwri_api_conn(struct wwri_ask *ask);

#endif
