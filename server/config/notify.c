/* A datagram to the socket that systemd named. */
#include "notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A path, or "@" and a name in the abstract space. */
static socklen_t address_of(const char *name, struct sockaddr_un *out) {
  size_t len = strlen(name);
  if ((name[0] != '/' && name[0] != '@') || len < 2 ||
      len >= sizeof out->sun_path)
    return 0;
  memset(out, 0, sizeof *out);
  out->sun_family = AF_UNIX;
  memcpy(out->sun_path, name, len);
  if (name[0] == '@') out->sun_path[0] = '\0';
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

void wwri_notify(const char *state) {
  struct sockaddr_un address;
  const char *name = getenv("NOTIFY_SOCKET");
  socklen_t size = name ? address_of(name, &address) : 0;
  if (size == 0) return;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL,
               (const struct sockaddr *)&address, size);
  close(fd);
}

void wwri_notify_reloading(void) {
  char state[96];
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
           (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
  wwri_notify(state);
}

uint32_t wwri_notify_watchdog_ms(void) {
  const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
  if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid())) return 0;
  unsigned long long ms = strtoull(usec, NULL, 10) / 2000;
  return ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}
