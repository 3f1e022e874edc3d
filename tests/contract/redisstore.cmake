# Sessions in a real Redis; without a redis-server they are skipped.
if(TARGET wwr_redisstore)
  foreach(name IN ITEMS nodes faults)
    wwr_test(redisstore_${name}_test
             SOURCES contract/redisstore_${name}_test.c contract/redisstore_rig.c
                     contract/redis_fixture.c
             DEPS wwr_redisstore wwr_keeper wwr_cluster_redis wwr_cluster
                  wwr_session wwr_core
             LIBS PkgConfig::HIREDIS LABELS contract TIMEOUT 240)
    set_tests_properties(redisstore_${name}_test PROPERTIES
                         SKIP_RETURN_CODE 77)
  endforeach()
endif()
