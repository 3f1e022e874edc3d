/* sessionstore_fixture.h - what the suites over session stores share: the
 * subject under test in a directory of its own, operations made synchronous
 * with a deadline, and what the store logged. */
#ifndef SESSIONSTORE_FIXTURE_H
#define SESSIONSTORE_FIXTURE_H

#include <pthread.h>

#include "test.h"
#include "wwr_stores.h"

/* One implementation. To join the contract, add a row. */
struct subject {
  const char *name;
  bool persistent; /* sessions survive the store object */
  /* `place` is an existing directory of the test's own. */
  wwr_err (*open)(struct wwr_sessionstore **out, const char *place,
                  const struct wwr_log *log);
};
extern const struct subject subject_memory;
extern const struct subject subject_file;

enum { LOG_SIZE = 4096, PATH_SIZE = 256 };

struct fixture {
  const struct subject *subject;
  struct wwr_sessionstore *store;
  char root[64];       /* temporary; removed with everything in it */
  char dir[PATH_SIZE]; /* root/sessions, the file store's */
  struct wwr_log log;
  pthread_mutex_t log_mutex;
  char logged[LOG_SIZE]; /* "message key=value ...\n" */
};

/* The store under test; CUnit's tests take no argument. */
extern struct fixture fx;

void fixture_open(const struct subject *subject);
void fixture_close(void);
/* Another store object over the same place. */
void fixture_reopen(void);
bool fixture_logged(const char *text);
void fixture_forget_log(void);

/* One operation; `session` is the answer's reference. */
struct answer {
  wwr_err err;
  int completions;
  struct wwr_session *session;
};
struct answer do_create(struct wwr_session *session);
struct answer do_lookup(struct wwr_view key);
struct answer do_close(struct wwr_view key);

/* Operations with a C string as key; assert that they completed once. */
wwr_err create_key(const char *key, const char *info);
wwr_err lookup_key(const char *key);
wwr_err close_key(const char *key);
/* The found session, or NULL. */
struct wwr_session *find_key(const char *key);

/* Created in 2017, last looked up a second later. */
enum { CREATED_S = 1508604613 };
struct wwr_session *new_session(const char *key, const char *info);
int64_t seconds_ns(int64_t seconds);

/* Files, relative to root. */
void put_file(const char *path, const char *bytes, size_t len);
size_t get_file(const char *path, char *bytes, size_t cap);
bool file_exists(const char *path);
/* The names in the store's directory, sorted, each followed by a blank. */
const char *listing(void);

#endif
