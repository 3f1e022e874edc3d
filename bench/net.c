#include "net.h"
#include "tls.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OPENING_AT_ONCE 128
#define EVENTS_AT_ONCE  64

uint64_t net_clock_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* --- Life ----------------------------------------------------------------- */

void net_plain_host(const char *host, char out[NET_HOST_MAX]) {
  size_t len = strlen(host);
  bool bracketed = len > 2 && host[0] == '[' && host[len - 1] == ']';
  snprintf(out, NET_HOST_MAX, "%.*s", (int)(bracketed ? len - 2 : len),
           host + bracketed);
}

static int look_up(const struct target *target, int family,
                   struct addrinfo **found) {
  char host[NET_HOST_MAX];
  const struct addrinfo hints = {.ai_family = family,
                                 .ai_socktype = SOCK_STREAM};
  net_plain_host(target->host, host);
  return getaddrinfo(host, target->port, &hints, found);
}

static bool resolve(struct net_target *out, const struct target *target) {
  struct addrinfo *found = NULL;
  int error = look_up(target, AF_INET, &found);
  if (error && look_up(target, AF_INET6, &found) == 0) error = 0;
  if (error) {
    fprintf(stderr, "webwire-bench: %s: %s\n", target->host,
            gai_strerror(error));
    return false;
  }
  memcpy(&out->address, found->ai_addr, found->ai_addrlen);
  out->address_len = found->ai_addrlen;
  const struct sockaddr_in *v4 = (const struct sockaddr_in *)&out->address;
  out->loopback =
      v4->sin_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 == 127;
  out->target = target;
  freeaddrinfo(found);
  return true;
}

static bool resolve_all(struct net *net) {
  const struct targets *both[] = {&net->options->servers,
                                  &net->options->publish};
  uint32_t n = 0;
  net->targets = calloc(both[0]->count + both[1]->count, sizeof *net->targets);
  if (!net->targets) return false;
  for (int i = 0; i < 2; i++) {
    for (uint32_t k = 0; k < both[i]->count; k++) {
      const struct target *target = &both[i]->list[k];
      if (!resolve(&net->targets[n++], target)) return false;
      if (target->tls && !net->tls &&
          !(net->tls = tls_new(net->options->ca_file, net->options->insecure)))
        return false;
    }
  }
  return true;
}

static bool enough_descriptors(uint32_t count) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= (rlim_t)count + 16) return true;
  fprintf(stderr, "webwire-bench: %u connections, but ulimit -Hn is %llu\n",
          count, (unsigned long long)limit.rlim_cur);
  return false;
}

static const struct net_target *target_of(const struct net *net,
                                          uint32_t index) {
  const struct options *options = net->options;
  if (index < net->senders && options->publish.count > 0)
    return &net->targets[options->servers.count +
                         index % options->publish.count];
  return &net->targets[index % options->servers.count];
}

static bool make_links(struct net *net) {
  net->epoll = epoll_create1(EPOLL_CLOEXEC);
  net->links = calloc(net->count, sizeof *net->links);
  net->dirty = calloc(net->count, sizeof *net->dirty);
  net->scratch = malloc(NET_READ_BYTES + NET_FRAME_BYTES);
  net->draft = malloc(net->options->size + net->dialect->overhead);
  if (net->epoll < 0 || !net->links || !net->dirty || !net->scratch ||
      !net->draft) {
    fprintf(stderr, "webwire-bench: %s\n", strerror(errno));
    return false;
  }
  for (uint32_t i = 0; i < net->count; i++) {
    net->links[i] = (struct link){.net = net, .fd = -1, .index = i};
    net->links[i].target = target_of(net, i);
    /* Any mask but zero, so that a server can't be lucky. */
    net->links[i].mask = 0x9e3779b9U * (i + 1) | 1;
  }
  return true;
}

bool net_init(struct net *net, const struct options *options,
              uint32_t senders) {
  *net = (struct net){.options = options,
                      .dialect = options->mode == MODE_CHANNELS
                                     ? &dialect_channels
                                     : dialect_of(options->protocol),
                      .epoll = -1,
                      .count = options->connections + senders,
                      .senders = senders};
  if (resolve_all(net) && enough_descriptors(net->count) && make_links(net))
    return true;
  net_deinit(net);
  return false;
}

void net_deinit(struct net *net) {
  for (uint32_t i = 0; net->links && i < net->count; i++) {
    struct link *link = &net->links[i];
    tls_link_free(link->tls);
    if (link->fd >= 0) close(link->fd);
    free(link->in.data);
    free(link->out.data);
  }
  tls_free(net->tls);
  free(net->targets);
  free(net->links);
  free(net->dirty);
  free(net->scratch);
  free(net->draft);
  if (net->epoll >= 0) close(net->epoll);
  *net = (struct net){.epoll = -1};
}

/* --- Polling -------------------------------------------------------------- */

static void flush_all(struct net *net) {
  for (uint32_t i = 0; i < net->dirty_count; i++) {
    net->dirty[i]->dirty = false;
    link_flush(net->dirty[i]);
  }
  net->dirty_count = 0;
}

/* A link that was silent for half to three quarters of the read timeout sends
 * a heartbeat: spread out, not all at once. */
static void sweep(struct net *net) {
  const uint8_t *heartbeat = net->dialect->heartbeat;
  uint64_t unit = (uint64_t)net->greeting.read_timeout_ms * 1000000 / 4;
  if (unit == 0 || net->now_ns - net->swept_ns < 250000000) return;
  net->swept_ns = net->now_ns;
  for (uint32_t i = 0; i < net->started; i++) {
    struct link *link = &net->links[i];
    uint64_t patience = 2 * unit + unit * (i % 64) / 64;
    if (link->state == LINK_OPEN && net->now_ns - link->sent_ns > patience)
      link_send(link, net->dialect->opcode, heartbeat + 1, heartbeat[0]);
  }
}

/* To the nanosecond where the kernel can. */
static int wait_for_events(struct net *net, struct epoll_event *events,
                           uint64_t timeout_ns) {
  const struct timespec timeout = {(time_t)(timeout_ns / 1000000000),
                                   (long)(timeout_ns % 1000000000)};
  int n = epoll_pwait2(net->epoll, events, EVENTS_AT_ONCE, &timeout, NULL);
  if (n >= 0 || errno != ENOSYS) return n;
  uint64_t ms = (timeout_ns + 999999) / 1000000;
  return epoll_wait(net->epoll, events, EVENTS_AT_ONCE,
                    ms < 1000 ? (int)ms : 1000);
}

void net_poll(struct net *net, uint64_t timeout_ns) {
  struct epoll_event events[EVENTS_AT_ONCE];
  net->now_ns = net_clock_ns();
  sweep(net);
  flush_all(net);
  int n = wait_for_events(net, events, timeout_ns);
  for (int i = 0; i < n; i++) {
    net->now_ns = net_clock_ns();
    link_event(events[i].data.ptr, events[i].events);
  }
  flush_all(net);
}

bool net_start(struct link *link) {
  struct net *net = link->net;
  if (!link_start(link)) {
    fprintf(stderr, "webwire-bench: connect: %s\n", strerror(errno));
    return false;
  }
  if (link->index >= net->started) net->started = link->index + 1;
  return true;
}

void net_next_target(struct link *link) {
  struct net *net = link->net;
  uint32_t next = (uint32_t)(link->target - net->targets) + 1;
  link->target = &net->targets[next % net->options->servers.count];
}

bool net_open(struct net *net) {
  uint64_t limit_ns = 10000000000ULL + (uint64_t)net->count * 10000000;
  uint64_t begun_ns = net->now_ns = net_clock_ns();
  while (net->open < net->count && net->broken == 0) {
    while (net->started < net->count &&
           net->started - net->open < OPENING_AT_ONCE) {
      if (!net_start(&net->links[net->started])) return false;
    }
    net_poll(net, 100000000);
    if (net->now_ns - begun_ns > limit_ns) {
      fprintf(stderr, "webwire-bench: only %u of %u connections opened\n",
              net->open, net->count);
      return false;
    }
  }
  return net->broken == 0;
}
