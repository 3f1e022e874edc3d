/* TLS of the server. lws makes the SSL_CTX of its vhost; what is in it comes
 * from here, so that a new certificate can be put in place the same way. */
#include <openssl/err.h>
#include <openssl/pemerr.h>
#include <openssl/ssl.h>
#include <openssl/x509err.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

enum { WHY_MAX = 512 };

static struct wwr_tls_server view_of(const struct wwri_ws_tls *tls) {
  return (struct wwr_tls_server){.cert_file = tls->cert_file,
                                 .key_file = tls->key_file,
                                 .min_version = tls->min_version,
                                 .ciphers = tls->ciphers,
                                 .ciphersuites = tls->ciphersuites,
                                 .curves = tls->curves};
}

struct wwri_ws_certificate {
  SSL_CTX *holder; /* its chain and key are taken over from here */
};

/* A key with a passphrase is refused, as nobody may be there to be asked. */
static int refuse_passphrase(char *out, int size, int writing, void *asked) {
  (void)out, (void)size, (void)writing;
  if (asked) *(bool *)asked = true;
  return 0;
}

static wwr_err set_files(SSL_CTX *ctx, const struct wwr_tls_server *tls,
                         bool *has_cert, bool *asked) {
  *has_cert = *asked = false;
  if (SSL_CTX_use_certificate_chain_file(ctx, tls->cert_file) != 1) {
    return WWR_E_TLS;
  }
  *has_cert = true;
  SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
  SSL_CTX_set_default_passwd_cb_userdata(ctx, asked);
  int done = SSL_CTX_use_PrivateKey_file(ctx, tls->key_file, SSL_FILETYPE_PEM);
  SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
  return done == 1 && SSL_CTX_check_private_key(ctx) == 1 ? WWR_OK : WWR_E_TLS;
}

/* What OpenSSL's first error says of a file, for people. */
static const char *reason_of(unsigned long error, bool asked,
                             const char *nothing) {
  int reason = ERR_GET_REASON(error);
  bool x509 = ERR_GET_LIB(error) == ERR_LIB_X509;
  if (asked) return "has a passphrase, which must be taken off";
  if (ERR_GET_LIB(error) == ERR_LIB_SYS) return strerror(reason);
  if (x509 && (reason == X509_R_KEY_VALUES_MISMATCH ||
               reason == X509_R_KEY_TYPE_MISMATCH)) {
    return "is not the key of the certificate";
  }
  if (ERR_GET_LIB(error) == ERR_LIB_PEM && reason == PEM_R_NO_START_LINE) {
    return nothing;
  }
#ifdef ERR_LIB_OSSL_DECODER
  if (ERR_GET_LIB(error) == ERR_LIB_OSSL_DECODER) return nothing;
#endif
  const char *text = ERR_reason_error_string(error);
  return text ? text : "can't be used";
}

/* Read the pair. WWR_E_TLS: `why` names the file and what is wrong with it. */
static wwr_err read_pair(SSL_CTX *ctx, const struct wwr_tls_server *tls,
                         char why[WHY_MAX]) {
  bool has_cert, asked;
  wwr_err err = set_files(ctx, tls, &has_cert, &asked);
  if (!err) return WWR_OK;
  snprintf(why, WHY_MAX, "%s: %s", has_cert ? tls->key_file : tls->cert_file,
           reason_of(ERR_peek_error(), asked,
                     has_cert ? "holds no private key (PEM)"
                              : "holds no certificate (PEM)"));
  return err;
}

/* Also a clock may be wrong, so it is used all the same. */
static void say_expired(const SSL_CTX *ctx, const struct wwr_tls_server *tls,
                        const struct wwr_log *log) {
  const X509 *leaf = SSL_CTX_get0_certificate(ctx);
  bool early = leaf && X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0;
  bool late = leaf && X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0;
  if (!early && !late) return;
  wwri_log(log, WWR_LOG_WARN, 0,
           late ? "the certificate has expired, clients will refuse it"
                : "the certificate is not valid yet, clients will refuse it",
           "cert", tls->cert_file, NULL);
}

static wwr_err set_protocol(SSL_CTX *ctx, const struct wwr_tls_server *tls) {
  bool only_13 = tls->min_version && strcmp(tls->min_version, "1.3") == 0;
  int min = only_13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (SSL_CTX_set_min_proto_version(ctx, min) != 1) return WWR_E_TLS;
  if (tls->ciphers && SSL_CTX_set_cipher_list(ctx, tls->ciphers) != 1) {
    return WWR_E_TLS;
  }
  if (tls->ciphersuites &&
      SSL_CTX_set_ciphersuites(ctx, tls->ciphersuites) != 1) {
    return WWR_E_TLS;
  }
  if (tls->curves && SSL_CTX_set1_curves_list(ctx, tls->curves) != 1) {
    return WWR_E_TLS;
  }
  /* Fewer bytes for an idle connection. */
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
  return WWR_OK;
}

wwr_err wwri_ws_tls_apply(void *ssl_ctx, const struct wwri_ws_tls *tls) {
  ERR_clear_error();
  const struct wwr_tls_server files = view_of(tls);
  bool has_cert, asked;
  wwr_err err = set_protocol(ssl_ctx, &files);
  if (!err) err = set_files(ssl_ctx, &files, &has_cert, &asked);
  ERR_clear_error();
  return err;
}

/* All of it, in a context of its own. */
static wwr_err try_out(const struct wwr_tls_server *tls,
                       const struct wwr_log *log, char why[WHY_MAX]) {
  ERR_clear_error();
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  snprintf(why, WHY_MAX, "out of memory");
  if (!ctx) return WWR_E_TLS;
  wwr_err err = set_protocol(ctx, tls);
  if (err) {
    const char *text = ERR_reason_error_string(ERR_peek_error());
    snprintf(why, WHY_MAX, "ciphers, ciphersuites or curves: %s",
             text ? text : "unknown");
  } else {
    err = read_pair(ctx, tls, why);
  }
  if (!err && log) say_expired(ctx, tls, log);
  SSL_CTX_free(ctx);
  ERR_clear_error();
  return err;
}

wwr_err wwri_ws_tls_check(const struct wwri_ws_tls *tls,
                          const struct wwr_log *log) {
  const struct wwr_tls_server files = view_of(tls);
  char why[WHY_MAX];
  wwr_err err = try_out(&files, log, why);
  if (err) {
    wwri_log(log, WWR_LOG_ERROR, 0, "TLS is not usable", "why", why, NULL);
  }
  return err;
}

wwr_err wwr_websocket_check_tls(const struct wwr_tls_server *tls, char *why,
                                size_t cap) {
  char text[WHY_MAX];
  const char *bad = wwri_ws_tls_wrong(tls);
  if (bad) {
    snprintf(why, cap, "%s: missing, or wrong", bad);
    return WWR_E_INVALID;
  }
  wwr_err err = try_out(tls, NULL, text);
  if (err) snprintf(why, cap, "%s", text);
  return err;
}

wwr_err wwri_ws_certificate_load(struct wwri_ws_certificate **out,
                                 const struct wwri_ws_tls *tls,
                                 const struct wwr_log *log) {
  struct wwri_ws_certificate *certificate = malloc(sizeof(*certificate));
  if (!certificate) return WWR_E_TLS;
  const struct wwr_tls_server files = view_of(tls);
  char why[WHY_MAX] = "out of memory";
  certificate->holder = SSL_CTX_new(TLS_server_method());
  ERR_clear_error();
  if (!certificate->holder || read_pair(certificate->holder, &files, why)) {
    wwri_log(log, WWR_LOG_ERROR, 0, "the certificate can't be used", "why", why,
             NULL);
    ERR_clear_error();
    wwri_ws_certificate_free(certificate);
    return WWR_E_TLS;
  }
  say_expired(certificate->holder, &files, log);
  *out = certificate;
  return WWR_OK;
}

wwr_err wwri_ws_certificate_use(const struct wwri_ws_certificate *certificate,
                                void *ssl_ctx) {
  STACK_OF(X509) *chain = NULL;
  X509 *leaf = SSL_CTX_get0_certificate(certificate->holder);
  EVP_PKEY *key = SSL_CTX_get0_privatekey(certificate->holder);
  SSL_CTX_get0_chain_certs(certificate->holder, &chain);
  ERR_clear_error();
  /* All three at once, or nothing changes. */
  int done = SSL_CTX_use_cert_and_key(ssl_ctx, leaf, key, chain, 1);
  ERR_clear_error();
  return done == 1 ? WWR_OK : WWR_E_TLS;
}

void wwri_ws_certificate_free(struct wwri_ws_certificate *certificate) {
  if (!certificate) return;
  SSL_CTX_free(certificate->holder);
  free(certificate);
}
