set(transport_contract
  contract/transport_fixture.c contract/transport_opening.c
  contract/transport_messages.c contract/transport_ending.c
  contract/transport_no_memory.c)
if(TARGET wwr_memory)
  wwr_test(transport_memory_test
    SOURCES contract/transport_memory_test.c ${transport_contract}
    DEPS wwr_memory wwr_transport LABELS contract TIMEOUT 300)
endif()
