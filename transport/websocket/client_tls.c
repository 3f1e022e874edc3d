/* TLS of a client: the certificate is checked against the trusted issuers and
 * against the host name of the URL, or nothing is checked at all (`insecure`,
 * for tests). */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "dialer.h"

static wwr_err trust(SSL_CTX *ctx, const char *ca_file) {
  int done = ca_file ? SSL_CTX_load_verify_locations(ctx, ca_file, NULL)
                     : SSL_CTX_set_default_verify_paths(ctx);
  return done == 1 ? WWR_OK : WWR_E_TLS;
}

static wwr_err expect_host(SSL_CTX *ctx, const char *host) {
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) return WWR_OK;
  return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 ? WWR_OK : WWR_E_TLS;
}

static wwr_err configure(SSL_CTX *ctx, const struct wwri_ws_dialer *dialer) {
  if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
    return WWR_E_TLS;
  }
  SSL_CTX_set_mode(
      ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  if (dialer->insecure) return WWR_OK;
  wwr_err err = trust(ctx, dialer->ca_file);
  return err ? err : expect_host(ctx, dialer->url.address.host);
}

wwr_err wwri_ws_client_tls_new(void **out, const struct wwri_ws_dialer *d) {
  ERR_clear_error();
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  wwr_err err = ctx ? configure(ctx, d) : WWR_E_TLS;
  ERR_clear_error();
  if (err) {
    SSL_CTX_free(ctx);
    return err;
  }
  *out = ctx;
  return WWR_OK;
}

void wwri_ws_client_tls_free(void *ssl_ctx) {
  SSL_CTX_free(ssl_ctx);
}

bool wwri_ws_client_tls_verified(void *store_ctx, bool ok, bool insecure) {
  if (ok || !insecure) return ok;
  X509_STORE_CTX_set_error(store_ctx, X509_V_OK);
  return true;
}
