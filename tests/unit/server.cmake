foreach(area IN ITEMS conn request session close drain options random
                      alloc threads)
  wwr_test(server_${area}_test
           SOURCES unit/server_${area}_test.c unit/server_fixture.c
                   unit/server_fixture_store.c
           DEPS wwr_server wwr_memory LABELS unit TIMEOUT 480)
endforeach()
target_link_options(server_threads_test PRIVATE LINKER:--wrap=pthread_create)

# Channels, on the server's own bus and on one with a thread.
set(channel_sources unit/server_channel_common.c unit/server_bus.c
                    unit/server_fixture.c unit/server_fixture_store.c)
foreach(area IN ITEMS admin command channel channel_bus channel_linger
                      channel_pace channel_presence channel_random channel_turns
                      channel_alloc)
  wwr_test(server_${area}_test
           SOURCES unit/server_${area}_test.c ${channel_sources}
           DEPS wwr_server wwr_memory LABELS unit TIMEOUT 480)
endforeach()
foreach(area IN ITEMS channel channel_presence channel_random
                      channel_alloc)
  add_test(NAME server_${area}_threaded_test
           COMMAND server_${area}_test --threaded)
  set_tests_properties(server_${area}_threaded_test PROPERTIES TIMEOUT 480
                                                               LABELS unit)
endforeach()

# Every walk over readers in turns of one or two.
foreach(area IN ITEMS channel channel_random)
  add_test(NAME server_${area}_small_turns_test
           COMMAND server_${area}_test --turns)
  set_tests_properties(server_${area}_small_turns_test PROPERTIES TIMEOUT 480
                                                            LABELS unit)
endforeach()

# With a store that has authority.
foreach(area IN ITEMS session_authority session_end
                      session_authority_events session_authority_random)
  wwr_test(server_${area}_test
           SOURCES unit/server_${area}_test.c unit/server_fake_authority.c
                   unit/server_fixture.c unit/server_fixture_store.c
           DEPS wwr_server wwr_memory LABELS unit TIMEOUT 480)
endforeach()

wwr_test(server_page_test SOURCES unit/server_page_test.c
         DEPS wwr_server wwr_memory LABELS unit)
