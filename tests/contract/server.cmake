# Servers on a real Redis as their operator sees them.
if(TARGET wwr_cluster_redis AND TARGET wwr_server AND TARGET wwr_client)
  wwr_test(server_cluster_test
           SOURCES contract/server_cluster_test.c contract/redis_fixture.c
           DEPS wwr_server wwr_client wwr_memory wwr_cluster_redis wwr_cluster
                wwr_session wwr_core
           LIBS PkgConfig::HIREDIS LABELS contract TIMEOUT 240)
  set_tests_properties(server_cluster_test PROPERTIES SKIP_RETURN_CODE 77)
endif()
