/* cert.h - certificates of the test's own, in files, valid for a day. */
#ifndef TEST_CERT_H
#define TEST_CERT_H

#include <stdbool.h>

struct test_cert {
  char dir[64];
  char cert_file[80];
  char key_file[80];
};

/** A self-signed certificate for 127.0.0.1 in a new directory. False when that
 * failed. */
bool test_cert_make(struct test_cert *cert);

/** Remove the files and the directory. */
void test_cert_remove(struct test_cert *cert);

struct test_authority {
  char ca_file[160];
  char cert_file[160];
  char key_file[160];
};

/** Make an authority and a certificate for `names` (as in subjectAltName:
 * "IP:127.0.0.1,DNS:localhost") that it signed; files in `dir` that begin with
 * `prefix`. */
bool test_authority_make(struct test_authority *authority, const char *dir,
                         const char *prefix, const char *names);

#endif
