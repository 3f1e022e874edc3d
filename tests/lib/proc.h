/* proc.h - programs under test: start, read what they print, signal, wait,
 * and never leave one behind.
 *
 * A program dies with the thread that started it (so start it on the main
 * one), also when the test itself is killed by its time limit. */
#ifndef WWR_TEST_PROC_H
#define WWR_TEST_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc; /* opaque; freed by proc_free() */

enum proc_stream { PROC_STDOUT, PROC_STDERR };

/** Start argv[0] (looked up in PATH without a slash) with these arguments,
 * ended by NULL. stdin is a pipe. NULL when it can't be started, the reason on
 * stderr. */
struct proc *proc_start(const char *const argv[]);

/** The same, but what it prints is appended to a file, both streams as they
 * come; the functions that look at output know nothing of it. stdin is empty.
 */
struct proc *proc_start_logged(const char *const argv[], const char *path);

/** Kill it if it still runs, wait for it, free. NULL does nothing. */
void proc_free(struct proc *proc);

pid_t proc_pid(const struct proc *proc);

/** Wait for a line that begins with `prefix`, the first of its kind on that
 * stream, and copy it without its end to `line` (may be NULL). False when none
 * comes in time or the stream ends; then all that was printed goes to stderr.
 */
bool proc_wait_line(struct proc *proc, enum proc_stream stream,
                    const char *prefix, int timeout_ms, char *line, size_t cap);

/** Wait for "listening on SCHEME://HOST:PORT" on stdout; the port, or 0. */
uint16_t proc_wait_listening(struct proc *proc, int timeout_ms);

/** Everything printed so far, to free() by the caller; NULL without memory. */
char *proc_output(struct proc *proc, enum proc_stream stream);

/** Write to its stdin. False when it reads no more. */
bool proc_write(struct proc *proc, const char *text);

/** End its stdin. */
void proc_close_stdin(struct proc *proc);

/** Send a signal. False when it has ended. After SIGSTOP it stands still. */
bool proc_signal(struct proc *proc, int signal);

/** Wait for its end: the exit status, 128 + the signal that killed it, or -1
 * when it still runs. Output is complete afterwards. */
int proc_wait_exit(struct proc *proc, int timeout_ms);

/** CPU time of all threads of a process in microseconds; 0 when unknown. */
uint64_t proc_cpu_us(pid_t pid);

/** Resident memory in bytes; 0 when unknown. */
uint64_t proc_rss_bytes(pid_t pid);

#endif
