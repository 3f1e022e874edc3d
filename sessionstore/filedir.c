/* filedir.c - see filedir.h.
 *
 * The happy path of a write: a new temporary file, its bytes, fsync, rename
 * over the real name, fsync of the directory. Everything goes through the one
 * descriptor of the directory, so nobody can slip another one in its place.
 *
 * What can go wrong: any step may fail (disk full, quota, descriptors, the
 * directory removed under us). Then the temporary file is removed and the old
 * file is untouched. A crash leaves a temporary file; the next start removes
 * it, but only if no other process is in the directory: each holds a shared
 * flock on it, and only who gets it exclusively may clean. */
#include "filedir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/* ".0123456789abcdef.wwrtmp": no session file starts with a dot. */
#define TEMP_SUFFIX ".wwrtmp"
enum {
  TEMP_HEX = 16,
  TEMP_LEN = 1 + TEMP_HEX + sizeof TEMP_SUFFIX - 1,
  TEMP_TRIES = 16
};

/* In a directory that was removed, every file is missing for another reason. */
static int explain(const struct wwri_filedir *dir, int err) {
  struct stat st;
  if (err != ENOENT) return err;
  if (fstat(dir->fd, &st) != 0) return errno;
  return st.st_nlink == 0 ? ESTALE : ENOENT;
}

static int sync_fd(int fd) {
  int rc;
  do {
    rc = fsync(fd);
  } while (rc != 0 && errno == EINTR);
  /* EINVAL: a file system that has nothing to sync here. */
  return rc == 0 || errno == EINVAL ? 0 : errno;
}

static int write_all(int fd, const char *bytes, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, bytes, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    bytes += n;
    len -= (size_t)n;
  }
  return 0;
}

/* Reads until `cap` or the end of the file. */
static int read_all(int fd, char *bytes, size_t cap, size_t *len) {
  *len = 0;
  while (*len < cap) {
    ssize_t n = read(fd, bytes + *len, cap - *len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) break;
    *len += (size_t)n;
  }
  return 0;
}

/* A new empty file in *fd; its name in `name` of TEMP_LEN + 1 bytes. */
static int create_temp(struct wwri_filedir *dir, char *name, int *fd) {
  int err = EEXIST;
  for (int i = 0; err == EEXIST && i < TEMP_TRIES; i++) {
    unsigned long long n = atomic_fetch_add(&dir->next_temp, 1);
    snprintf(name, TEMP_LEN + 1, ".%016llx" TEMP_SUFFIX, n);
    *fd = openat(dir->fd, name,
                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    err = *fd >= 0 ? 0 : errno;
  }
  return explain(dir, err);
}

int wwri_filedir_write(struct wwri_filedir *dir, const char *name,
                       const char *bytes, size_t len) {
  char temp[TEMP_LEN + 1];
  int fd;
  int err = create_temp(dir, temp, &fd);
  if (err) return err;
  err = write_all(fd, bytes, len);
  if (!err) err = sync_fd(fd);
  if (close(fd) != 0 && !err && errno != EINTR) err = errno;
  if (!err && renameat(dir->fd, temp, dir->fd, name) != 0) err = errno;
  if (err) {
    unlinkat(dir->fd, temp, 0);
    return explain(dir, err);
  }
  return sync_fd(dir->fd);
}

static int check_type(const struct stat *st, size_t max) {
  if (S_ISDIR(st->st_mode)) return EISDIR;
  if (!S_ISREG(st->st_mode)) return ENOTSUP;
  return (uintmax_t)st->st_size > max ? EFBIG : 0;
}

static int read_fd(int fd, size_t max, char **out, size_t *len) {
  struct stat st;
  if (fstat(fd, &st) != 0) return errno;
  int err = check_type(&st, max);
  if (err) return err;
  /* Files are replaced, never changed, so the size can be relied on. One byte
   * more than it, because malloc(0) may give NULL. */
  char *bytes = malloc((size_t)st.st_size + 1);
  if (!bytes) return ENOMEM;
  err = read_all(fd, bytes, (size_t)st.st_size, len);
  if (err) {
    free(bytes);
    return err;
  }
  *out = bytes;
  return 0;
}

int wwri_filedir_read(struct wwri_filedir *dir, const char *name, size_t max,
                      char **out, size_t *len) {
  /* O_NONBLOCK: opening a named pipe must not wait for its writer. */
  int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  int fd = openat(dir->fd, name, flags);
  if (fd < 0) return explain(dir, errno);
  int err = read_fd(fd, max, out, len);
  close(fd);
  return err;
}

int wwri_filedir_remove(struct wwri_filedir *dir, const char *name) {
  if (unlinkat(dir->fd, name, 0) != 0) return explain(dir, errno);
  return sync_fd(dir->fd);
}

static bool is_temp_name(const char *name) {
  if (strlen(name) != TEMP_LEN || name[0] != '.') return false;
  if (strspn(name + 1, "0123456789abcdef") != TEMP_HEX) return false;
  return strcmp(name + 1 + TEMP_HEX, TEMP_SUFFIX) == 0;
}

static void remove_temps(int dir_fd, const struct wwr_log *log) {
  int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  DIR *entries = fdopendir(fd);
  if (!entries) {
    close(fd);
    return;
  }
  for (struct dirent *e; (e = readdir(entries)) != NULL;) {
    if (!is_temp_name(e->d_name)) continue;
    if (unlinkat(dir_fd, e->d_name, 0) != 0) continue;
    wwri_log(log, WWR_LOG_INFO, 0, "removed a temporary session file", "file",
             e->d_name, NULL);
  }
  closedir(entries);
}

/* File systems without flock get no cleaning: too many files are harmless,
 * another process's file removed is not. */
static void clean(int fd, const char *path, const struct wwr_log *log) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
    remove_temps(fd, log);
  } else if (errno == EWOULDBLOCK) {
    wwri_log(log, WWR_LOG_WARN, 0, "session directory is already in use",
             "directory", path, NULL);
  }
  while (flock(fd, LOCK_SH) != 0 && errno == EINTR) continue;
}

static void warn_if_open_to_others(int fd, const char *path,
                                   const struct wwr_log *log) {
  struct stat st;
  if (fstat(fd, &st) != 0 || (st.st_mode & (S_IRWXG | S_IRWXO)) == 0) return;
  /* The file names are the session keys. */
  wwri_log(log, WWR_LOG_WARN, 0, "session directory is open to other users",
           "directory", path, NULL);
}

/* Make the new directory's own entry survive a power cut, if we may. */
static void sync_parent(int fd) {
  int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0) return;
  (void)sync_fd(parent);
  close(parent);
}

static int open_or_create(const char *path, int *fd) {
  bool made = mkdir(path, 0700) == 0;
  int mkdir_errno = errno;
  *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*fd < 0) return errno == ENOENT && !made ? mkdir_errno : errno;
  if (made) sync_parent(*fd);
  return 0;
}

static int prove_writable(struct wwri_filedir *dir) {
  char temp[TEMP_LEN + 1];
  int fd;
  int err = create_temp(dir, temp, &fd);
  if (err) return err;
  close(fd);
  return unlinkat(dir->fd, temp, 0) == 0 ? 0 : errno;
}

int wwri_filedir_open(struct wwri_filedir *dir, const char *path,
                      const struct wwr_log *log) {
  uint64_t first;
  if (getrandom(&first, sizeof first, 0) != (ssize_t)sizeof first) return errno;
  atomic_init(&dir->next_temp, first);
  int err = open_or_create(path, &dir->fd);
  if (err) return err;
  warn_if_open_to_others(dir->fd, path, log);
  clean(dir->fd, path, log);
  err = prove_writable(dir);
  if (err) wwri_filedir_close(dir);
  return err;
}

void wwri_filedir_close(struct wwri_filedir *dir) {
  close(dir->fd);
  dir->fd = -1;
}
