/* Happy path: two memory BIOs; what SSL writes into one is sent, what is
 * received is written into the other.
 *
 * Failure modes: a certificate that can't be verified, or that names another
 * host, ends the handshake with OpenSSL's own words for it. */
#include "tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "url.h"

struct wwri_redis_tls_config {
  SSL_CTX *context;
};

struct wwri_redis_tls {
  SSL *ssl;
  BIO *in;  /* from the socket; owned by ssl, as is the other */
  BIO *out; /* to the socket */
  const char *why;
};

static const char *load(SSL_CTX *context, const struct wwri_redis_url *url) {
  int good = url->ca_file[0]
                 ? SSL_CTX_load_verify_locations(context, url->ca_file, NULL)
                 : SSL_CTX_set_default_verify_paths(context);
  if (good != 1) return "the file of authorities (ca_file) can't be used";
  if (!url->cert_file[0]) return NULL;
  if (SSL_CTX_use_certificate_chain_file(context, url->cert_file) != 1) {
    return "the client's certificate (cert_file) can't be used";
  }
  if (SSL_CTX_use_PrivateKey_file(context, url->key_file, SSL_FILETYPE_PEM) !=
          1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return "the client's key (key_file) can't be used";
  }
  return NULL;
}

wwr_err wwri_redis_tls_config_new(struct wwri_redis_tls_config **out,
                                  const struct wwri_redis_url *url,
                                  const char **why) {
  struct wwri_redis_tls_config *config = calloc(1, sizeof(*config));
  *out = NULL;
  *why = "out of memory";
  if (!config) return WWR_E_NOMEM;
  config->context = SSL_CTX_new(TLS_client_method());
  if (!config->context) {
    free(config);
    return WWR_E_NOMEM;
  }
  SSL_CTX_set_min_proto_version(config->context, TLS1_2_VERSION);
  SSL_CTX_set_verify(config->context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_session_cache_mode(config->context, SSL_SESS_CACHE_OFF);
  const char *bad = load(config->context, url);
  ERR_clear_error();
  if (!bad) {
    *out = config;
    return WWR_OK;
  }
  wwri_redis_tls_config_free(config);
  *why = bad;
  return WWR_E_TLS;
}

void wwri_redis_tls_config_free(struct wwri_redis_tls_config *config) {
  if (!config) return;
  SSL_CTX_free(config->context);
  free(config);
}

static bool is_address(const char *name) {
  unsigned char bytes[sizeof(struct in6_addr)];
  return inet_pton(AF_INET, name, bytes) == 1 ||
         inet_pton(AF_INET6, name, bytes) == 1;
}

static bool expect_name(SSL *ssl, const char *name) {
  X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
  if (is_address(name)) {
    return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
  }
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return name[0] && SSL_set1_host(ssl, name) == 1 &&
         SSL_set_tlsext_host_name(ssl, name) == 1;
}

static bool add_bios(struct wwri_redis_tls *tls) {
  tls->in = BIO_new(BIO_s_mem());
  tls->out = BIO_new(BIO_s_mem());
  if (!tls->in || !tls->out) {
    BIO_free(tls->in);
    BIO_free(tls->out);
    return false;
  }
  BIO_set_mem_eof_return(tls->in, -1); /* empty is "not yet", not the end */
  SSL_set_bio(tls->ssl, tls->in, tls->out);
  return true;
}

wwr_err wwri_redis_tls_new(struct wwri_redis_tls **out,
                           struct wwri_redis_tls_config *config,
                           const char *name) {
  struct wwri_redis_tls *tls = calloc(1, sizeof(*tls));
  wwr_err err = WWR_E_NOMEM;
  *out = NULL;
  if (!tls) return WWR_E_NOMEM;
  tls->ssl = SSL_new(config->context);
  if (!tls->ssl || !add_bios(tls)) goto fail;
  err = WWR_E_TLS;
  if (!expect_name(tls->ssl, name)) goto fail;
  SSL_set_connect_state(tls->ssl);
  *out = tls;
  return WWR_OK;
fail:
  ERR_clear_error();
  wwri_redis_tls_free(tls);
  return err;
}

void wwri_redis_tls_free(struct wwri_redis_tls *tls) {
  if (!tls) return;
  SSL_free(tls->ssl);
  free(tls);
}

const char *wwri_redis_tls_why(const struct wwri_redis_tls *tls) {
  return tls->why ? tls->why : "TLS failed";
}

static wwr_err failed(struct wwri_redis_tls *tls) {
  long verified = SSL_get_verify_result(tls->ssl);
  unsigned long code = ERR_peek_error();
  const char *reason = ERR_reason_error_string(code);
  tls->why = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
             : reason              ? reason
                                   : "the connection ended within TLS";
  ERR_clear_error();
  return WWR_E_TLS;
}

/* Move what SSL wants to send. */
static wwr_err drain(struct wwri_redis_tls *tls, struct wwri_buf *out) {
  char *bytes = NULL;
  long len = BIO_get_mem_data(tls->out, &bytes);
  if (len <= 0) return WWR_OK;
  wwr_err err = wwri_buf_append(out, bytes, (size_t)len);
  if (err == WWR_OK) BIO_reset(tls->out);
  return err;
}

wwr_err wwri_redis_tls_handshake(struct wwri_redis_tls *tls,
                                 struct wwri_buf *out, bool *done) {
  ERR_clear_error();
  int status = SSL_do_handshake(tls->ssl);
  int error = SSL_get_error(tls->ssl, status);
  wwr_err err = WWR_OK;
  *done = status == 1;
  if (status != 1 && error != SSL_ERROR_WANT_READ) err = failed(tls);
  wwr_err drained = drain(tls, out); /* an alert too */
  return err != WWR_OK ? err : drained;
}

wwr_err wwri_redis_tls_feed(struct wwri_redis_tls *tls, const void *bytes,
                            size_t len) {
  if (len == 0) return WWR_OK;
  if (len > INT_MAX) return WWR_E_NOMEM;
  int taken = BIO_write(tls->in, bytes, (int)len);
  return taken == (int)len ? WWR_OK : WWR_E_NOMEM;
}

wwr_err wwri_redis_tls_read(struct wwri_redis_tls *tls, uint8_t *into,
                            size_t cap, size_t *len, struct wwri_buf *out) {
  ERR_clear_error();
  *len = 0;
  int status = SSL_read_ex(tls->ssl, into, cap, len);
  if (status == 1) return drain(tls, out);
  int error = SSL_get_error(tls->ssl, status);
  if (error == SSL_ERROR_WANT_READ) return drain(tls, out);
  if (error == SSL_ERROR_ZERO_RETURN) return WWR_E_CLOSED;
  return failed(tls);
}

wwr_err wwri_redis_tls_write(struct wwri_redis_tls *tls, struct wwr_view bytes,
                             struct wwri_buf *out) {
  size_t len = 0;
  if (bytes.len == 0) return WWR_OK;
  ERR_clear_error();
  if (SSL_write_ex(tls->ssl, bytes.data, bytes.len, &len) != 1 ||
      len != bytes.len) {
    return failed(tls);
  }
  return drain(tls, out);
}
