#include "cert.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { VALID_SECONDS = 24 * 3600, VERSION_3 = 2 };

static bool add_extension(X509 *x509, int nid, const char *value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
  bool good = extension && X509_add_ext(x509, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return good;
}

struct extension {
  int nid;
  const char *value;
};
static const struct extension authority = {NID_basic_constraints,
                                           "critical,CA:TRUE"};

/* Signed by `issuer`, or by itself without one. */
static X509 *make(EVP_PKEY *key, const char *name,
                  const struct extension *extensions, size_t count,
                  X509 *issuer, EVP_PKEY *issuer_key) {
  X509 *x509 = X509_new();
  X509_NAME *subject = X509_get_subject_name(x509);
  X509_set_version(x509, VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), issuer ? 2 : 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), -60);
  X509_gmtime_adj(X509_getm_notAfter(x509), VALID_SECONDS);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             (const unsigned char *)name, -1, -1, 0);
  X509_set_issuer_name(x509, issuer ? X509_get_subject_name(issuer) : subject);
  bool good = X509_set_pubkey(x509, key) == 1;
  for (size_t i = 0; good && i < count; i++) {
    good = add_extension(x509, extensions[i].nid, extensions[i].value);
  }
  if (good && X509_sign(x509, issuer ? issuer_key : key, EVP_sha256()) > 0) {
    return x509;
  }
  X509_free(x509);
  return NULL;
}

static bool write_cert(const char *file, X509 *x509) {
  FILE *out = fopen(file, "w");
  bool good = out && x509 && PEM_write_X509(out, x509) == 1;
  return out && fclose(out) == 0 && good;
}

static bool write_key(const char *file, EVP_PKEY *key) {
  FILE *out = fopen(file, "w");
  bool good =
      out && PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1;
  return out && fclose(out) == 0 && good;
}

bool test_cert_make(struct test_cert *cert) {
  const struct extension extensions[] = {
      authority, {NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost"}};
  snprintf(cert->dir, sizeof(cert->dir), "/tmp/wwr-cert-XXXXXX");
  if (!mkdtemp(cert->dir)) return false;
  snprintf(cert->cert_file, sizeof(cert->cert_file), "%s/cert.pem", cert->dir);
  snprintf(cert->key_file, sizeof(cert->key_file), "%s/key.pem", cert->dir);
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *x509 = make(key, "webwire test", extensions, 2, NULL, NULL);
  bool good =
      write_cert(cert->cert_file, x509) && write_key(cert->key_file, key);
  X509_free(x509);
  EVP_PKEY_free(key);
  return good;
}

void test_cert_remove(struct test_cert *cert) {
  unlink(cert->cert_file);
  unlink(cert->key_file);
  rmdir(cert->dir);
}

bool test_authority_make(struct test_authority *made, const char *dir,
                         const char *prefix, const char *names) {
  const struct extension subject = {NID_subject_alt_name, names};
  EVP_PKEY *ca_key = EVP_EC_gen("P-256");
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *ca = make(ca_key, prefix, &authority, 1, NULL, NULL);
  X509 *x509 = ca ? make(key, "test", &subject, 1, ca, ca_key) : NULL;
  snprintf(made->ca_file, sizeof(made->ca_file), "%s/%s-ca.pem", dir, prefix);
  snprintf(made->cert_file, sizeof(made->cert_file), "%s/%s.pem", dir, prefix);
  snprintf(made->key_file, sizeof(made->key_file), "%s/%s.key", dir, prefix);
  bool good = write_cert(made->ca_file, ca) &&
              write_cert(made->cert_file, x509) &&
              write_key(made->key_file, key);
  X509_free(ca);
  X509_free(x509);
  EVP_PKEY_free(key);
  EVP_PKEY_free(ca_key);
  return good;
}
