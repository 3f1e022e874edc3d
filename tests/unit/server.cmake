foreach(area IN ITEMS conn request session close options random
                      alloc threads)
  wwr_test(server_${area}_test
           SOURCES unit/server_${area}_test.c unit/server_fixture.c
                   unit/server_fixture_store.c
           DEPS wwr_server wwr_memory LABELS unit TIMEOUT 240)
endforeach()
target_link_options(server_threads_test PRIVATE LINKER:--wrap=pthread_create)
