/* wwr_err.h - every error the library returns: one list makes the enum, the
 * names and the texts. The names follow docs/protocol.md ("Client").
 *
 * Which errors end something: WWR_E_PROTOCOL received from a peer ends that
 * connection. No error ends the server or the client object. */
#ifndef WWR_ERR_H
#define WWR_ERR_H

#include "wwr_base.h"

/* X(NAME, value, name, text). Values are part of the ABI: append, never
 * renumber. */
#define WWR_ERR_MAP(X)                                                   \
  X(NOMEM, 1, "nomem", "out of memory")                                  \
  X(INVALID, 2, "invalid", "invalid argument or option")                 \
  X(IO, 3, "io", "input or output failed")                               \
  X(CLOSED, 4, "closed", "the object is closed")                         \
  X(WRONG_THREAD, 5, "wrong-thread",                                     \
    "a blocking call was made on an I/O thread")                         \
  X(EXISTS, 6, "exists", "it exists already")                            \
  X(LIMIT, 7, "limit", "a configured limit was reached")                 \
  X(CANCELED, 20, "canceled", "canceled by the caller")                  \
  X(DEADLINE, 21, "deadline", "the caller's deadline was exceeded")      \
  X(TIMEOUT, 22, "timeout", "the default timeout was exceeded")          \
  X(DISCONNECTED, 23, "disconnected", "not connected")                   \
  X(DIAL_TIMEOUT, 24, "dial-timeout", "connecting took too long")        \
  X(INCOMPATIBLE_VERSION, 25, "incompatible-version",                    \
    "the server speaks another protocol version")                        \
  X(SUBPROTOCOL_MISMATCH, 26, "subprotocol-mismatch",                    \
    "the server speaks another sub-protocol")                            \
  X(INTERNAL, 27, "internal", "internal error")                          \
  X(MAX_SESSION_CONNS, 28, "max-session-conns",                          \
    "the session has its maximum of connections")                        \
  X(PROTOCOL, 29, "protocol", "the message violates the protocol")       \
  X(REQUEST, 30, "request", "the request was answered with an error")    \
  X(SHUTDOWN, 31, "shutdown", "the server is shutting down")             \
  X(SESSION_NOT_FOUND, 32, "session-not-found", "no such session")       \
  X(SESSIONS_DISABLED, 33, "sessions-disabled", "sessions are disabled") \
  X(TRANSMISSION, 34, "transmission", "the message could not be sent")   \
  X(BUFFER_OVERFLOW, 35, "buffer-overflow",                              \
    "the message exceeds the message buffer size")                       \
  X(SESSION_ACTIVE, 36, "session-active",                                \
    "the connection already has a session")                              \
  X(REFUSED, 37, "refused", "the server refused the connection")         \
  X(SLOW_CONSUMER, 38, "slow-consumer", "the peer reads too slowly")     \
  X(TLS, 39, "tls", "the TLS handshake or certificate check failed")     \
  X(UNAVAILABLE, 40, "unavailable", "the cluster can't be reached now")  \
  X(NOT_FOUND, 41, "not-found", "there is no such thing")

/** Result of most calls. WWR_OK is zero and the only success. */
typedef enum wwr_err {
  WWR_OK = 0,
#define X(NAME, value, name, text) WWR_E_##NAME = value,
  WWR_ERR_MAP(X)
#undef X
} wwr_err;

#ifdef __cplusplus
extern "C" {
#endif

/** The error's name as a program would log it: "ok", "disconnected",
 * "max-session-conns", ...; "unknown" for a value that is none. Static. */
WWR_API const char *wwr_err_name(wwr_err err);

/** One English sentence without a full stop. Static. */
WWR_API const char *wwr_err_text(wwr_err err);

/** True for the three ways of running out of time: WWR_E_TIMEOUT (the default
 * timeout), WWR_E_DEADLINE (the caller's own) and WWR_E_DIAL_TIMEOUT. */
WWR_API bool wwr_err_is_timeout(wwr_err err);

#ifdef __cplusplus
}
#endif
#endif /* WWR_ERR_H */
