/* wwr_err.h - every error the library returns: one list makes the enum, the
 * names and the texts. The names follow PROTOCOL.md ("Client").
 *
 * Which errors end something: WWR_E_PROTOCOL received from a peer ends that
 * connection. No error ends the server or the client object. */
#ifndef WWR_ERR_H
#define WWR_ERR_H

#include "wwr_base.h"

/* X(name, value, text). Values are part of the ABI: append, never renumber. */
#define WWR_ERR_MAP(X)                                                        \
  X(NOMEM, 1, "out of memory")                                                \
  X(INVALID, 2, "invalid argument or option")                                 \
  X(IO, 3, "input or output failed")                                          \
  X(CLOSED, 4, "the object is closed")                                        \
  X(WRONG_THREAD, 5, "a blocking call was made on an I/O thread")             \
  X(EXISTS, 6, "it exists already")                                           \
  X(LIMIT, 7, "a configured limit was reached")                               \
  X(CANCELED, 20, "canceled by the caller")                                   \
  X(DEADLINE, 21, "the caller's deadline was exceeded")                       \
  X(TIMEOUT, 22, "the default timeout was exceeded")                          \
  X(DISCONNECTED, 23, "not connected")                                        \
  X(DIAL_TIMEOUT, 24, "connecting took too long")                             \
  X(INCOMPATIBLE_VERSION, 25, "the server speaks another protocol version")   \
  X(SUBPROTOCOL_MISMATCH, 26, "the server speaks another sub-protocol")       \
  X(INTERNAL, 27, "internal error")                                           \
  X(MAX_SESSION_CONNS, 28, "the session has its maximum of connections")      \
  X(PROTOCOL, 29, "the message violates the protocol")                        \
  X(REQUEST, 30, "the request was answered with an error")                    \
  X(SHUTDOWN, 31, "the server is shutting down")                              \
  X(SESSION_NOT_FOUND, 32, "no such session")                                 \
  X(SESSIONS_DISABLED, 33, "sessions are disabled")                           \
  X(TRANSMISSION, 34, "the message could not be sent")                        \
  X(BUFFER_OVERFLOW, 35, "the message exceeds the message buffer size")       \
  X(SESSION_ACTIVE, 36, "the connection already has a session")               \
  X(REFUSED, 37, "the server refused the connection")                         \
  X(SLOW_CONSUMER, 38, "the peer reads too slowly")                           \
  X(TLS, 39, "the TLS handshake or certificate check failed")

/** Result of most calls. WWR_OK is zero and the only success. */
typedef enum wwr_err {
  WWR_OK = 0,
#define X(name, value, text) WWR_E_##name = value,
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
