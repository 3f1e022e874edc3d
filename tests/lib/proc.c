/* Happy path: fork and exec with three pipes; one thread collects what the
 * program prints, so that it never blocks on a full pipe; waiting is waiting on
 * that thread's condition, or on the pidfd for the exit.
 *
 * Failure modes: exec's error comes back through a pipe that a successful exec
 * closes. Output over 16 MiB is dropped, not stored. */
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_OUTPUT_BYTES ((size_t)16 << 20)

enum { READ_BYTES = 4096, LAST_READS = 64 }; /* more than a pipe holds */

struct output {
  int fd; /* -1 after the end */
  char *text;
  size_t len;
  size_t cap;
};

struct proc {
  pid_t pid;
  int pidfd;
  int stdin_fd;
  int stop_fd; /* an eventfd that ends the collector */
  int status;  /* as waitpid() gives it, once `exited` */
  bool exited;
  bool collecting; /* the thread exists */
  pthread_t collector;
  struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct output out[2];
  } locked;
};

static void deadline_in(struct timespec *out, int timeout_ms) {
  clock_gettime(CLOCK_MONOTONIC, out);
  out->tv_sec += timeout_ms / 1000;
  out->tv_nsec += (long)(timeout_ms % 1000) * 1000000;
  if (out->tv_nsec >= 1000000000) {
    out->tv_sec++;
    out->tv_nsec -= 1000000000;
  }
}

/* --- Collecting --------------------------------------------------------- */

static void append(struct output *output, const char *bytes, size_t len) {
  if (output->len + len > MAX_OUTPUT_BYTES) return;
  if (output->len + len + 1 > output->cap) {
    size_t cap = (output->len + len + 1) * 2;
    char *grown = realloc(output->text, cap);
    if (!grown) return;
    output->text = grown;
    output->cap = cap;
  }
  memcpy(output->text + output->len, bytes, len);
  output->len += len;
  output->text[output->len] = '\0';
}

static void collect_from(struct proc *proc, struct output *output) {
  char bytes[READ_BYTES];
  ssize_t n = read(output->fd, bytes, sizeof bytes);
  if (n < 0 && errno == EINTR) return;
  pthread_mutex_lock(&proc->locked.mutex);
  if (n > 0) {
    append(output, bytes, (size_t)n);
  } else {
    close(output->fd);
    output->fd = -1;
  }
  pthread_cond_broadcast(&proc->locked.changed);
  pthread_mutex_unlock(&proc->locked.mutex);
}

/* Ends when both streams have ended, or at a stop when nothing is left to read,
 * or no end of it. Only this thread changes the fds. */
static void *collect(void *arg) {
  struct proc *proc = arg;
  struct output *out = proc->locked.out;
  unsigned stopping = 0;
  while (out[0].fd >= 0 || out[1].fd >= 0) {
    struct pollfd pollers[3] = {{.fd = out[0].fd, .events = POLLIN},
                                {.fd = out[1].fd, .events = POLLIN},
                                {.fd = proc->stop_fd, .events = POLLIN}};
    if (poll(pollers, 3, -1) < 0) continue;
    bool quiet = !pollers[0].revents && !pollers[1].revents;
    if (pollers[2].revents && (quiet || ++stopping > LAST_READS)) break;
    for (int i = 0; i < 2; i++) {
      if (pollers[i].fd >= 0 && pollers[i].revents) collect_from(proc, &out[i]);
    }
  }
  return NULL;
}

/* --- Starting ----------------------------------------------------------- */

struct pipes {
  int in[2], out[2], err[2], failed[2];
};

static void close_pair(int pair[2]) {
  for (int i = 0; i < 2; i++) {
    if (pair[i] >= 0) close(pair[i]);
    pair[i] = -1;
  }
}

static void close_pipes(struct pipes *pipes) {
  close_pair(pipes->in);
  close_pair(pipes->out);
  close_pair(pipes->err);
  close_pair(pipes->failed);
}

static bool open_pipes(struct pipes *pipes) {
  memset(pipes, 0xff, sizeof *pipes); /* all -1 */
  if (pipe2(pipes->in, O_CLOEXEC) == 0 && pipe2(pipes->out, O_CLOEXEC) == 0 &&
      pipe2(pipes->err, O_CLOEXEC) == 0 && pipe2(pipes->failed, O_CLOEXEC) == 0)
    return true;
  close_pipes(pipes);
  return false;
}

/* As from a shell: whoever runs the tests in the background has SIGINT ignored,
 * and a script can't change that. */
static void default_signals(void) {
  static const int signals[] = {SIGPIPE, SIGINT,  SIGQUIT, SIGHUP,
                                SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD};
  sigset_t none;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    signal(signals[i], SIG_DFL);
  }
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Only calls that are safe between fork and exec in a threaded program. */
static _Noreturn void become(const struct pipes *pipes, pid_t parent,
                             const char *const argv[]) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  dup2(pipes->in[0], 0);
  dup2(pipes->out[1], 1);
  dup2(pipes->err[1], 2);
  default_signals();
  execvp(argv[0], (char *const *)(uintptr_t)argv);
  int error = errno;
  ssize_t n = write(pipes->failed[1], &error, sizeof error);
  _exit(n < 0 ? 126 : 127);
}

/* 0 when the exec succeeded, else its errno. */
static int exec_error(struct pipes *pipes) {
  int error = 0;
  close(pipes->failed[1]);
  pipes->failed[1] = -1;
  ssize_t n = read(pipes->failed[0], &error, sizeof error);
  return n == (ssize_t)sizeof error ? error : 0;
}

static bool spawn(struct proc *proc, struct pipes *pipes,
                  const char *const argv[]) {
  pid_t self = getpid();
  proc->pid = fork();
  if (proc->pid == 0) become(pipes, self, argv);
  if (proc->pid < 0) return false;
  int error = exec_error(pipes);
  proc->pidfd = pidfd_open(proc->pid, 0);
  if (error == 0 && proc->pidfd >= 0) return true;
  kill(proc->pid, SIGKILL);
  waitpid(proc->pid, NULL, 0);
  proc->pid = -1;
  if (error) errno = error;
  return false;
}

static int take(int *fd) {
  int taken = *fd;
  *fd = -1;
  return taken;
}

static struct proc *proc_new(void) {
  struct proc *proc = calloc(1, sizeof *proc);
  if (!proc) return NULL;
  proc->pid = proc->pidfd = proc->stdin_fd = -1;
  proc->stop_fd = eventfd(0, EFD_CLOEXEC);
  proc->locked.out[0].fd = proc->locked.out[1].fd = -1;
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&proc->locked.changed, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&proc->locked.mutex, NULL);
  return proc;
}

struct proc *proc_start_logged(const char *const argv[], const char *path) {
  struct proc *proc = proc_new();
  struct pipes pipes;
  memset(&pipes, 0xff, sizeof pipes); /* all -1 */
  if (!proc) return NULL;
  pipes.in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  pipes.out[1] = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  bool good = proc->stop_fd >= 0 && pipes.in[0] >= 0 && pipes.out[1] >= 0 &&
              (pipes.err[1] = fcntl(pipes.out[1], F_DUPFD_CLOEXEC, 3)) >= 0 &&
              pipe2(pipes.failed, O_CLOEXEC) == 0 && spawn(proc, &pipes, argv);
  if (!good) fprintf(stderr, "proc: %s: %s\n", argv[0], strerror(errno));
  close_pipes(&pipes);
  if (good) return proc;
  proc_free(proc);
  return NULL;
}

struct proc *proc_start(const char *const argv[]) {
  struct proc *proc = proc_new();
  struct pipes pipes;
  if (!proc) return NULL;
  if (!open_pipes(&pipes)) goto fail;
  if (proc->stop_fd < 0 || !spawn(proc, &pipes, argv)) goto fail;
  proc->stdin_fd = take(&pipes.in[1]);
  proc->locked.out[PROC_STDOUT].fd = take(&pipes.out[0]);
  proc->locked.out[PROC_STDERR].fd = take(&pipes.err[0]);
  close_pipes(&pipes);
  proc->collecting = pthread_create(&proc->collector, NULL, collect, proc) == 0;
  if (proc->collecting) return proc;
fail:
  fprintf(stderr, "proc: %s: %s\n", argv[0], strerror(errno));
  close_pipes(&pipes);
  proc_free(proc);
  return NULL;
}

/* Wait for the streams' end, so that the output is complete; not for ever,
 * because a grandchild may hold the pipes open after the program's end. */
static void stop_collector(struct proc *proc) {
  const struct output *out = proc->locked.out;
  struct timespec deadline;
  deadline_in(&deadline, 2000);
  pthread_mutex_lock(&proc->locked.mutex);
  while ((out[0].fd >= 0 || out[1].fd >= 0) &&
         pthread_cond_timedwait(&proc->locked.changed, &proc->locked.mutex,
                                &deadline) != ETIMEDOUT) {
  }
  pthread_mutex_unlock(&proc->locked.mutex);
  eventfd_write(proc->stop_fd, 1);
  pthread_join(proc->collector, NULL);
  proc->collecting = false;
}

void proc_free(struct proc *proc) {
  if (!proc) return;
  if (proc->pid > 0 && !proc->exited) {
    kill(proc->pid, SIGKILL);
    waitpid(proc->pid, NULL, 0);
  }
  if (proc->collecting) stop_collector(proc);
  proc_close_stdin(proc);
  if (proc->pidfd >= 0) close(proc->pidfd);
  if (proc->stop_fd >= 0) close(proc->stop_fd);
  for (int i = 0; i < 2; i++) {
    if (proc->locked.out[i].fd >= 0) close(proc->locked.out[i].fd);
    free(proc->locked.out[i].text);
  }
  pthread_mutex_destroy(&proc->locked.mutex);
  pthread_cond_destroy(&proc->locked.changed);
  free(proc);
}

/* --- Talking to it ------------------------------------------------------ */

pid_t proc_pid(const struct proc *proc) {
  return proc->pid;
}

bool proc_signal(struct proc *proc, int signal) {
  if (proc->exited || kill(proc->pid, signal) != 0) return false;
  siginfo_t info; /* its threads go on for a moment */
  int wanted = WSTOPPED | WEXITED | WNOWAIT;
  if (signal == SIGSTOP) (void)waitid(P_PID, (id_t)proc->pid, &info, wanted);
  return true;
}

bool proc_write(struct proc *proc, const char *text) {
  size_t len = strlen(text);
  while (len > 0 && proc->stdin_fd >= 0) {
    ssize_t n = write(proc->stdin_fd, text, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text += n;
    len -= (size_t)n;
  }
  return len == 0;
}

void proc_close_stdin(struct proc *proc) {
  if (proc->stdin_fd >= 0) close(proc->stdin_fd);
  proc->stdin_fd = -1;
}

/* --- What it printed ---------------------------------------------------- */

/* A whole line that begins with `prefix`, or NULL; *len without its end. */
static const char *find_line(const char *text, const char *prefix,
                             size_t *len) {
  while (text && *text) {
    const char *end = strchr(text, '\n');
    if (!end) return NULL;
    if (strncmp(text, prefix, strlen(prefix)) == 0) {
      *len = (size_t)(end - text);
      return text;
    }
    text = end + 1;
  }
  return NULL;
}

static void copy_line(char *to, size_t cap, const char *from, size_t len) {
  if (!to || cap == 0) return;
  if (len >= cap) len = cap - 1;
  memcpy(to, from, len);
  to[len] = '\0';
}

bool proc_wait_line(struct proc *proc, enum proc_stream stream,
                    const char *prefix, int timeout_ms, char *line,
                    size_t cap) {
  struct output *output = &proc->locked.out[stream];
  struct timespec deadline;
  deadline_in(&deadline, timeout_ms);
  size_t len = 0;
  const char *found;
  pthread_mutex_lock(&proc->locked.mutex);
  while (!(found = find_line(output->text, prefix, &len))) {
    if (output->fd < 0 ||
        pthread_cond_timedwait(&proc->locked.changed, &proc->locked.mutex,
                               &deadline) == ETIMEDOUT)
      break;
  }
  if (found) {
    copy_line(line, cap, found, len);
  } else {
    for (int i = 0; i < 2; i++) {
      const char *text = proc->locked.out[i].text;
      fprintf(stderr, "proc: no line \"%s...\"; printed so far: %s\n", prefix,
              text ? text : "(nothing)");
    }
  }
  pthread_mutex_unlock(&proc->locked.mutex);
  return found != NULL;
}

uint16_t proc_wait_listening(struct proc *proc, int timeout_ms) {
  char line[256];
  if (!proc_wait_line(proc, PROC_STDOUT, "listening on ", timeout_ms, line,
                      sizeof line))
    return 0;
  const char *colon = strrchr(line, ':');
  unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
  return port <= UINT16_MAX ? (uint16_t)port : 0;
}

char *proc_output(struct proc *proc, enum proc_stream stream) {
  pthread_mutex_lock(&proc->locked.mutex);
  const char *text = proc->locked.out[stream].text;
  char *copy = strdup(text ? text : "");
  pthread_mutex_unlock(&proc->locked.mutex);
  return copy;
}

/* --- Its end ------------------------------------------------------------ */

int proc_wait_exit(struct proc *proc, int timeout_ms) {
  struct pollfd poller = {.fd = proc->pidfd, .events = POLLIN};
  if (!proc->exited) {
    struct timespec deadline, now;
    deadline_in(&deadline, timeout_ms);
    int n, left = timeout_ms;
    while ((n = poll(&poller, 1, left)) < 0 && errno == EINTR) {
      clock_gettime(CLOCK_MONOTONIC, &now);
      left = (int)((deadline.tv_sec - now.tv_sec) * 1000 +
                   (deadline.tv_nsec - now.tv_nsec) / 1000000);
      if (left < 0) left = 0;
    }
    if (n <= 0 || waitpid(proc->pid, &proc->status, 0) != proc->pid) return -1;
    proc->exited = true;
    if (proc->collecting) stop_collector(proc);
  }
  return WIFEXITED(proc->status) ? WEXITSTATUS(proc->status)
                                 : 128 + WTERMSIG(proc->status);
}

/* --- What it costs ------------------------------------------------------ */

static bool read_proc_file(pid_t pid, const char *name, char *out, size_t cap) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  FILE *file = fopen(path, "re");
  if (!file) return false;
  size_t n = fread(out, 1, cap - 1, file);
  fclose(file);
  out[n] = '\0';
  return n > 0;
}

uint64_t proc_cpu_us(pid_t pid) {
  char text[1024];
  if (!read_proc_file(pid, "stat", text, sizeof text)) return 0;
  /* The command's name may hold anything: fields are counted from its end. */
  const char *after = strrchr(text, ')');
  unsigned long long user, system;
  if (!after || sscanf(after + 1,
                       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                       &user, &system) != 2)
    return 0;
  return (user + system) * 1000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);
}

uint64_t proc_rss_bytes(pid_t pid) {
  char text[256];
  unsigned long long pages;
  if (!read_proc_file(pid, "statm", text, sizeof text) ||
      sscanf(text, "%*u %llu", &pages) != 1)
    return 0;
  return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
