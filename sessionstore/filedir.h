/* filedir.h - a directory of small files that are replaced as a whole: after a
 * crash at any moment each name holds either the old bytes or the new ones.
 * Names are the caller's, who makes sure that they hold no slash.
 *
 * Results are 0 or an errno; ESTALE says that the directory itself was removed,
 * so that ENOENT means for certain that the file is not there. Calls may be
 * made from any thread; for two writers of one name the last one wins. */
#ifndef WWRI_FILEDIR_H
#define WWRI_FILEDIR_H

#include <stdatomic.h>

#include "wwr_log.h"

struct wwri_filedir {
  int fd;                  /* the directory, locked shared while open */
  atomic_ullong next_temp; /* makes temporary names unique */
};

/** Open `path`, create it (0700, parents must exist) if it is missing, remove
 * the temporary files that a crash left unless another process has the
 * directory open, and prove that files can be written. Logs what it meets to
 * `log` (borrowed for the call). */
int wwri_filedir_open(struct wwri_filedir *dir, const char *path,
                      const struct wwr_log *log);

void wwri_filedir_close(struct wwri_filedir *dir);

/** Create or replace a file (0600). On an error the old file is as before,
 * except that a failed sync of the directory comes after the replacement. */
int wwri_filedir_write(struct wwri_filedir *dir, const char *name,
                       const char *bytes, size_t len);

/** Read a whole regular file of at most `max` bytes into *out, freed by the
 * caller with free(). ENOENT; ELOOP (symbolic link, not followed); EISDIR and
 * ENOTSUP (another type of file); EFBIG (over `max`); ENOMEM; others. */
int wwri_filedir_read(struct wwri_filedir *dir, const char *name, size_t max,
                      char **out, size_t *len);

/** Remove a file for good (the directory is synced). ENOENT if there is none.
 */
int wwri_filedir_remove(struct wwri_filedir *dir, const char *name);

#endif
