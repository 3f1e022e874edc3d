/* transport_cert.h - a self-signed certificate for 127.0.0.1 in files of its
 * own, made when the test starts. */
#ifndef TRANSPORT_CERT_H
#define TRANSPORT_CERT_H

#include <stdbool.h>

struct test_cert {
  char dir[64];
  char cert_file[80];
  char key_file[80];
};

/** False when that failed. */
bool test_cert_make(struct test_cert *cert);

/** Remove the files. */
void test_cert_remove(struct test_cert *cert);

#endif
