add_library(wwr_server_fixture STATIC unit/server_fixture.c
                                      unit/server_fixture_store.c)
target_include_directories(wwr_server_fixture
                           PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/unit)
target_link_libraries(wwr_server_fixture
                      PUBLIC wwr_server wwr_memory wwr_testlib
                      PRIVATE wwr_flags)
foreach(area IN ITEMS conn request)
  wwr_test(server_${area}_test SOURCES unit/server_${area}_test.c
           DEPS wwr_server_fixture LABELS unit TIMEOUT 120)
endforeach()
