#include "redis_cert.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

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

/* Signed by `issuer`, or by itself without one. */
static X509 *make(EVP_PKEY *key, const char *name, int nid, const char *value,
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
  if (X509_set_pubkey(x509, key) == 1 && add_extension(x509, nid, value) &&
      X509_sign(x509, issuer ? issuer_key : key, EVP_sha256()) > 0) {
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

bool redis_cert_make(struct redis_cert *cert, const char *dir,
                     const char *prefix, const char *names) {
  EVP_PKEY *ca_key = EVP_EC_gen("P-256");
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *ca = make(ca_key, prefix, NID_basic_constraints, "critical,CA:TRUE",
                  NULL, NULL);
  X509 *x509 =
      ca ? make(key, "redis", NID_subject_alt_name, names, ca, ca_key) : NULL;
  snprintf(cert->ca_file, sizeof(cert->ca_file), "%s/%s-ca.pem", dir, prefix);
  snprintf(cert->cert_file, sizeof(cert->cert_file), "%s/%s.pem", dir, prefix);
  snprintf(cert->key_file, sizeof(cert->key_file), "%s/%s.key", dir, prefix);
  bool good = write_cert(cert->ca_file, ca) &&
              write_cert(cert->cert_file, x509) &&
              write_key(cert->key_file, key);
  X509_free(ca);
  X509_free(x509);
  EVP_PKEY_free(key);
  EVP_PKEY_free(ca_key);
  return good;
}
