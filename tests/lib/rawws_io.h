/* rawws_io.h - what the three files of rawws share. */
#ifndef WWR_TEST_RAWWS_IO_H
#define WWR_TEST_RAWWS_IO_H

#include "rawws.h"

#include <openssl/ssl.h>

struct rawws {
  int fd;
  SSL_CTX *tls_context; /* NULL without TLS */
  SSL *tls;
  uint8_t *in; /* received: consumed up to in_pos, filled up to in_len */
  size_t in_cap;
  size_t in_len;
  size_t in_pos;
  char *head;       /* the last HTTP answer's head, NUL-terminated */
  uint8_t *message; /* the fragments of the message that is being received */
  size_t message_len;
  enum rawws_opcode message_opcode; /* 0: none has begun */
  uint16_t close_code;
  bool answer_pings;
};

/** The monotonic clock. */
int64_t rawws_now_ms(void);

/** Wait until `need` bytes are buffered from in_pos on, which may move. */
enum rawws_result rawws_fill(struct rawws *ws, size_t need, int64_t deadline);

#endif
