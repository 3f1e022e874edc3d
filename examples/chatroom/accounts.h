/* accounts.h - who may log in: names and passwords. */
#ifndef CHATROOM_ACCOUNTS_H
#define CHATROOM_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>

struct account {
  const char *name;
  const char *pass;
  unsigned line;
};

/** Immutable once loaded, so any thread may look. */
struct accounts {
  char *text; /* names and passwords point into it */
  struct account *list;
  size_t count;
};

enum account_verdict { ACCOUNT_GOOD, ACCOUNT_UNKNOWN, ACCOUNT_WRONG_PASSWORD };

/** Load "name:password" lines from a file, or the demonstration accounts when
 * `file` is NULL. The password may hold colons; empty lines are skipped. False
 * when something is wrong: `reason` then says what, and in which line. Release
 * with accounts_deinit() in any case. */
bool accounts_load(struct accounts *accounts, const char *file, char *reason,
                   size_t reason_cap);

/** Check a name and a password. How long that takes does not tell how much of
 * the password was right. */
enum account_verdict accounts_check(const struct accounts *accounts,
                                    const char *name, size_t name_len,
                                    const char *pass, size_t pass_len);

void accounts_deinit(struct accounts *accounts);

#endif
