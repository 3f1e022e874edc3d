wwr_test(sessionstore_contract
  SOURCES contract/sessionstore_main.c
          contract/sessionstore_fixture.c
          contract/sessionstore_contract.c
          contract/sessionstore_memory_test.c
          contract/sessionstore_file_format_test.c
          contract/sessionstore_file_faults_test.c
  DEPS wwr_sessionstore
  LABELS contract
  TIMEOUT 120)
