/* tls.h - TLS on a link's socket, for wss://. */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tls;
struct tls_link;

/** What connections have in common; `ca_file` may be NULL. NULL after a
 * complaint. */
struct tls *tls_new(const char *ca_file, bool insecure);
void tls_free(struct tls *tls);

/** TLS on a connected socket, which stays the caller's. NULL without memory. */
struct tls_link *tls_link_new(struct tls *tls, int fd, const char *host);
void tls_link_free(struct tls_link *link);

/** Go on with the handshake: 1 it is done, 0 it waits for the peer, -1 it
 * failed. *out is set when it waits to write. */
int tls_handshake(struct tls_link *link, bool *out);

/** As recv() and send(): -1 with errno EAGAIN when it must wait, or EPROTO; 0
 * at the end. */
ssize_t tls_recv(struct tls_link *link, void *to, size_t cap);
ssize_t tls_send(struct tls_link *link, const void *from, size_t len);

/** Why the handshake failed; static. */
const char *tls_problem(const struct tls_link *link);

#endif
