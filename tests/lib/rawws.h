/* rawws.h - a WebSocket client that does exactly what a test tells it to, the
 * forbidden included, and shares no code with the library under test.
 *
 * One thread per client. Every call that waits has a deadline: its own
 * `timeout_ms`, or the 5 s default of what writes. What is received is borrowed
 * and valid until the next receiving call on the same client. */
#ifndef WWR_TEST_RAWWS_H
#define WWR_TEST_RAWWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rawws; /* opaque; freed by rawws_free() */

enum rawws_opcode {
  RAWWS_CONTINUATION = 0,
  RAWWS_TEXT = 1,
  RAWWS_BINARY = 2,
  RAWWS_CLOSE = 8,
  RAWWS_PING = 9,
  RAWWS_PONG = 10
};

/** How receiving ended. */
enum rawws_result {
  RAWWS_OK,      /**< Something arrived. */
  RAWWS_CLOSED,  /**< A close frame arrived (rawws_recv_message() only). */
  RAWWS_EOF,     /**< The peer closed the socket without another frame. */
  RAWWS_RESET,   /**< The connection broke. */
  RAWWS_TIMEOUT, /**< Nothing (complete) arrived in time; try again. */
  RAWWS_BROKEN   /**< The peer sent what no server may send. */
};

/* --- Connecting --------------------------------------------------------- */

/** All optional but the port; borrowed during rawws_dial() only. */
struct rawws_opts {
  const char *host;   /**< An address; default 127.0.0.1. */
  uint16_t port;      /**< Required. */
  bool tls;           /**< TLS from the first byte. */
  const char *ca;     /**< Check the certificate against this file; NULL takes
                           any. */
  int tls_max;        /**< Highest TLS version, as TLS1_1_VERSION; 0: any. */
  const char *alpn;   /**< One protocol to offer, or NULL. */
  int receive_buffer; /**< Small SO_RCVBUF, for slow readers; 0: default. */
  const char *source; /**< Local address to connect from, or NULL. */
};

/** Connect the socket (and TLS); nothing is sent on it yet. NULL on failure,
 * the reason on stderr. */
struct rawws *rawws_dial(const struct rawws_opts *opts);

/** Dial 127.0.0.1:port and upgrade on "/"; NULL unless the answer was 101. */
struct rawws *rawws_open(uint16_t port);

/** Close the socket without ceremony, and free. NULL does nothing. */
void rawws_free(struct rawws *ws);

/** Close the socket so that the peer gets a reset, and free. */
void rawws_reset(struct rawws *ws);

/** Send FIN and go on reading. */
void rawws_shutdown_write(struct rawws *ws);

/** The socket, for what is not foreseen here. Borrowed. */
int rawws_fd(const struct rawws *ws);

/* --- HTTP --------------------------------------------------------------- */

/** An upgrade request; all optional. A header named in `headers` is not sent
 * twice. */
struct rawws_request {
  const char *method;  /**< Default GET. */
  const char *path;    /**< Default "/". */
  const char *headers; /**< More header lines, each ended by "\r\n". */
  bool bare;           /**< Only the request line, Host and `headers`. */
};

/** Send the request and read the answer's head: its status, or -1 when none
 * came in time or it is no HTTP. With 101 the Sec-WebSocket-Accept header must
 * be right, else -1. `request` may be NULL. */
int rawws_upgrade(struct rawws *ws, const struct rawws_request *request);

/** Read the head of an answer to what was sent by rawws_write(); as above but
 * without the check. */
int rawws_read_answer(struct rawws *ws);

/** A header of the last answer, or NULL. The name in any case. Valid until the
 * next call on this client. */
const char *rawws_header(struct rawws *ws, const char *name);

/** The body of the last answer as text: up to Content-Length bytes, or until
 * EOF without one. NULL when it did not come in time. Valid as above. */
const char *rawws_body(struct rawws *ws, int timeout_ms);

/* --- Sending ------------------------------------------------------------ */
/* False when not all was written in 5 s or the connection broke. */

/** One frame in every detail. */
struct rawws_frame {
  enum rawws_opcode opcode;
  bool more;        /**< FIN is not set: fragments follow. */
  uint8_t rsv;      /**< The three reserved bits, 0..7. */
  bool unmasked;    /**< Break the rule that clients mask. */
  uint8_t mask[4];  /**< Used as it is; zero is a valid mask. */
  int length_bytes; /**< Force a length field of 2 or 8 bytes; 0: the
                         shortest that fits. */
  bool lie;         /**< Announce `declared` instead of `len`. */
  uint64_t declared;
  const void *payload; /**< May be NULL when len is 0. */
  size_t len;
};

bool rawws_send_frame(struct rawws *ws, const struct rawws_frame *frame);

/** Encode without sending: the size needed; writes only if it fits `cap`. */
size_t rawws_encode(const struct rawws_frame *frame, uint8_t *out, size_t cap);

/** One masked binary message in one frame. */
bool rawws_send(struct rawws *ws, const void *payload, size_t len);

/** One masked binary message in frames of `piece` bytes; piece >= 1. */
bool rawws_send_pieces(struct rawws *ws, const void *payload, size_t len,
                       size_t piece);

/** A close frame; code 0 sends one without a code. */
bool rawws_send_close(struct rawws *ws, uint16_t code);

/** Any bytes. */
bool rawws_write(struct rawws *ws, const void *data, size_t len);

/** Any bytes, each in a write (and usually a packet) of its own. */
bool rawws_write_bytewise(struct rawws *ws, const void *data, size_t len);

/* --- Receiving ---------------------------------------------------------- */

/** What arrived: a frame, or a message put together from frames. */
struct rawws_message {
  enum rawws_opcode opcode;
  bool fin;
  const uint8_t *payload;
  size_t len;
};

/** Whether rawws_recv_message() and the expectations answer pings; true at
 * first. */
void rawws_answer_pings(struct rawws *ws, bool answer);

/** The next frame, whatever it is. */
enum rawws_result rawws_recv(struct rawws *ws, struct rawws_message *out,
                             int timeout_ms);

/** The next whole text or binary message. Pings are answered, pongs skipped;
 * RAWWS_CLOSED when a close frame came first. */
enum rawws_result rawws_recv_message(struct rawws *ws,
                                     struct rawws_message *out, int timeout_ms);

/** The code of the close frame that arrived last: 1005 for one without a code,
 * 0 when none has arrived. */
uint16_t rawws_close_code(const struct rawws *ws);

/** True when the next message is binary and these bytes; else what came instead
 * is written to stderr. */
bool rawws_expect(struct rawws *ws, const void *payload, size_t len,
                  int timeout_ms);

/** True when nothing but pings and pongs arrives for `quiet_ms`. */
bool rawws_expect_silence(struct rawws *ws, int quiet_ms);

/** Skip messages until the connection ends. The close code, 1006 when it ended
 * without a close frame, -1 when it did not end in time. A close frame counts
 * only together with the end of the socket, which must follow in time; the
 * client answers it first. */
int rawws_expect_end(struct rawws *ws, int timeout_ms);

#endif
