/* transport.h - the ops tables between whoever talks webwire (server, client)
 * and what carries its messages. docs/protocol.md, "Transport": a transport is
 * a duplex, ordered, message-framed channel.
 *
 * Threads: a pipe belongs to one loop. Every function of it, and every event,
 * is on that loop's thread. No event is ever fired from inside a call of the
 * upper layer into the transport. */
#ifndef WWRI_TRANSPORT_H
#define WWRI_TRANSPORT_H

#include "frame.h"
#include "loop.h"
#include "wwr_log.h"
#include "wwr_transport.h"

/** Close codes the layers above use (RFC 6455, section 7.4.1). */
enum wwri_close_code {
  WWRI_CLOSE_NORMAL = 1000,
  WWRI_CLOSE_GOING_AWAY = 1001,
  WWRI_CLOSE_PROTOCOL = 1002,
  WWRI_CLOSE_UNSUPPORTED = 1003,
  WWRI_CLOSE_TOO_BIG = 1009,
  WWRI_CLOSE_INTERNAL = 1011,
  WWRI_CLOSE_TRY_LATER = 1013
};

struct wwri_pipe;

/** What a pipe tells its user. */
struct wwri_pipe_events {
  /** One whole binary message, at most max_message_bytes, bytes valid during
   * the call. Not after violation or closed; not while paused, except what was
   * read before the pause. */
  void (*message)(struct wwri_pipe *pipe, struct wwr_view bytes);

  /** The peer sent what is no message (text, or over the size). At most once;
   * the pipe discards everything it reads from here on and stays writable. The
   * user answers what came before, then closes with `close_code`. */
  void (*violation)(struct wwri_pipe *pipe, uint16_t close_code);

  /** The connection is gone and the last event of this pipe; its memory dies
   * when this returns. Exactly once for every pipe that was opened.
   * `reason`: WWR_OK after a close by either side, WWR_E_SLOW_CONSUMER,
   * WWR_E_TRANSMISSION, WWR_E_DISCONNECTED (broken) ... */
  void (*closed)(struct wwri_pipe *pipe, wwr_err reason);
};

struct wwri_pipe_ops {
  /** Queue a frame behind those queued before; takes over one reference
   * whatever it returns. It leaves at the loop's next quiescence.
   * Errors: WWR_E_DISCONNECTED (closing or closed), WWR_E_SLOW_CONSUMER (over
   * max_queued_bytes: the pipe cuts itself off, closed follows),
   * WWR_E_NOMEM (the pipe cuts itself off as well: a lost message may not
   * be followed by later ones). */
  wwr_err (*send)(struct wwri_pipe *pipe, struct wwri_frame *frame);

  /** The same for a frame of which many pipes get a copy: it leaves when what
   * was sent with `send` has left, on whichever pipe, and its turn has come.
   * In one pipe everything keeps its order. */
  wwr_err (*spread)(struct wwri_pipe *pipe, struct wwri_frame *frame);

  /** A new pipe is held: what is sent queues and nothing leaves, and no message
   * event fires, until this is called once. */
  void (*release)(struct wwri_pipe *pipe);

  /** Stop (true) or resume (false) reading from the peer. Idempotent. */
  void (*pause)(struct wwri_pipe *pipe, bool paused);

  /** Graceful: what is queued goes out, then the close with its code; at most
   * close_linger_ms. No message events from here on; closed fires later.
   * Idempotent, the first code counts. Also fine on a held pipe, which it
   * releases. */
  void (*close)(struct wwri_pipe *pipe, uint16_t code);

  /** Drop the connection now, whatever is queued; closed fires later. */
  void (*abort)(struct wwri_pipe *pipe);

  /** The peer's address as text; lives as long as the pipe. */
  const char *(*remote)(const struct wwri_pipe *pipe);
};

/** Base of every pipe. The transport fills ops and loop before `opened`; the
 * user sets events and user there. */
struct wwri_pipe {
  const struct wwri_pipe_ops *ops;
  const struct wwri_pipe_events *events;
  void *user;
  struct wwri_loop *loop;
  uint64_t last_rx_ms;        /* loop time of the last bytes read: a message, a
                                 fragment of one, ping or pong */
  uint32_t max_message_bytes; /* over it: violation; the user may change it */
  uint32_t queued_bytes;      /* sent but not yet handed to the kernel */
  uint64_t written_bytes;     /* that were */
};

/** What a transport tells the server; all on the thread of the loop that the
 * connection will live on. */
struct wwri_accept_events {
  /** May this upgrade? True: yes, and *token identifies it until opened or
   * abandoned. False: no; the answer is what wwr_http_respond() chose, else
   * 403. The options set on `http` (concurrency, info) are taken by the
   * server. */
  bool (*upgrade)(void *owner, size_t shard, struct wwr_http *http,
                  void **token);

  /** An accepted upgrade that came to nothing. */
  void (*abandoned)(void *owner, size_t shard, void *token);

  /** The connection stands. Sets pipe->events and pipe->user; the pipe is held
   * until released. */
  void (*opened)(void *owner, size_t shard, void *token,
                 struct wwri_pipe *pipe);

  /** An HTTP request that asks for no upgrade. The answer is what
   * wwr_http_respond() chose; the owner always chooses one. */
  void (*http)(void *owner, size_t shard, struct wwr_http *http);
};

struct wwri_transport_config {
  struct wwri_loop *const *loops; /* borrowed until stopped; all running */
  size_t loop_count;
  const struct wwri_accept_events *events; /* borrowed, static */
  void *owner;
  const struct wwr_log *log; /* borrowed until stopped; may be NULL */
  uint32_t max_message_bytes;
  uint32_t max_queued_bytes; /* per pipe */
  uint32_t ping_interval_ms; /* 0: no pings. Jittered by +-20 % */
  uint32_t close_linger_ms;
  uint32_t max_connections; /* 0: no limit. Over it: 503 */
};

/** Counters of a transport, all threads added up. */
struct wwri_transport_stats {
  uint64_t accepted;
  uint64_t refused;
  uint64_t delayed; /* waited for the rate of accepting */
  uint64_t slow_consumers;
  uint64_t connections;  /* open now */
  uint64_t queued_bytes; /* that the peer has not made room for; a WebSocket's
                            were counted within the last second */
};

struct wwri_transport_ops {
  /** Start accepting on the loops. Called once, not on a loop's thread. On an
   * error nothing is left running (and the log says why).
   * Errors: WWR_E_IO, WWR_E_INVALID, WWR_E_TLS, WWR_E_NOMEM. */
  wwr_err (*start)(struct wwr_transport *transport,
                   const struct wwri_transport_config *config);

  /** Other limits than those of the config, from now on: connections that stand
   * stay, a queue is looked at when it next gets something. Any thread, from
   * start until stop; harmless at other times. */
  void (*limit)(struct wwr_transport *transport, uint32_t max_connections,
                uint32_t max_queued_bytes);

  /** From now on every new connection is answered with 503. Any thread. */
  void (*refuse)(struct wwr_transport *transport);

  /** Stop listening, drop the pipes that are left (their closed events fire),
   * release everything on the loops. Blocks until all of that is done; not on
   * a loop's thread; the loops must be running. Harmless before start. */
  void (*stop)(struct wwr_transport *transport);

  /** Where it listens, "ws://127.0.0.1:8080"; "" before start. Lives as long
   * as the transport. Any thread. */
  const char *(*address)(const struct wwr_transport *transport);

  /** Any thread. */
  void (*stats)(const struct wwr_transport *transport,
                struct wwri_transport_stats *out);

  /** Free; it was stopped or never started. */
  void (*free)(struct wwr_transport *transport);
};

/** Base of every transport. */
struct wwr_transport {
  const struct wwri_transport_ops *ops;
};

/** What a dialer tells the client, on its loop's thread. For every dial that
 * returned WWR_OK exactly one of the two fires, later. */
struct wwri_dial_events {
  /** Connected. Sets pipe->events and pipe->user; the pipe is held. */
  void (*opened)(void *owner, struct wwri_pipe *pipe);
  /** WWR_E_DISCONNECTED (no connection), WWR_E_DIAL_TIMEOUT, WWR_E_TLS,
   * WWR_E_REFUSED (an HTTP answer other than an upgrade; `http_status` is it,
   * else 0), WWR_E_CANCELED, WWR_E_NOMEM. */
  void (*failed)(void *owner, wwr_err reason, int http_status);
};

struct wwri_dialer_config {
  struct wwri_loop *loop; /* borrowed until stopped; running */
  const struct wwri_dial_events *events;
  void *owner;
  const struct wwr_log *log;  /* borrowed until stopped; may be NULL */
  uint32_t max_message_bytes; /* a new pipe's; the user may change it */
  uint32_t max_queued_bytes;
  uint32_t close_linger_ms;
};

struct wwri_dialer_ops {
  /** Attach to the loop. Called once, not on the loop's thread.
   * Errors: WWR_E_INVALID, WWR_E_TLS, WWR_E_NOMEM, WWR_E_IO. */
  wwr_err (*start)(struct wwr_dialer *dialer,
                   const struct wwri_dialer_config *config);

  /** Connect; one dial at a time. Loop thread. Errors: WWR_E_NOMEM, WWR_E_IO;
   * then no event fires. */
  wwr_err (*dial)(struct wwr_dialer *dialer, uint32_t timeout_ms);

  /** Give up a dial under way: failed(WWR_E_CANCELED) follows later. Loop
   * thread; harmless when there is none. */
  void (*cancel)(struct wwr_dialer *dialer);

  /** Drop what is left (closed events fire) and release everything on the
   * loop. Blocks; not on the loop's thread; harmless before start. */
  void (*stop)(struct wwr_dialer *dialer);

  /** Free; it was stopped or never started. */
  void (*free)(struct wwr_dialer *dialer);
};

/** Base of every dialer. */
struct wwr_dialer {
  const struct wwri_dialer_ops *ops;
};

#endif
