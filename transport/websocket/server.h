/* server.h - the server's half of transport/websocket. */
#ifndef WWRI_WS_SERVER_H
#define WWRI_WS_SERVER_H

#include <pthread.h>
#include <uv.h>

#include "http.h"
#include "websocket.h"

enum {
  WWRI_WS_LISTENERS = 4,
  WWRI_WS_SHED_MAX = 1024 /* of those that are told 503; then it's the end */
};

/** Options as they were copied. */
struct wwri_ws_strings {
  char **items;
  size_t count;
};

struct wwri_ws_tls {
  char *cert_file; /* NULL: no TLS */
  char *key_file;
  char *min_version;
  char *ciphers;
  char *ciphersuites;
  char *curves;
};

/** Wait for other threads to do `left` things. */
struct wwri_ws_latch {
  pthread_mutex_t lock;
  pthread_cond_t done;
  unsigned left; /* guarded by lock */
};

struct wwri_ws_server;

/** Accepted sockets that wait, and the handshakes that lws has (lobby.c). */
struct wwri_ws_lobby {
  uv_poll_t poll;
  int epoll_fd;            /* of all guests; -1: not open */
  struct wwri_list guests; /* oldest first, by pipe.link */
  struct wwri_list queue;  /* those that have spoken, by pipe.todo_link */
  unsigned queue_count;
  struct wwri_list refused; /* the same, to be told 503 */
  uint64_t due_us;          /* of the next by the accept rate, see lobby.c */
  struct wwri_timer expiry;
  struct wwri_flusher admission; /* a turn of letting in */
  struct wwri_timer admission_wait;
  struct wwri_list handshakes; /* oldest first, by pipe.link */
  unsigned handshake_count;
};

struct wwri_ws_server_shard {
  struct wwri_ws_shard base;
  struct wwri_ws_lobby lobby;
  struct wwri_ws_server *server;
  size_t index;
  struct wwri_mail mail; /* one order at a time: open, reload, stop */
  wwr_err result;        /* of that order */
  atomic_uint load;      /* connections given to it and not yet freed */
  void *ssl_ctx;         /* SSL_CTX of its vhost, owned by lws */
  struct wwri_ws_server_conn *adopting;
};

struct wwri_ws_listener {
  uv_poll_t poll;
  int fd;
  bool polled; /* its libuv handle is open */
  struct wwri_ws_server *server;
};

struct wwri_ws_server {
  struct wwr_transport base;
  /* options */
  char *listen;
  struct wwri_ws_address where;
  struct wwri_ws_tls tls;
  pthread_rwlock_t origins_lock;
  struct wwri_ws_strings origins;
  struct wwri_ws_strings paths;
  uint32_t accepts_per_pass;
  atomic_uint accepts_per_second; /* 0: no limit */
  uint32_t handshake_timeout_ms;
  atomic_int write_path;

  /* between start and stop */
  struct wwri_transport_config config;
  struct wwri_ws_server_shard *shards;
  size_t shard_count;
  struct wwri_ws_latch latch;
  pthread_mutex_t reload_lock;
  bool running; /* guarded by reload_lock */
  atomic_bool refusing;
  atomic_uint connections; /* accepted, upgraded or not, without those that
                              only wait for their 503 */
  atomic_uint shed;        /* those */
  atomic_uint_fast64_t open;
  atomic_uint_fast64_t accepted;
  atomic_uint_fast64_t refused;
  atomic_uint_fast64_t delayed;
  atomic_uint max_connections;             /* 0: no limit */
  atomic_uint_fast64_t old_slow_consumers; /* of shards that are gone */
  char address[80];

  /* the listener, on loops[0] */
  struct wwri_ws_listener listeners[WWRI_WS_LISTENERS];
  size_t listener_count;
  struct wwri_mail listen_mail;
  struct wwri_timer accept_pause;
  int reserve_fd; /* given up to accept and drop when descriptors run out */
  bool starved;   /* they ran out, and some still wait in the backlog */
  unsigned closing_polls;
};

/** What is left to write of an HTTP answer. */
struct wwri_ws_answer {
  uint8_t *bytes; /* head and body, behind LWS_PRE */
  size_t len;
  size_t at;
};

struct wwri_ws_server_conn {
  struct wwri_ws_pipe pipe;
  struct wwri_ws_server_shard *shard;
  struct wwri_mail mail; /* takes it to its loop */
  uint64_t since_ms;     /* in the lobby, or in its handshake */
  int fd;
  bool queued; /* in the lobby's `queue` */
  bool in_handshake;
  bool shed;    /* answered with 503, whatever it asks */
  bool created; /* lws has made its wsi */
  bool has_token;
  void *token;        /* of the accepted upgrade, until opened */
  uint32_t body_left; /* the answer waits until the request's body is read */
  struct wwri_ws_answer answer;
};

/** An HTTP request while its hook runs. */
struct wwri_ws_request {
  struct wwr_http http;
  struct lws *wsi;
  struct wwri_ws_header *headers; /* copies that were asked for */
  char *query;
  bool malformed; /* not to be shown to anybody: 400 */
};

/* websocket.c */

extern const struct wwri_transport_ops wwri_ws_transport_ops;

/* options.c */

/** Free a server that does not run. */
void wwri_ws_server_free(struct wwri_ws_server *server);

/* latch.c */

/** False: no memory. */
bool wwri_ws_latch_init(struct wwri_ws_latch *latch);
void wwri_ws_latch_deinit(struct wwri_ws_latch *latch);

/** So many things are awaited; wait until each has counted. */
void wwri_ws_latch_set(struct wwri_ws_latch *latch, unsigned left);
void wwri_ws_latch_wait(struct wwri_ws_latch *latch);

/** One of them is done. Any thread. */
void wwri_ws_latch_count(struct wwri_ws_latch *latch);

/* listener.c */

/** Open the sockets and fill in the address. Any thread.
 * Errors: WWR_E_IO; the log says why. */
WWR_MUST_CHECK wwr_err wwri_ws_listen(struct wwri_ws_server *server);

/** Start accepting; stop and close. loops[0]'s thread. The second one counts
 * the latch down when all is closed. */
WWR_MUST_CHECK wwr_err wwri_ws_listener_open(struct wwri_ws_server *server);
void wwri_ws_listener_close(struct wwri_ws_server *server);

/** Close sockets that never got to a loop. */
void wwri_ws_listener_abandon(struct wwri_ws_server *server);

/* lobby.c; all on the shard's thread */

void wwri_ws_lobby_init(struct wwri_ws_server_shard *shard);

/** Errors: WWR_E_IO. */
WWR_MUST_CHECK wwr_err wwri_ws_lobby_open(struct wwri_ws_server_shard *shard);

/** Turn away everybody who waits; then stop the shard's lws. Harmless when it
 * was not opened. */
void wwri_ws_lobby_stop(struct wwri_ws_server_shard *shard);

/** Take a new connection: it is adopted when it has spoken and there is room,
 * or closed and freed. */
void wwri_ws_lobby_enter(struct wwri_ws_server_conn *conn);

/** Its handshake no longer counts. Harmless when it does not. */
void wwri_ws_handshake_over(struct wwri_ws_server_conn *conn);

/* server.c */

/** Give a connection to lws. It may be freed in this call. */
void wwri_ws_adopt(struct wwri_ws_server_conn *conn);

/** Its upgrade was accepted and answered; its pipe is attached. */
void wwri_ws_conn_opened(struct wwri_ws_server_conn *conn);

/** Free a connection that is in nobody's hands any more. */
void wwri_ws_conn_free(struct wwri_ws_server_conn *conn);

int wwri_ws_server_callback(struct lws *wsi, enum lws_callback_reasons reason,
                            void *user, void *in, size_t len);

/* upgrade.c */

/** What a connection in the lobby has said so far. */
enum wwri_ws_said {
  WWRI_WS_SAID_ENOUGH, /* to be let in */
  WWRI_WS_SAID_PART,   /* or nothing: more has to come */
  WWRI_WS_SAID_BYE     /* it is gone */
};
enum wwri_ws_said wwri_ws_listen_to(struct wwri_ws_server_conn *conn);

/** Upgrade a connection without lws. False: it has to go there, refused with
 * the answer it has, or with a request that is for lws to read. True: it is
 * done, and may be freed by now. */
bool wwri_ws_native_upgrade(struct wwri_ws_server_conn *conn);

/** lws asks whether a connection may upgrade: 0 yes, 1 answered. */
int wwri_ws_confirm_upgrade(struct wwri_ws_server_conn *conn, struct lws *wsi,
                            const char *protocol);

/** A request that asks for no upgrade. The callback's return value. */
int wwri_ws_plain_request(struct wwri_ws_server_conn *conn, struct lws *wsi);

/** A piece of its body came. The callback's return value. */
int wwri_ws_request_body(struct wwri_ws_server_conn *conn, struct lws *wsi,
                         size_t len);

/* request.c */

/** Fill from lws' parser. False: no memory, or not a request to answer. */
bool wwri_ws_request_init(struct wwri_ws_request *request, struct lws *wsi,
                          const char *remote);
void wwri_ws_request_deinit(struct wwri_ws_request *request);

/** True when a header is a list of tokens with `token` among them. */
bool wwri_ws_header_has(const char *header, const char *token);

/* answer.c */

/** Lay out the answer in `http`. False: no memory. */
bool wwri_ws_answer_make(struct wwri_ws_server_conn *conn,
                         const struct wwr_http *http);

/** Give all of it to lws. False: close without it. */
bool wwri_ws_answer_at_once(struct wwri_ws_server_conn *conn, struct lws *wsi);

/** Write as much as goes; negative when all is out, or the socket failed: the
 * connection closes then. Does nothing before an answer is made. */
int wwri_ws_answer_continue(struct wwri_ws_server_conn *conn, struct lws *wsi);

/** Make `status` with its phrase as text the answer. */
void wwri_ws_answer_status(struct wwr_http *http, int status);

/** The name of the field that is missing or wrong, or NULL. */
const char *wwri_ws_tls_wrong(const struct wwr_tls_server *tls);

/* tls.c */

/** Try certificate, key and all options. Any thread. Errors: WWR_E_TLS. */
WWR_MUST_CHECK wwr_err wwri_ws_tls_check(const struct wwri_ws_tls *tls,
                                         const struct wwr_log *log);

/** Configure lws' context for a vhost. Errors: WWR_E_TLS. */
WWR_MUST_CHECK wwr_err wwri_ws_tls_apply(void *ssl_ctx,
                                         const struct wwri_ws_tls *tls);

struct wwri_ws_certificate;

/** Read certificate and key once more, as a pair. Errors: WWR_E_TLS; the log
 * (may be NULL) says why. */
WWR_MUST_CHECK wwr_err wwri_ws_certificate_load(
    struct wwri_ws_certificate **out, const struct wwri_ws_tls *tls,
    const struct wwr_log *log);
WWR_MUST_CHECK wwr_err wwri_ws_certificate_use(
    const struct wwri_ws_certificate *certificate, void *ssl_ctx);
void wwri_ws_certificate_free(struct wwri_ws_certificate *certificate);

#endif
