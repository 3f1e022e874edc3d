/* redis_cert.h - an authority of the test's own and certificates that it
 * signed, in files. */
#ifndef REDIS_CERT_H
#define REDIS_CERT_H

#include <stdbool.h>

struct redis_cert {
  char ca_file[160];
  char cert_file[160];
  char key_file[160];
};

/** Make an authority and a certificate for `names` (as in subjectAltName:
 * "IP:127.0.0.1,DNS:localhost"), files in `dir` that begin with `prefix`. */
bool redis_cert_make(struct redis_cert *cert, const char *dir,
                     const char *prefix, const char *names);

#endif
