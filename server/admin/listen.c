/* The listening socket. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "impl.h"
#include "text.h"

enum { BACKLOG = 128, HOST_MAX = 256 };

static int open_socket(const struct addrinfo *info) {
  int one = 1;
  int fd =
      socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 &&
      listen(fd, BACKLOG) == 0) {
    return fd;
  }
  int why = errno;
  close(fd);
  errno = why;
  return -1;
}

/* With the port that was picked. */
static bool note_address(struct wwri_admin *admin) {
  struct sockaddr_storage address;
  socklen_t len = sizeof address;
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getsockname(admin->listen_fd, (struct sockaddr *)&address, &len) != 0 ||
      getnameinfo((struct sockaddr *)&address, len, host, sizeof host, port,
                  sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return false;
  }
  bool brackets = address.ss_family == AF_INET6;
  snprintf(admin->address, sizeof admin->address, "http://%s%.96s%s:%.8s",
           brackets ? "[" : "", host, brackets ? "]" : "", port);
  return true;
}

bool wwri_admin_listen_ok(const char *listen) {
  char host[HOST_MAX], port[6];
  return wwri_split_address(listen, host, sizeof host, port);
}

wwr_err wwri_admin_listen(struct wwri_admin *admin, const char *listen,
                          char reason[WWRI_ADMIN_REASON_MAX]) {
  const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                 .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
  struct addrinfo *found = NULL;
  char host[HOST_MAX], port[6];
  if (!listen || !wwri_split_address(listen, host, sizeof host, port)) {
    snprintf(reason, WWRI_ADMIN_REASON_MAX, "'%.128s' is no HOST:PORT",
             listen ? listen : "");
    return WWR_E_INVALID;
  }
  int rc = getaddrinfo(*host ? host : NULL, port, &hints, &found);
  if (rc != 0) {
    snprintf(reason, WWRI_ADMIN_REASON_MAX, "%.128s: %.100s", listen,
             gai_strerror(rc));
    return WWR_E_IO;
  }
  admin->listen_fd = open_socket(found);
  int why = errno;
  freeaddrinfo(found);
  if (admin->listen_fd >= 0 && note_address(admin)) return WWR_OK;
  snprintf(reason, WWRI_ADMIN_REASON_MAX, "can't listen on %.128s: %.100s",
           listen, strerror(why));
  return WWR_E_IO;
}
