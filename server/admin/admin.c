/* The listener's life and its thread.
 *
 * Happy path: a socket listens -> the thread sleeps until libmicrohttpd's
 * descriptors, an answer of the server or a deadline wake it.
 *
 * Failure modes: an address that makes no sense or can't be listened on is said
 * at the start. What happens later is the client's own: 4xx, 503, or its socket
 * is shut. At the end requests that still wait are answered 503. */
#include "admin.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "impl.h"
#include "text.h"

uint64_t wwri_admin_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t unix_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- The thread ----------------------------------------------------------- */

static bool stopping(struct wwri_admin *admin) {
  pthread_mutex_lock(&admin->locked.mutex);
  bool stop = admin->locked.stop;
  pthread_mutex_unlock(&admin->locked.mutex);
  return stop;
}

static void wake(const struct wwri_admin *admin) {
  static const uint64_t one = 1;
  ssize_t written = write(admin->wake_fd, &one, sizeof one);
  (void)written;
}

static void *run(void *arg) {
  struct wwri_admin *admin = arg;
  struct pollfd fds[] = {{admin->epoll_fd, POLLIN, 0},
                         {admin->wake_fd, POLLIN, 0}};
  pthread_setname_np(pthread_self(), "admin");
  while (!stopping(admin)) {
    uint64_t count;
    int timeout = wwri_http_turn(admin);
    if (poll(fds, 2, timeout) < 0 && errno != EINTR) break;
    if (fds[1].revents && read(admin->wake_fd, &count, sizeof count) < 0) {
      continue;
    }
    wwri_postbox_take(admin->box);
  }
  wwri_http_stop(admin);
  return NULL;
}

static wwr_err start_thread(struct wwri_admin *admin,
                            char reason[WWRI_ADMIN_REASON_MAX]) {
  snprintf(reason, WWRI_ADMIN_REASON_MAX, "no thread for it");
  int rc = pthread_create(&admin->thread, NULL, run, admin);
  admin->has_thread = rc == 0;
  return rc == 0 ? WWR_OK : WWR_E_IO;
}

/* --- Making --------------------------------------------------------------- */

static wwr_err make(struct wwri_admin *admin,
                    char reason[WWRI_ADMIN_REASON_MAX]) {
  const struct wwri_admin_opts *opts = &admin->opts;
  if (wwri_admin_set_token(admin, opts->token) != WWR_OK) {
    snprintf(reason, WWRI_ADMIN_REASON_MAX,
             "the token is not 1 to %d printable characters without spaces",
             WWRI_ADMIN_TOKEN_MAX);
    return WWR_E_INVALID;
  }
  wwr_err err = wwri_admin_listen(admin, opts->listen, reason);
  if (err != WWR_OK) return err;
  snprintf(reason, WWRI_ADMIN_REASON_MAX, "out of memory or descriptors");
  admin->name =
      strdup(opts->name ? opts->name : wwr_server_node_name(opts->server));
  if (!admin->name) return WWR_E_NOMEM;
  admin->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (admin->wake_fd < 0) return WWR_E_IO;
  admin->box = wwri_postbox_new(admin->wake_fd);
  if (!admin->box) return WWR_E_NOMEM;
  err = wwri_http_start(admin);
  return err == WWR_OK ? start_thread(admin, reason) : err;
}

static struct wwri_admin *admin_new(const struct wwri_admin_opts *opts) {
  struct wwri_admin *admin = calloc(1, sizeof *admin);
  if (!admin) return NULL;
  admin->opts = *opts;
  admin->log = opts->log;
  admin->started_ms = unix_ms();
  admin->since_ms = wwri_admin_now();
  admin->listen_fd = admin->wake_fd = -1;
  wwri_list_init(&admin->clients);
  wwri_list_init(&admin->waiting);
  pthread_mutex_init(&admin->locked.mutex, NULL);
  return admin;
}

wwr_err wwri_admin_new(struct wwri_admin **out,
                       const struct wwri_admin_opts *opts,
                       char reason[WWRI_ADMIN_REASON_MAX]) {
  char unused[WWRI_ADMIN_REASON_MAX];
  if (!reason) reason = unused;
  snprintf(reason, WWRI_ADMIN_REASON_MAX, "out of memory");
  *out = NULL;
  struct wwri_admin *admin = admin_new(opts);
  if (!admin) return WWR_E_NOMEM;
  wwr_err err = make(admin, reason);
  if (err != WWR_OK) {
    wwri_admin_free(admin);
    return err;
  }
  *reason = '\0';
  *out = admin;
  return WWR_OK;
}

void wwri_admin_free(struct wwri_admin *admin) {
  if (!admin) return;
  if (admin->has_thread) {
    pthread_mutex_lock(&admin->locked.mutex);
    admin->locked.stop = true;
    pthread_mutex_unlock(&admin->locked.mutex);
    wake(admin);
    pthread_join(admin->thread, NULL);
  } else {
    wwri_http_stop(admin);
  }
  wwri_postbox_close(admin->box);
  if (admin->wake_fd >= 0) close(admin->wake_fd);
  pthread_mutex_destroy(&admin->locked.mutex);
  free(admin->name);
  free(admin);
}

/* --- While it runs -------------------------------------------------------- */

const char *wwri_admin_address(const struct wwri_admin *admin) {
  return admin->address;
}

bool wwri_admin_token_ok(const char *token) {
  return wwri_token_ok(token, WWRI_ADMIN_TOKEN_MAX);
}

wwr_err wwri_admin_set_token(struct wwri_admin *admin, const char *token) {
  if (token && !wwri_admin_token_ok(token)) {
    return WWR_E_INVALID;
  }
  pthread_mutex_lock(&admin->locked.mutex);
  snprintf(admin->locked.token, sizeof admin->locked.token, "%s",
           token ? token : "");
  pthread_mutex_unlock(&admin->locked.mutex);
  return WWR_OK;
}

void wwri_admin_set_log_level(struct wwri_admin *admin,
                              enum wwr_log_level level) {
  wwri_log_set_level(&admin->log, level);
}
