if(TARGET wwr_client AND TARGET wwr_memory)
  wwr_test(client_reconnect_test SOURCES unit/client_reconnect_test.c
    DEPS wwr_client LABELS unit)
  wwr_test(client_table_test SOURCES unit/client_table_test.c
    DEPS wwr_client LABELS unit)
  foreach(suite errors link calls session stress)
    wwr_test(client_${suite}_test
      SOURCES unit/client_${suite}_test.c unit/client_fixture.c
      DEPS wwr_client wwr_memory wwr_transport wwr_session wwr_protocol
           wwr_loop wwr_core
      TIMEOUT 120 LABELS unit)
  endforeach()
endif()
if(TARGET wwr_client AND TARGET wwr_server AND TARGET wwr_websocket)
  wwr_test(client_endtoend_test
    SOURCES unit/client_endtoend_test.c
    LIBS OpenSSL::SSL OpenSSL::Crypto
    DEPS wwr_client wwr_server wwr_websocket wwr_memory wwr_sessionstore
    TIMEOUT 120 LABELS unit)
endif()
