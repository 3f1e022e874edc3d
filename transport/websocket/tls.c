/* TLS of the server. lws makes the SSL_CTX of its vhost; what is in it comes
 * from here, so that a new certificate can be put in place the same way. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

struct wwri_ws_certificate {
  SSL_CTX *holder; /* its chain and key are taken over from here */
};

static wwr_err set_files(SSL_CTX *ctx, const struct wwri_ws_tls *tls) {
  if (SSL_CTX_use_certificate_chain_file(ctx, tls->cert_file) != 1 ||
      SSL_CTX_use_PrivateKey_file(ctx, tls->key_file, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(ctx) != 1) {
    return WWR_E_TLS;
  }
  return WWR_OK;
}

static wwr_err set_protocol(SSL_CTX *ctx, const struct wwri_ws_tls *tls) {
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
  wwr_err err = set_protocol(ssl_ctx, tls);
  if (!err) err = set_files(ssl_ctx, tls);
  ERR_clear_error();
  return err;
}

wwr_err wwri_ws_tls_check(const struct wwri_ws_tls *tls,
                          const struct wwr_log *log) {
  ERR_clear_error();
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  if (!ctx) return WWR_E_TLS;
  wwr_err err = set_protocol(ctx, tls);
  if (!err) err = set_files(ctx, tls);
  if (err) {
    char text[256];
    ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
    wwri_log(log, WWR_LOG_ERROR, 0, "TLS options are not usable", "cert",
             tls->cert_file, "key", tls->key_file, "error", text, NULL);
  }
  SSL_CTX_free(ctx);
  ERR_clear_error();
  return err;
}

wwr_err wwri_ws_certificate_load(struct wwri_ws_certificate **out,
                                 const struct wwri_ws_tls *tls) {
  struct wwri_ws_certificate *certificate = malloc(sizeof(*certificate));
  if (!certificate) return WWR_E_TLS;
  certificate->holder = SSL_CTX_new(TLS_server_method());
  ERR_clear_error();
  if (!certificate->holder || set_files(certificate->holder, tls)) {
    ERR_clear_error();
    wwri_ws_certificate_free(certificate);
    return WWR_E_TLS;
  }
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
