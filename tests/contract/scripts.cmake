# The Lua scripts against the real redis-server; without one they are skipped.
if(TARGET wwr_cluster_redis)
  foreach(name IN ITEMS log node presence faults)
    wwr_test(scripts_${name}_test
             SOURCES contract/scripts_${name}_test.c contract/scripts_rig.c
                     contract/scripts_calls.c ${redis_fixture}
             DEPS wwr_cluster_redis wwr_redis wwr_core
             LIBS PkgConfig::HIREDIS OpenSSL::Crypto LABELS contract
             TIMEOUT 120)
    set_tests_properties(scripts_${name}_test PROPERTIES SKIP_RETURN_CODE 77)
  endforeach()
endif()
