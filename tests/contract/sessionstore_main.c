/* sessionstore_main.c - the contract over each store, then what only one store
 * promises. A new store joins with a set-up function and a line. */
#include "sessionstore_contract.h"
#include "sessionstore_fixture.h"

static void open_memory(void) {
  fixture_open(&subject_memory);
}
static void open_file(void) {
  fixture_open(&subject_file);
}

static CU_SuiteInfo suites[] = {
    {"sessionstore/memory", NULL, NULL, open_memory, fixture_close,
     sessionstore_contract},
    {"sessionstore/file", NULL, NULL, open_file, fixture_close,
     sessionstore_contract},
    {"memory", NULL, NULL, open_memory, fixture_close,
     sessionstore_memory_only},
    {"file/format", NULL, NULL, open_file, fixture_close,
     sessionstore_file_format},
    {"file/faults", NULL, NULL, open_file, fixture_close,
     sessionstore_file_faults},
    {"file/syscalls", NULL, NULL, open_file, fixture_close,
     sessionstore_file_syscalls},
    CU_SUITE_INFO_NULL,
};

int main(int argc, char **argv) {
  return test_run(argc, argv, suites);
}
