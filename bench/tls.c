#include "tls.h"
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* Both are OpenSSL's own objects under names of ours. */
static SSL_CTX *context(struct tls *tls) {
  return (SSL_CTX *)tls;
}

static SSL *ssl(const struct tls_link *link) {
  return (SSL *)(uintptr_t)link;
}

struct tls *tls_new(const char *ca_file, bool insecure) {
  SSL_CTX *made = SSL_CTX_new(TLS_client_method());
  int good = made != NULL;
  if (good && ca_file)
    good = SSL_CTX_load_verify_locations(made, ca_file, NULL);
  else if (good)
    good = SSL_CTX_set_default_verify_paths(made);
  if (!good) {
    fprintf(stderr, "webwire-bench: --ca-file %s: can't be used\n",
            ca_file ? ca_file : "");
    SSL_CTX_free(made);
    return NULL;
  }
  SSL_CTX_set_verify(made, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE |
                             SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                             SSL_MODE_RELEASE_BUFFERS);
  return (struct tls *)made;
}

void tls_free(struct tls *tls) {
  SSL_CTX_free(context(tls));
}

/* The certificate must be for this name or address. */
static int expect_host(SSL *made, const char *written) {
  char host[NET_HOST_MAX];
  struct in6_addr address;
  net_plain_host(written, host);
  if (inet_pton(AF_INET, host, &address) == 1 ||
      inet_pton(AF_INET6, host, &address) == 1)
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(made), host);
  return SSL_set1_host(made, host) && SSL_set_tlsext_host_name(made, host);
}

struct tls_link *tls_link_new(struct tls *tls, int fd, const char *host) {
  SSL *made = SSL_new(context(tls));
  if (made && SSL_set_fd(made, fd) && expect_host(made, host)) {
    SSL_set_connect_state(made);
    return (struct tls_link *)made;
  }
  SSL_free(made);
  return NULL;
}

void tls_link_free(struct tls_link *link) {
  SSL_free(ssl(link));
}

int tls_handshake(struct tls_link *link, bool *out) {
  ERR_clear_error();
  int n = SSL_do_handshake(ssl(link));
  int error = SSL_get_error(ssl(link), n);
  *out = error == SSL_ERROR_WANT_WRITE;
  if (n == 1) return 1;
  return error == SSL_ERROR_WANT_READ || *out ? 0 : -1;
}

static ssize_t result(struct tls_link *link, int n) {
  if (n > 0) return n;
  switch (SSL_get_error(ssl(link), n)) {
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      errno = EAGAIN;
      return -1;
    default:
      errno = EPROTO;
      return -1;
  }
}

ssize_t tls_recv(struct tls_link *link, void *to, size_t cap) {
  ERR_clear_error();
  return result(link, SSL_read(ssl(link), to, (int)cap));
}

ssize_t tls_send(struct tls_link *link, const void *from, size_t len) {
  ERR_clear_error();
  return result(link, SSL_write(ssl(link), from, (int)len));
}

const char *tls_problem(const struct tls_link *link) {
  long verdict = SSL_get_verify_result(ssl(link));
  return verdict == X509_V_OK ? "the TLS handshake failed"
                              : X509_verify_cert_error_string(verdict);
}
