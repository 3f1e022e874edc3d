/* websocket.h - the inside of transport/websocket: what its files share. The
 * only folder that includes libwebsockets (lws).
 *
 * A *shard* is one lws context on one loop, of a server or of a dialer, with
 * its connections; a *pipe* is one connection. Both belong to their loop's
 * thread. A server's plain connections are our own (native.c); of all others
 * lws owns the socket, TLS, the HTTP parser and the receive side of WebSocket.
 * Frames leave through our own queue (flush.c, docs/libwebsockets.md).
 *
 * Life of a pipe: attached to a descriptor or a wsi, opened once the upgrade
 * stands, detached when that ended or we gave it up (lws' further callbacks
 * find no pipe), and freed after its closed event, which waits until messages
 * that were read before are delivered.
 */
#ifndef WWRI_WEBSOCKET_H
#define WWRI_WEBSOCKET_H

#include <libwebsockets.h>
#include <stdatomic.h>

#include "buf.h"
#include "log.h"
#include "outq.h"
#include "transport.h"
#include "wsparser.h"
#include "wwr_websocket.h"

enum {
  WWRI_WS_SERV_BUF = 16384,   /* lws' scratch of a server's context */
  WWRI_WS_RX_BUFFER = 1024,   /* one recv(); 2048 costs 1 KB a connection */
  WWRI_WS_TX_PACKET = 262144, /* most that one lws_write may send at once */
  WWRI_WS_SCRATCH = 16384,    /* one TLS record */
  WWRI_WS_PING_BUCKETS = 16,
  WWRI_WS_REMOTE_MAX = 56,
  WWRI_WS_STATIC_HANDLES = 4
};

struct wwri_ws_pipe;
struct wwri_ws_shard;
struct wwri_ws_native_set;

/** What a shard tells its owner. */
struct wwri_ws_shard_events {
  /** lws_context and all its libuv handles are gone; the shard may be freed. */
  void (*stopped)(struct wwri_ws_shard *shard);
  /** The pipe's closed event has fired: free its memory. */
  void (*free_pipe)(struct wwri_ws_pipe *pipe);
};

struct wwri_ws_shard {
  struct wwri_loop *loop;
  const struct wwri_ws_shard_events *events;
  const struct wwr_log *log;   /* may be NULL */
  struct lws_context *context; /* lws sets it to NULL when it is freed */
  struct lws_vhost *vhost;
  void *owner;
  atomic_uint max_queued_bytes;
  uint32_t close_linger_ms;

  struct wwri_ws_native_set *native_set; /* NULL: lws has every connection */

  struct wwri_list pipes; /* every opened pipe, by `link` */

  struct wwri_flusher flusher;
  struct wwri_list dirty; /* pipes with something to send, by dirty_link */
  struct wwri_flusher bulk_flusher;
  struct wwri_list bulk; /* the same, behind all of those */
  uint8_t *scratch;      /* LWS_PRE + scratch_cap bytes, NULL until used */
  size_t scratch_cap;

  struct wwri_timer todo_timer; /* runs `todo` in the next pass */
  struct wwri_list todo;        /* by todo_link */

  struct wwri_timer ping_timer;
  uint32_t ping_interval_ms;
  uint32_t ping_tick_ms;
  unsigned ping_at; /* the bucket that is due next */
  struct wwri_list ping_buckets[WWRI_WS_PING_BUCKETS]; /* by ping_link */
  struct wwri_frame *ping_frame;
  uint32_t random; /* for the jitter */

  struct wwri_timer stall_timer;
  struct wwri_list stalled; /* pipes that wait for the peer, by stall_link */

  struct wwri_timer stop_timer; /* polls until lws' handles are closed */
  bool destroying;
  unsigned stop_polls;
  unsigned wsi_count; /* connections that lws still has */
  int event_fd;       /* of lws' event pipe */
  int spare_fd;       /* a lower number; -1: none */
  int kept_fd;        /* event_fd once more, while the context goes */
  void *static_handles[WWRI_WS_STATIC_HANDLES];

  atomic_uint_fast64_t *open; /* counts open pipes; may be NULL */
  atomic_uint_fast64_t slow_consumers;
  atomic_uint_fast64_t
      stalled_bytes; /* of stalled pipes, when last looked at */
};

/** Of a connection that lws does not know (native.c). */
struct wwri_ws_native {
  struct wwri_frame *pong; /* to be sent; NULL: none is due */
  int fd;                  /* -1: none */
  bool attached;           /* the connection stands */
  bool farewell;           /* a close frame is owed, and then the end */
  bool deaf;               /* what is read can't be parsed any more */
  bool rx_ready;           /* there is something to read, left for later */
  bool ended;              /* the peer sends no more, but some may be unread */
  uint8_t rest_len;
  uint16_t farewell_code;
  uint8_t *rest; /* too little to be parsed; NULL: nothing */
  struct wwri_wsparser parser;
};

/** What a send and a flush look at stands together and first: a broadcast
 * visits every pipe. */
struct wwri_ws_pipe {
  struct wwri_pipe base;
  struct wwri_ws_shard *shard;
  struct wwri_outq out;
  struct wwri_list dirty_link;

  uint16_t close_code;
  uint16_t violation_code;
  bool direct; /* TLS, and frames past lws' WRITEABLE callback */
  bool bulk;   /* dirty_link is in the shard's `bulk` */
  bool opened;
  bool held;
  bool paused;
  bool rx_off;  /* nothing is read */
  bool waiting; /* for POLLOUT */
  bool asked;   /* for the WRITEABLE callback */
  bool closing; /* no more sends */
  bool close_sent;
  bool peer_closing; /* the peer's close is there */
  bool broken;       /* the socket takes no more; the reader will notice */
  bool delivering;   /* a message of the inbox is with the user */
  bool has_reason;
  bool violated;      /* reading goes on, for nothing */
  bool violation_due; /* its event waits for the inbox */
  wwr_err reason;     /* of the closed event */

  struct lws *wsi; /* NULL before it exists and once lws has let go of it */
  struct wwri_ws_native native;
  uint64_t last_tx_ms;
  uint64_t progress_ms; /* when it last got rid of something */

  struct wwri_buf message; /* the fragments of an unfinished message */
  struct wwri_buf *inbox;  /* read while paused or held; NULL: nothing */
  size_t inbox_at;
  uint64_t acked_bytes;  /* of TCP, at the last stall check */
  struct wwri_list link; /* in shard->pipes; before that in the lobby's lists */
  struct wwri_list todo_link;
  struct wwri_list ping_link;
  struct wwri_list stall_link;
  struct wwri_timer linger; /* looks now and then, until ... */
  uint64_t linger_end_ms;
  char remote[WWRI_WS_REMOTE_MAX];
};

/* shard.c */

/** What a context needs to know. */
struct wwri_ws_context_opts {
  lws_callback_function *callback;
  uint64_t options; /* of lws, context and vhost */
  bool tls;
  uint32_t handshake_timeout_ms;
  unsigned fd_limit; /* 0: as many as the process may have */
  size_t rx_buffer;
  size_t serv_buf;
  void *client_ssl_ctx; /* borrowed, may be NULL */
};

/** Prepare a shard, which can't fail; then create its context and vhost, on
 * the loop's thread. Errors: WWR_E_NOMEM, WWR_E_IO; nothing is left behind
 * but what wwri_ws_shard_stop() removes. */
void wwri_ws_shard_init(struct wwri_ws_shard *shard, struct wwri_loop *loop,
                        const struct wwri_ws_shard_events *events,
                        const struct wwr_log *log);
WWR_MUST_CHECK wwr_err wwri_ws_shard_open(
    struct wwri_ws_shard *shard, const struct wwri_ws_context_opts *opts);

/** Drop the pipes (their closed events fire in this call), destroy the
 * context; `stopped` fires some passes later. Loop thread. */
void wwri_ws_shard_stop(struct wwri_ws_shard *shard);

/** Look at this pipe in the next pass: deliver, read or not, end. */
void wwri_ws_todo(struct wwri_ws_pipe *pipe);

/* pipe.c */

/** Fill a zeroed pipe; not yet attached to a wsi. */
void wwri_ws_pipe_init(struct wwri_ws_pipe *pipe, struct wwri_ws_shard *shard,
                       uint32_t max_message_bytes);

/** The connection stands: it is held, counted and pinged from here on. */
void wwri_ws_pipe_opened(struct wwri_ws_pipe *pipe);

/** lws lets go of the connection: end the pipe with `reason` unless another
 * one was noted, once what it read is delivered. */
void wwri_ws_pipe_gone(struct wwri_ws_pipe *pipe, wwr_err reason);

/** Drop the connection now; the closed event comes in the next pass. */
void wwri_ws_pipe_kill(struct wwri_ws_pipe *pipe, wwr_err reason);

/** The socket failed: drop what is queued, and leave the end to lws, which
 * first reads what the peer sent before. */
void wwri_ws_pipe_broken(struct wwri_ws_pipe *pipe);

/** Fire the closed event and free, now. Not inside a call from above. */
void wwri_ws_pipe_finish(struct wwri_ws_pipe *pipe);

/** Work through what wwri_ws_todo() asked for; may free the pipe. */
void wwri_ws_pipe_work(struct wwri_ws_pipe *pipe);

/** Take the pipe from its wsi and let lws drop that. */
void wwri_ws_drop_wsi(struct lws *wsi);

/** Let lws drop it soon, with its usual callbacks. */
void wwri_ws_kill_wsi(struct lws *wsi);

/** The peer's close arrived; lws answers it after this. */
void wwri_ws_peer_closes(struct wwri_ws_pipe *pipe);

/** lws closes for its own reasons, such as a broken frame. */
void wwri_ws_lws_closes(struct wwri_ws_pipe *pipe);

/** Bytes arrived. */
void wwri_ws_touch(struct wwri_ws_pipe *pipe);

/* receive.c */

/** A piece of a message came. */
void wwri_ws_received(struct wwri_ws_pipe *pipe,
                      const struct wwri_ws_piece *piece);

/** The same, from lws' receive callback. */
void wwri_ws_received_by_lws(struct wwri_ws_pipe *pipe, void *data, size_t len);

/** The peer sent what is no message. */
void wwri_ws_violate(struct wwri_ws_pipe *pipe, uint16_t close_code);

/** Deliver what the inbox holds until it is empty or the pipe pauses. */
void wwri_ws_deliver(struct wwri_ws_pipe *pipe);

/** True when nothing that was read waits for delivery. */
bool wwri_ws_delivered(const struct wwri_ws_pipe *pipe);

void wwri_ws_inbox_free(struct wwri_ws_pipe *pipe);

/* flush.c */

/** The queue has something to send: get it out at the next quiescence; with
 * _bulk, in its turn among those with bulk. */
void wwri_ws_mark_dirty(struct wwri_ws_pipe *pipe);
void wwri_ws_mark_bulk(struct wwri_ws_pipe *pipe);

/** The shard's flushers: a turn. */
void wwri_ws_flush(struct wwri_flusher *flusher);
void wwri_ws_flush_bulk(struct wwri_flusher *flusher);

/** lws' WRITEABLE callback. Its return value: negative closes. */
int wwri_ws_writeable(struct wwri_ws_pipe *pipe);

/** Write what can be written now, because lws is about to close. */
void wwri_ws_flush_last(struct wwri_ws_pipe *pipe);

/* native.c; a server's plain connections */

/** Prepare a shard for them; and the reverse, `closed` follows. Harmless when
 * it was not opened. Errors: WWR_E_NOMEM, WWR_E_IO. */
WWR_MUST_CHECK wwr_err wwri_ws_native_open(struct wwri_ws_shard *shard);
void wwri_ws_native_stop(struct wwri_ws_shard *shard,
                         void (*closed)(struct wwri_ws_shard *shard));

/** Take over a connection that was upgraded. On an error the descriptor is
 * still the caller's. Errors: WWR_E_IO. */
WWR_MUST_CHECK wwr_err wwri_ws_native_attach(struct wwri_ws_pipe *pipe, int fd);

/** Memory of the shard that is free between its reads. */
uint8_t *wwri_ws_native_scratch(struct wwri_ws_shard *shard, size_t *size);

/** Write what can be written now. */
void wwri_ws_native_flush(struct wwri_ws_pipe *pipe);

/** Queue a close frame behind everything. */
void wwri_ws_native_close(struct wwri_ws_pipe *pipe, uint16_t code);

/** Reading was stopped and goes on. */
void wwri_ws_native_resume(struct wwri_ws_pipe *pipe);

/** Let go of the descriptor, unless a farewell is due; send that. */
void wwri_ws_native_detach(struct wwri_ws_pipe *pipe);
void wwri_ws_native_farewell(struct wwri_ws_pipe *pipe);

/* ping.c */

/** Set up the shard's ping wheel and its stall check; interval 0: no pings.
 * Errors: WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_ws_ping_init(struct wwri_ws_shard *shard,
                                         uint32_t interval_ms);
void wwri_ws_ping_deinit(struct wwri_ws_shard *shard);

/** Put a new pipe on the wheel. */
void wwri_ws_ping_add(struct wwri_ws_pipe *pipe);

/** The pipe waits for POLLOUT: watch that it gets on. */
void wwri_ws_stall_watch(struct wwri_ws_pipe *pipe);

/* socket.c */

/** Options of an accepted socket. Failures do not matter. */
void wwri_ws_socket_tune(int fd);

/** Milliseconds since the peer's last bytes; UINT64_MAX when unknown. */
uint64_t wwri_ws_socket_idle_ms(int fd);

/** Bytes the peer's kernel has acknowledged so far; 0 when unknown. */
uint64_t wwri_ws_socket_acked(int fd);

/** Bytes it took that the peer's kernel has not acknowledged; -1: unknown. */
int wwri_ws_socket_unacked(int fd);

/** True when it takes bytes now. */
bool wwri_ws_socket_is_writable(int fd);

struct sockaddr;

/** Write "127.0.0.1:5000" or "[::1]:5000". */
void wwri_ws_socket_text(const struct sockaddr *address, char *text,
                         size_t cap);

/* address.c */

/** A "HOST:PORT" taken apart; host "" means every address. */
struct wwri_ws_address {
  char host[256];
  char port[8];
  bool bracketed; /* an IPv6 literal */
};

/** False when the text is none. */
bool wwri_ws_address_parse(struct wwri_ws_address *out, const char *text);

struct wwri_ws_url {
  bool tls;
  struct wwri_ws_address address;
  char *path; /* with the query, starts with '/'; owned */
};

/** Errors: WWR_E_INVALID, WWR_E_NOMEM. */
WWR_MUST_CHECK wwr_err wwri_ws_url_parse(struct wwri_ws_url *out,
                                         const char *text);

/* lwslog.c */

/** Send lws' own warnings of this thread to `log` (NULL: nowhere). lws has one
 * log function per process; this sets it once. */
void wwri_ws_log_to(const struct wwr_log *log);

/** For WSI callbacks: the pipe, or NULL when there is none any more. */
static inline struct wwri_ws_pipe *wwri_ws_pipe_of(struct lws *wsi) {
  return lws_get_opaque_user_data(wsi);
}

/** False before the upgrade and once the connection is gone or given up. */
static inline bool wwri_ws_attached(const struct wwri_ws_pipe *pipe) {
  return pipe->wsi || pipe->native.attached;
}

/** So many bytes of the queue are out. */
static inline void wwri_ws_wrote(struct wwri_ws_pipe *pipe, size_t bytes) {
  wwri_outq_written(&pipe->out, bytes);
  pipe->base.queued_bytes = pipe->out.bytes;
  pipe->base.written_bytes += bytes;
  pipe->last_tx_ms = pipe->progress_ms = wwri_loop_now_ms(pipe->base.loop);
}

/** The descriptor of an attached pipe. */
static inline int wwri_ws_fd(const struct wwri_ws_pipe *pipe) {
  return pipe->wsi ? lws_get_socket_fd(pipe->wsi) : pipe->native.fd;
}

extern const struct wwri_pipe_ops wwri_ws_pipe_ops;

#endif
