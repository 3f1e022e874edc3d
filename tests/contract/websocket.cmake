if(TARGET wwr_websocket)
  wwr_test(transport_websocket_test
    SOURCES contract/transport_websocket_test.c
            ${transport_contract}
    DEPS wwr_websocket wwr_transport LIBS OpenSSL::SSL OpenSSL::Crypto
    LABELS contract TIMEOUT 600)
endif()
if(TARGET wwr_websocket)
  wwr_test(websocket_raw_test
    SOURCES contract/websocket_raw_main.c contract/websocket_raw_test.c
            contract/websocket_raw_fixture.c
            contract/websocket_raw_http.c contract/websocket_raw_life.c
            contract/websocket_raw_native.c contract/websocket_raw_turns.c
            contract/websocket_raw_rate.c
    DEPS wwr_websocket wwr_transport LIBS OpenSSL::SSL OpenSSL::Crypto
    LABELS contract TIMEOUT 600)
  # docs/libwebsockets.md, "Known gaps"
  if(LWS_VERSION VERSION_LESS 4.2)
    target_compile_definitions(websocket_raw_test PRIVATE ASKING_AHEAD)
  endif()
  # The longest of all under a sanitizer: begun early, they end in time.
  set_tests_properties(transport_websocket_test websocket_raw_test
                       PROPERTIES COST 100)
  # A sanitizer has a close() of its own.
  if(NOT WWR_SANITIZE)
    wwr_test(websocket_stranger_test
      SOURCES contract/websocket_stranger_test.c
              contract/websocket_raw_fixture.c
      DEPS wwr_websocket wwr_transport LIBS OpenSSL::SSL OpenSSL::Crypto
      LABELS contract)
  endif()
endif()
