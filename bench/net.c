#include "net.h"
#include "options.h"

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

static bool resolve(struct net_target *out, const struct target *target) {
  struct addrinfo *found = NULL;
  struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  int error = getaddrinfo(target->host, target->port, &hints, &found);
  if (error) {
    fprintf(stderr, "webwire-bench: %s: %s\n", target->host,
            gai_strerror(error));
    return false;
  }
  memcpy(&out->address, found->ai_addr, sizeof out->address);
  out->target = target;
  freeaddrinfo(found);
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

static bool resolve_all(struct net *net, const struct target *targets,
                        uint32_t count) {
  net->targets = calloc(count, sizeof *net->targets);
  if (!net->targets) return false;
  for (; net->target_count < count; net->target_count++) {
    uint32_t i = net->target_count;
    if (!resolve(&net->targets[i], &targets[i])) return false;
  }
  return true;
}

bool net_init(struct net *net, const struct target *targets,
              uint32_t target_count, uint32_t count) {
  *net = (struct net){.epoll = -1, .count = count};
  if (!resolve_all(net, targets, target_count) || !enough_descriptors(count)) {
    net_deinit(net);
    return false;
  }
  net->epoll = epoll_create1(EPOLL_CLOEXEC);
  net->links = calloc(count, sizeof *net->links);
  net->dirty = calloc(count, sizeof *net->dirty);
  net->scratch = malloc(NET_READ_BYTES + NET_FRAME_BYTES);
  if (net->epoll < 0 || !net->links || !net->dirty || !net->scratch) {
    fprintf(stderr, "webwire-bench: %s\n", strerror(errno));
    net_deinit(net);
    return false;
  }
  for (uint32_t i = 0; i < count; i++) {
    net->links[i] = (struct link){.net = net, .fd = -1, .index = i};
    /* Any mask but zero, so that a server can't be lucky. */
    net->links[i].mask = 0x9e3779b9U * (i + 1) | 1;
  }
  return true;
}

void net_deinit(struct net *net) {
  for (uint32_t i = 0; net->links && i < net->count; i++) {
    struct link *link = &net->links[i];
    if (link->fd >= 0) close(link->fd);
    free(link->in.data);
    free(link->out.data);
  }
  free(net->targets);
  free(net->links);
  free(net->dirty);
  free(net->scratch);
  if (net->epoll >= 0) close(net->epoll);
  *net = (struct net){.epoll = -1};
}

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
  static const uint8_t heartbeat = 33;
  uint64_t unit = (uint64_t)net->read_timeout_ms * 1000000 / 4;
  if (unit == 0 || net->now_ns - net->swept_ns < 250000000) return;
  net->swept_ns = net->now_ns;
  for (uint32_t i = 0; i < net->started; i++) {
    struct link *link = &net->links[i];
    uint64_t patience = 2 * unit + unit * (i % 64) / 64;
    if (link->state == LINK_OPEN && net->now_ns - link->sent_ns > patience)
      link_send(link, 2, &heartbeat, 1);
  }
}

void net_poll(struct net *net, uint64_t timeout_ns) {
  struct epoll_event events[EVENTS_AT_ONCE];
  net->now_ns = net_clock_ns();
  sweep(net);
  flush_all(net);
  const struct timespec timeout = {(time_t)(timeout_ns / 1000000000),
                                   (long)(timeout_ns % 1000000000)};
  int n = epoll_pwait2(net->epoll, events, EVENTS_AT_ONCE, &timeout, NULL);
  for (int i = 0; i < n; i++) {
    net->now_ns = net_clock_ns();
    link_event(events[i].data.ptr, events[i].events);
  }
  flush_all(net);
}

bool net_open(struct net *net) {
  uint64_t limit_ns = 10000000000ULL + (uint64_t)net->count * 10000000;
  uint64_t begun_ns = net->now_ns = net_clock_ns();
  while (net->open < net->count && net->broken == 0) {
    while (net->started < net->count &&
           net->started - net->open < OPENING_AT_ONCE) {
      if (!link_start(&net->links[net->started])) {
        fprintf(stderr, "webwire-bench: connect: %s\n", strerror(errno));
        return false;
      }
      net->started++;
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
