#include "transport_cert.h"

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

static bool fill(X509 *x509, EVP_PKEY *key) {
  X509_NAME *name = X509_get_subject_name(x509);
  X509_set_version(x509, VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), (long)getpid());
  X509_gmtime_adj(X509_getm_notBefore(x509), -60);
  X509_gmtime_adj(X509_getm_notAfter(x509), VALID_SECONDS);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             (const unsigned char *)"webwire test", -1, -1, 0);
  X509_set_issuer_name(x509, name);
  return X509_set_pubkey(x509, key) == 1 &&
         add_extension(x509, NID_basic_constraints, "critical,CA:TRUE") &&
         add_extension(x509, NID_subject_alt_name,
                       "IP:127.0.0.1,DNS:localhost") &&
         X509_sign(x509, key, EVP_sha256()) > 0;
}

static bool write_files(const struct test_cert *cert, X509 *x509,
                        EVP_PKEY *key) {
  FILE *cert_file = fopen(cert->cert_file, "w");
  FILE *key_file = fopen(cert->key_file, "w");
  bool good =
      cert_file && key_file && PEM_write_X509(cert_file, x509) == 1 &&
      PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) == 1;
  if (cert_file && fclose(cert_file)) good = false;
  if (key_file && fclose(key_file)) good = false;
  return good;
}

bool test_cert_make(struct test_cert *cert) {
  snprintf(cert->dir, sizeof(cert->dir), "/tmp/wwr-cert-XXXXXX");
  if (!mkdtemp(cert->dir)) return false;
  snprintf(cert->cert_file, sizeof(cert->cert_file), "%s/cert.pem", cert->dir);
  snprintf(cert->key_file, sizeof(cert->key_file), "%s/key.pem", cert->dir);
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *x509 = X509_new();
  bool good = key && x509 && fill(x509, key) && write_files(cert, x509, key);
  X509_free(x509);
  EVP_PKEY_free(key);
  return good;
}

void test_cert_remove(struct test_cert *cert) {
  unlink(cert->cert_file);
  unlink(cert->key_file);
  rmdir(cert->dir);
}
