/* filestore.c - one file per session, KEY.wwrsess, in a directory (wwr_stores.h
 * has the format, filedir.h how files are replaced).
 *
 * The happy path: `created` writes the file, `lookup` reads it, answers with
 * it and replaces it by one with the present time, `closed` removes it. A key
 * comes from a stranger: only one of the alphabet ever becomes a file name.
 *
 * What can go wrong:
 * - Two operations on one key at once, above all a look-up that would write
 *   back the file that `closed` has just removed. Each key belongs to one of
 *   the mutexes and keeps it from reading to writing. That is I/O under a lock,
 *   but only worker threads ever wait for it, and no callback runs under it.
 *   It doesn't reach other processes: a directory is for one server at a time.
 * - The look-up's write fails (disk full): logged, and answered as found, for
 *   existing clients forget a session whose restoration failed. The old file
 *   is still there.
 * - A damaged or foreign file: logged with its name, and an I/O error, because
 *   "not found" would be a claim that nobody can make. */
#include "wwr_stores.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filedir.h"
#include "log.h"
#include "session.h"

#define FILE_SUFFIX       ".wwrsess"
#define DEFAULT_DIRECTORY "wwrsess"
enum {
  KEY_MAX = 128,
  NAME_SIZE = KEY_MAX + sizeof FILE_SUFFIX,
  FILE_MAX_BYTES = 1024 * 1024,
  STRIPES = 64
};

struct file_store {
  struct wwr_sessionstore base;
  struct wwri_filedir dir;
  struct wwr_log log;
  char *path; /* for the log */
  pthread_mutex_t stripes[STRIPES];
};

static struct file_store *from_base(struct wwr_sessionstore *base) {
  return (struct file_store *)(void *)base;
}

static bool is_key_char(uint8_t c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* The key's file name in `name` of NAME_SIZE bytes; false: no key of ours. */
static bool file_name(struct wwr_view key, char *name) {
  if (key.len == 0 || key.len > KEY_MAX) return false;
  for (size_t i = 0; i < key.len; i++) {
    if (!is_key_char(key.data[i])) return false;
  }
  memcpy(name, key.data, key.len);
  memcpy(name + key.len, FILE_SUFFIX, sizeof FILE_SUFFIX);
  return true;
}

static pthread_mutex_t *stripe_of(struct file_store *store,
                                  struct wwr_view key) {
  uint32_t hash = 2166136261U; /* FNV-1a: collisions only cost waiting */
  for (size_t i = 0; i < key.len; i++) {
    hash = (hash ^ key.data[i]) * 16777619U;
  }
  return &store->stripes[(hash ^ (hash >> 16)) % STRIPES];
}

static void log_errno(const struct wwr_log *log, const char *message,
                      const char *field, const char *value, int err) {
  char text[128];
  const char *reason = err == ESTALE ? "the directory was removed"
                                     : strerror_r(err, text, sizeof text);
  wwri_log(log, WWR_LOG_ERROR, 0, message, field, value, "reason", reason,
           NULL);
}

static wwr_err err_from_errno(int err) {
  return err == ENOMEM ? WWR_E_NOMEM : WWR_E_IO;
}

static wwr_err save(struct file_store *store, const char *name,
                    const struct wwr_session *session) {
  char *json;
  size_t len;
  wwr_err err = wwri_session_encode(session, false, &json, &len);
  if (err != WWR_OK) return err;
  /* What could not be read back must not be written. */
  int rc = len > FILE_MAX_BYTES
               ? EFBIG
               : wwri_filedir_write(&store->dir, name, json, len);
  free(json);
  if (rc == 0) return WWR_OK;
  /* Without the file's name: it is the key of a session in use. */
  log_errno(&store->log, "can't write a session file", "directory", store->path,
            rc);
  return rc == EFBIG && len > FILE_MAX_BYTES ? WWR_E_LIMIT : err_from_errno(rc);
}

static wwr_err create(struct file_store *store, struct wwr_session *session) {
  char name[NAME_SIZE];
  struct wwr_view key = wwr_view_str(wwr_session_key(session));
  if (!file_name(key, name)) {
    wwri_log(&store->log, WWR_LOG_ERROR, 0,
             "can't store a session: its key is not 1 to 128 characters of "
             "A-Z a-z 0-9 _ -",
             NULL);
    return WWR_E_INVALID;
  }
  pthread_mutex_t *stripe = stripe_of(store, key);
  pthread_mutex_lock(stripe);
  wwr_err err = save(store, name, session);
  pthread_mutex_unlock(stripe);
  return err;
}

static void created(struct wwr_sessionstore *base, struct wwr_conn *conn,
                    struct wwr_session *session, struct wwr_store_op *op) {
  (void)conn;
  wwr_store_op_done(op, create(from_base(base), session), NULL);
}

static wwr_err load(struct file_store *store, const char *name,
                    struct wwr_view key, struct wwr_session **out) {
  char *text;
  size_t len;
  int rc = wwri_filedir_read(&store->dir, name, FILE_MAX_BYTES, &text, &len);
  if (rc == ENOENT) return WWR_E_SESSION_NOT_FOUND;
  if (rc != 0) {
    log_errno(&store->log, "can't read a session file", "file", name, rc);
    return err_from_errno(rc);
  }
  struct wwr_view json = {(const uint8_t *)text, len};
  wwr_err err = wwri_session_decode(json, key, out);
  free(text);
  if (err != WWR_E_INVALID) return err;
  wwri_log(&store->log, WWR_LOG_ERROR, 0, "session file is damaged", "file",
           name, NULL);
  return WWR_E_IO;
}

/* Store the session as it is after this look-up. */
static wwr_err touch(struct file_store *store, const char *name,
                     const struct wwr_session *found) {
  struct wwr_session *next;
  wwr_err err = wwri_session_looked_up(found, wwri_unix_now_ns(), &next);
  if (err != WWR_OK) return err;
  err = save(store, name, next);
  wwr_session_unref(next);
  return err;
}

static wwr_err find(struct file_store *store, struct wwr_view key,
                    struct wwr_session **out) {
  char name[NAME_SIZE];
  if (!file_name(key, name)) return WWR_E_SESSION_NOT_FOUND;
  pthread_mutex_t *stripe = stripe_of(store, key);
  pthread_mutex_lock(stripe);
  wwr_err err = load(store, name, key, out);
  wwr_err touched = err == WWR_OK ? touch(store, name, *out) : WWR_OK;
  pthread_mutex_unlock(stripe);
  if (touched != WWR_OK) {
    wwri_log(&store->log, WWR_LOG_WARN, 0,
             "a session was restored but not its time of look-up", "error",
             wwr_err_name(touched), NULL);
  }
  return err;
}

static void lookup(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_op *op) {
  struct wwr_session *found = NULL;
  wwr_err err = find(from_base(base), key, &found);
  wwr_store_op_done(op, err, found);
}

static wwr_err forget(struct file_store *store, struct wwr_view key) {
  char name[NAME_SIZE];
  if (!file_name(key, name)) return WWR_OK;
  pthread_mutex_t *stripe = stripe_of(store, key);
  pthread_mutex_lock(stripe);
  int rc = wwri_filedir_remove(&store->dir, name);
  pthread_mutex_unlock(stripe);
  if (rc == 0 || rc == ENOENT) return WWR_OK;
  /* With its name: someone has to remove it by hand. */
  log_errno(&store->log, "can't remove a session file", "file", name, rc);
  return err_from_errno(rc);
}

static void closed(struct wwr_sessionstore *base, struct wwr_view key,
                   struct wwr_store_op *op) {
  wwr_store_op_done(op, forget(from_base(base), key), NULL);
}

static void destroy_stripes(struct file_store *store, size_t count) {
  while (count > 0) pthread_mutex_destroy(&store->stripes[--count]);
}

static void free_store(struct wwr_sessionstore *base) {
  struct file_store *store = from_base(base);
  destroy_stripes(store, STRIPES);
  wwri_filedir_close(&store->dir);
  free(store->path);
  free(store);
}

static const struct wwr_sessionstore_ops file_ops = {
    .created = created,
    .lookup = lookup,
    .closed = closed,
    .free = free_store,
    .blocking = true,
    .authority = NULL,
};

/* "wwrsess" beside the executable, to be freed with free(); 0 or an errno. */
static int default_path(char **out) {
  char path[PATH_MAX + sizeof DEFAULT_DIRECTORY];
  ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
  if (len < 0) return errno;
  while (len > 0 && path[len - 1] != '/') len--;
  memcpy(path + len, DEFAULT_DIRECTORY, sizeof DEFAULT_DIRECTORY);
  *out = strdup(path);
  return *out ? 0 : ENOMEM;
}

static int copy_path(const char *directory, char **out) {
  if (!directory) return default_path(out);
  *out = strdup(directory);
  return *out ? 0 : ENOMEM;
}

static int init_stripes(struct file_store *store) {
  for (size_t i = 0; i < STRIPES; i++) {
    int err = pthread_mutex_init(&store->stripes[i], NULL);
    if (err != 0) {
      destroy_stripes(store, i);
      return err;
    }
  }
  return 0;
}

static int open_store(struct file_store *store, const char *directory) {
  int err = copy_path(directory, &store->path);
  if (err == 0) err = init_stripes(store);
  if (err != 0) return err;
  err = wwri_filedir_open(&store->dir, store->path, &store->log);
  if (err != 0) destroy_stripes(store, STRIPES);
  return err;
}

wwr_err wwr_filestore_new(struct wwr_sessionstore **out, const char *directory,
                          const struct wwr_log *log) {
  *out = NULL;
  struct file_store *store = calloc(1, sizeof *store);
  if (!store) return WWR_E_NOMEM;
  store->base.ops = &file_ops;
  if (log) store->log = *log;
  int err = open_store(store, directory);
  if (err != 0) {
    log_errno(&store->log, "can't use the session directory", "directory",
              store->path ? store->path : directory, err);
    free(store->path);
    free(store);
    return err_from_errno(err);
  }
  *out = &store->base;
  return WWR_OK;
}
