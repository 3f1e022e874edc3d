# One node's membership in a cluster, against the real redis-server.
if(TARGET wwr_cluster_redis)
  foreach(name IN ITEMS member member_faults presence_crowd)
    wwr_test(${name}_test
             SOURCES contract/${name}_test.c contract/member_rig.c
                     contract/redis_fixture.c
             DEPS wwr_cluster_redis wwr_cluster wwr_redis wwr_loop wwr_core
             LIBS PkgConfig::HIREDIS LABELS contract TIMEOUT 240)
    set_tests_properties(${name}_test PROPERTIES SKIP_RETURN_CODE 77)
  endforeach()
endif()
