/* net.h - many WebSocket connections on one thread: epoll, writes in batches,
 * up to 64 KiB of frames per read. What links say is webwire messages. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net;

/** Bytes with a beginning that was consumed. */
struct bytes {
  uint8_t *data;
  size_t pos;
  size_t len;
  size_t cap;
};

enum link_state {
  LINK_NEW,
  LINK_CONNECTING,
  LINK_UPGRADING, /* waits for the HTTP answer */
  LINK_GREETING,  /* waits for accept-conf */
  LINK_OPEN,
  LINK_CLOSED
};

/** One connection. */
struct link {
  struct net *net;
  int fd;
  uint32_t index; /* 0.. in the order of opening */
  enum link_state state;
  bool dirty;     /* has output to flush in this pass */
  bool wants_out; /* its last write was short */
  uint32_t mask;
  uint64_t sent_ns; /* when it last sent anything */
  struct bytes in;  /* an incomplete frame */
  struct bytes out;
};

/** What a mode does with what arrives. */
struct net_hooks {
  /** A webwire message, accept-conf excluded; borrowed during the call. */
  void (*on_message)(struct link *link, const uint8_t *message, size_t len,
                     void *user_data);
};

struct target; /* options.h */

struct net_target {
  const struct target *target; /* for the Host header; borrowed */
  struct sockaddr_in address;
};

struct net {
  int epoll;
  struct net_target *targets; /* link i goes to i modulo target_count */
  uint32_t target_count;
  struct link *links;
  uint32_t count;
  uint32_t started; /* links[0..started) have a socket */
  uint32_t open;
  uint32_t source; /* last byte of the source address, or 0 for any */
  uint64_t broken; /* links that broke; the first says why on stderr */
  uint64_t now_ns; /* monotonic, renewed for every event */
  uint64_t swept_ns;
  uint32_t read_timeout_ms; /* from accept-conf */
  uint32_t message_bytes;   /* from accept-conf */
  uint8_t *scratch;         /* where reads land */
  struct link **dirty;
  uint32_t dirty_count;
  struct net_hooks hooks;
  void *user_data;
};

/** Prepare `count` links to these servers in turn. Complains and returns false
 * when an address is unknown, memory or descriptors do not suffice. */
bool net_init(struct net *net, const struct target *targets,
              uint32_t target_count, uint32_t count);
void net_deinit(struct net *net);

/** Open all links and receive accept-conf on each; complains and returns false
 * when one fails or it takes too long. */
bool net_open(struct net *net);

/** Wait for events up to `timeout_ns`, handle them, flush what was sent. Sends
 * heartbeats where they are due. */
void net_poll(struct net *net, uint64_t timeout_ns);

/** Room for a message of `len` bytes that is sent with this pass; the caller
 * fills it and then calls net_commit() with the same pointer. NULL without
 * memory (the link is closed) or when the link is not open. */
uint8_t *net_reserve(struct link *link, size_t len);
void net_commit(struct link *link, uint8_t *message, size_t len);

uint64_t net_clock_ns(void);

/* --- Between net.c and link.c ------------------------------------------- */

/** Start to connect; false (with errno) when that can't work. */
bool link_start(struct link *link);

/** Handle what epoll said. */
void link_event(struct link *link, uint32_t events);

/** Write what is queued. */
void link_flush(struct link *link);

/** Send one frame of any kind. */
void link_send(struct link *link, uint8_t opcode, const void *data, size_t len);

/** Close a link that broke, and count it. */
void link_break(struct link *link, const char *why);

#define NET_READ_BYTES  65536
#define NET_FRAME_BYTES ((size_t)2 << 20)

#endif
