/* wwr_payload.h - what a message carries: a name, and bytes in one of three
 * encodings (docs/protocol.md, "Bytes"). */
#ifndef WWR_PAYLOAD_H
#define WWR_PAYLOAD_H

#include "wwr_err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum wwr_encoding {
  WWR_BINARY, /**< Any bytes. */
  WWR_UTF8,   /**< UTF-8; receivers do not validate it. */
  WWR_UTF16   /**< UTF-16, little-endian, no byte order mark, even length. */
};

/** Bytes and how to read them; borrows the bytes. */
struct wwr_payload {
  enum wwr_encoding encoding;
  struct wwr_view data;
};

/** A named payload, as handlers and signal hooks see it. Borrowed bytes, valid
 * until the hook returns. Name bytes of a peer are not validated. */
struct wwr_message {
  struct wwr_view name; /**< 0 to 255 bytes. */
  struct wwr_payload payload;
};

/** Payload of the UTF-8 text of a C string (NULL: empty). Borrows it. */
WWR_API struct wwr_payload wwr_payload_text(const char *text);

/** Payload of binary bytes. Borrows them. */
WWR_API struct wwr_payload wwr_payload_binary(const void *data, size_t len);

/** Convert a payload to UTF-8 text that is always valid UTF-8.
 *
 * UTF-16 handles surrogate pairs, and a lone surrogate becomes U+FFFD; in
 * binary and UTF-8 payloads each invalid byte becomes U+FFFD. *out is a
 * NUL-terminated copy to free with wwr_free(); *out_len (may be NULL) is its
 * length without the NUL, which can differ from strlen() when the payload
 * holds NULs.
 * Errors: WWR_E_PROTOCOL (UTF-16 of odd length), WWR_E_NOMEM; *out is NULL. */
WWR_API WWR_MUST_CHECK wwr_err wwr_payload_to_utf8(
    const struct wwr_payload *payload, char **out, size_t *out_len);

#ifdef __cplusplus
}
#endif
#endif /* WWR_PAYLOAD_H */
