/* replay.c - feed every file of the given directories to a fuzz target, so
 * that a build without a fuzzer still runs what fuzzing once found. Fails when
 * a directory is missing, a file can't be read, or there is no file at all. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

/* The target gets memory of just that size, so that ASan sees one byte more. */
static bool replay_bytes(FILE *file, size_t size) {
  uint8_t *bytes = malloc(size);
  if (!bytes && size > 0) return false;
  bool good = fread(bytes, 1, size, file) == size;
  if (good) LLVMFuzzerTestOneInput(bytes, size);
  free(bytes);
  return good;
}

static bool replay_file(const char *path) {
  struct stat info;
  FILE *file = fopen(path, "rb");
  bool good = file && fstat(fileno(file), &info) == 0 &&
              replay_bytes(file, (size_t)info.st_size);
  if (file) fclose(file);
  if (!good) perror(path);
  return good;
}

/* The number of files replayed, or -1. */
static int replay_directory(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) {
    perror(path);
    return -1;
  }
  int files = 0;
  struct dirent *entry;
  while (files >= 0 && (entry = readdir(directory))) {
    char name[4096];
    if (entry->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    files = replay_file(name) ? files + 1 : -1;
  }
  closedir(directory);
  return files;
}

int main(int argc, char **argv) {
  int total = 0;
  for (int i = 1; i < argc; i++) {
    int files = replay_directory(argv[i]);
    if (files < 0) return 1;
    total += files;
  }
  printf("%d files\n", total);
  return total > 0 ? 0 : 1;
}
