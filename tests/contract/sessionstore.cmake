wwr_test(sessionstore_contract
  SOURCES contract/sessionstore_main.c
          contract/sessionstore_fixture.c
          contract/sessionstore_contract.c
          contract/sessionstore_memory_test.c
          contract/sessionstore_file_format_test.c
          contract/sessionstore_file_faults_test.c
          contract/sessionstore_file_syscalls_test.c
  DEPS wwr_sessionstore
  LABELS contract
  TIMEOUT 120)
# The system calls of a file's replacement, so that a test can order and fail
# them one by one.
target_link_options(sessionstore_contract PRIVATE
  LINKER:--wrap=openat,--wrap=read,--wrap=write,--wrap=fsync
  LINKER:--wrap=renameat,--wrap=unlinkat)
