#include "sessionstore_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_S = 20 };

struct fixture fx;

static wwr_err open_memory(struct wwr_sessionstore **out, const char *place,
                           const struct wwr_log *log) {
  (void)place;
  (void)log;
  return wwr_memorystore_new(out, 0);
}

static wwr_err open_file(struct wwr_sessionstore **out, const char *place,
                         const struct wwr_log *log) {
  return wwr_filestore_new(out, place, log);
}

const struct subject subject_memory = {"memory", false, open_memory};
const struct subject subject_file = {"file", true, open_file};

static void append(const char *text) {
  size_t used = strlen(fx.logged);
  snprintf(fx.logged + used, LOG_SIZE - used, "%s", text);
}

static void write_log(const struct wwr_log_record *record, void *user_data) {
  (void)user_data;
  pthread_mutex_lock(&fx.log_mutex);
  append(record->message);
  for (size_t i = 0; i < record->field_count; i++) {
    append(" ");
    append(record->fields[i].key);
    append("=");
    append(record->fields[i].value);
  }
  append("\n");
  pthread_mutex_unlock(&fx.log_mutex);
}

bool fixture_logged(const char *text) {
  pthread_mutex_lock(&fx.log_mutex);
  bool found = strstr(fx.logged, text) != NULL;
  pthread_mutex_unlock(&fx.log_mutex);
  return found;
}

void fixture_forget_log(void) {
  pthread_mutex_lock(&fx.log_mutex);
  fx.logged[0] = '\0';
  pthread_mutex_unlock(&fx.log_mutex);
}

void fixture_open(const struct subject *subject) {
  memset(&fx, 0, sizeof fx);
  fx.subject = subject;
  pthread_mutex_init(&fx.log_mutex, NULL);
  fx.log.write = write_log;
  fx.log.level = WWR_LOG_DEBUG;
  snprintf(fx.root, sizeof fx.root, "/tmp/wwr-store-XXXXXX");
  CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(fx.root));
  snprintf(fx.dir, sizeof fx.dir, "%s/sessions", fx.root);
  CU_ASSERT_EQUAL_FATAL(subject->open(&fx.store, fx.dir, &fx.log), WWR_OK);
}

static void free_store(void) {
  if (fx.store) fx.store->ops->free(fx.store);
  fx.store = NULL;
}

void fixture_reopen(void) {
  free_store();
  CU_ASSERT_EQUAL_FATAL(fx.subject->open(&fx.store, fx.dir, &fx.log), WWR_OK);
}

static int remove_entry(const char *path, const struct stat *st, int type,
                        struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  return remove(path);
}

void fixture_close(void) {
  free_store();
  nftw(fx.root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
  pthread_mutex_destroy(&fx.log_mutex);
}

/* An operation and the thread that waits for it. */
struct pending {
  struct wwr_store_op op;
  pthread_mutex_t mutex;
  pthread_cond_t done;
  struct answer answer;
};

static void on_done(struct wwr_store_op *op, wwr_err err,
                    struct wwr_session *session) {
  struct pending *pending = (struct pending *)(void *)op;
  pthread_mutex_lock(&pending->mutex);
  pending->answer.err = err;
  pending->answer.session = session;
  pending->answer.completions++;
  pthread_cond_signal(&pending->done);
  pthread_mutex_unlock(&pending->mutex);
}

static void begin(struct pending *pending) {
  memset(pending, 0, sizeof *pending);
  pending->op.done = on_done;
  pthread_mutex_init(&pending->mutex, NULL);
  pthread_cond_init(&pending->done, NULL);
}

static struct answer finish(struct pending *pending) {
  struct timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_sec += DEADLINE_S;
  int rc = 0;
  pthread_mutex_lock(&pending->mutex);
  while (pending->answer.completions == 0 && rc == 0) {
    rc = pthread_cond_timedwait(&pending->done, &pending->mutex, &deadline);
  }
  struct answer answer = pending->answer;
  pthread_mutex_unlock(&pending->mutex);
  if (rc != 0) abort(); /* `pending` may still be in use */
  pthread_cond_destroy(&pending->done);
  pthread_mutex_destroy(&pending->mutex);
  return answer;
}

struct answer do_create(struct wwr_session *session) {
  struct pending pending;
  begin(&pending);
  fx.store->ops->created(fx.store, NULL, session, &pending.op);
  return finish(&pending);
}

struct answer do_lookup(struct wwr_view key) {
  struct pending pending;
  begin(&pending);
  fx.store->ops->lookup(fx.store, key, &pending.op);
  return finish(&pending);
}

struct answer do_close(struct wwr_view key) {
  struct pending pending;
  begin(&pending);
  fx.store->ops->closed(fx.store, key, &pending.op);
  return finish(&pending);
}

int64_t seconds_ns(int64_t seconds) {
  return seconds * 1000000000;
}

struct wwr_session *new_session(const char *key, const char *info) {
  struct wwr_session *session = NULL;
  CU_ASSERT_EQUAL_FATAL(
      wwr_session_new(&session, wwr_view_str(key), seconds_ns(CREATED_S) + 5,
                      seconds_ns(CREATED_S + 1), info),
      WWR_OK);
  return session;
}

wwr_err create_key(const char *key, const char *info) {
  struct wwr_session *session = new_session(key, info);
  struct answer answer = do_create(session);
  wwr_session_unref(session);
  CU_ASSERT_EQUAL(answer.completions, 1);
  CU_ASSERT_PTR_NULL(answer.session);
  return answer.err;
}

struct wwr_session *find_key(const char *key) {
  struct answer answer = do_lookup(wwr_view_str(key));
  CU_ASSERT_EQUAL(answer.completions, 1);
  CU_ASSERT_EQUAL(answer.err == WWR_OK, answer.session != NULL);
  return answer.session;
}

wwr_err lookup_key(const char *key) {
  struct answer answer = do_lookup(wwr_view_str(key));
  CU_ASSERT_EQUAL(answer.completions, 1);
  CU_ASSERT_EQUAL(answer.err == WWR_OK, answer.session != NULL);
  wwr_session_unref(answer.session);
  return answer.err;
}

wwr_err close_key(const char *key) {
  struct answer answer = do_close(wwr_view_str(key));
  CU_ASSERT_EQUAL(answer.completions, 1);
  CU_ASSERT_PTR_NULL(answer.session);
  return answer.err;
}

static int open_in_root(const char *path, int flags) {
  char full[PATH_SIZE * 2];
  snprintf(full, sizeof full, "%s/%s", fx.root, path);
  return open(full, flags | O_CLOEXEC, 0600);
}

void put_file(const char *path, const char *bytes, size_t len) {
  int fd = open_in_root(path, O_WRONLY | O_CREAT | O_TRUNC);
  CU_ASSERT_FATAL(fd >= 0);
  CU_ASSERT_EQUAL(write(fd, bytes, len), (ssize_t)len);
  close(fd);
}

size_t get_file(const char *path, char *bytes, size_t cap) {
  int fd = open_in_root(path, O_RDONLY);
  CU_ASSERT_FATAL(fd >= 0);
  ssize_t len = read(fd, bytes, cap - 1);
  close(fd);
  CU_ASSERT_FATAL(len >= 0);
  bytes[len] = '\0';
  return (size_t)len;
}

bool file_exists(const char *path) {
  char full[PATH_SIZE * 2];
  struct stat st;
  snprintf(full, sizeof full, "%s/%s", fx.root, path);
  return lstat(full, &st) == 0;
}

static int not_dots(const struct dirent *entry) {
  return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

const char *listing(void) {
  static char names[LOG_SIZE];
  struct dirent **entries;
  names[0] = '\0';
  int count = scandir(fx.dir, &entries, not_dots, alphasort);
  if (count < 0) return names;
  for (int i = 0; i < count; i++) {
    size_t used = strlen(names);
    snprintf(names + used, sizeof names - used, "%s ", entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
  return names;
}
