/* net.h - many WebSocket connections on one thread: epoll, writes in batches,
 * up to 64 KiB of frames per read. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include "dialect.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net;
struct tls;      /* tls.h */
struct tls_link; /* tls.h */

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
  LINK_SECURING,  /* TLS handshake */
  LINK_UPGRADING, /* waits for the HTTP answer */
  LINK_GREETING,  /* waits for what the dialect wants first */
  LINK_OPEN,
  LINK_CLOSED
};

enum { NET_HOST_MAX = 256 };

/** Where connections go. */
struct net_target {
  const struct target *target; /* borrowed */
  struct sockaddr_storage address;
  socklen_t address_len;
  bool loopback; /* of IPv4, which has many addresses to connect from */
};

/** One connection. */
struct link {
  struct net *net;
  const struct net_target *target;
  struct tls_link *tls; /* NULL: plain */
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

/** What a mode does with what happens. None may restart a link. */
struct net_hooks {
  /** What arrived on an open link; borrowed during the call. */
  void (*on_heard)(struct link *link, const struct heard *heard,
                   void *user_data);
  /** A link is open; may be NULL. */
  void (*on_open)(struct link *link, void *user_data);
  /** A link broke; may be NULL. */
  void (*on_broken)(struct link *link, void *user_data);
};

struct net {
  const struct options *options; /* borrowed */
  const struct dialect *dialect;
  struct tls *tls; /* NULL without wss:// */
  int epoll;
  struct net_target *targets; /* those of --url, then those of --publish-url */
  struct link *links;
  uint32_t count;
  uint32_t senders; /* the first links are those of senders */
  uint32_t started; /* links[0..started) were started once */
  uint32_t open;
  uint32_t source; /* last byte of the source address, or 0 for any */
  uint64_t broken; /* links that broke; the first says why on stderr */
  bool complained;
  uint64_t now_ns; /* monotonic, renewed for every event */
  uint64_t swept_ns;
  struct greeting greeting;
  uint8_t *scratch; /* where reads land */
  uint8_t *draft;   /* where modes write: a payload and its overhead */
  struct link **dirty;
  uint32_t dirty_count;
  struct net_hooks hooks;
  void *user_data;
};

/** Prepare links to the servers that the options name, in turn: `senders` and
 * the connections. Complains and returns false when an address is unknown,
 * memory or descriptors do not suffice. */
bool net_init(struct net *net, const struct options *options, uint32_t senders);
void net_deinit(struct net *net);

/** Open all links; complains and returns false when one fails or it takes too
 * long. */
bool net_open(struct net *net);

/** Wait for events up to `timeout_ns`, handle them, flush what was sent. Sends
 * heartbeats where they are due. */
void net_poll(struct net *net, uint64_t timeout_ns);

/** Send a message with this pass. False when the link is not open, or breaks
 * for want of memory. */
bool net_send(struct link *link, const void *message, size_t len);

/** Start or restart a link; false, after a complaint, when that can't work. Not
 * from inside a hook. */
bool net_start(struct link *link);

/** The link's next start goes to the server behind its present one. */
void net_next_target(struct link *link);

/** Reset a link, whatever state it is in. It does not count as broken. */
void net_reset(struct link *link);

uint64_t net_clock_ns(void);

/** A host without the brackets that an IPv6 address has in a URL. */
void net_plain_host(const char *host, char out[NET_HOST_MAX]);

/* --- Between net.c and link.c ------------------------------------------- */

/** Start to connect; false (with errno) when that can't work. */
bool link_start(struct link *link);

/** Handle what epoll said. */
void link_event(struct link *link, uint32_t events);

/** Write what is queued. */
void link_flush(struct link *link);

/** Send one frame of any kind. */
void link_send(struct link *link, uint8_t opcode, const void *data, size_t len);

#define NET_READ_BYTES  65536
#define NET_FRAME_BYTES ((size_t)2 << 20)

#endif
