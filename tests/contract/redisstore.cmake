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
  wwr_test(redisstore_contract_test
           SOURCES contract/redisstore_contract_test.c
                   contract/sessionstore_contract.c
                   contract/sessionstore_fixture.c contract/redis_fixture.c
           DEPS wwr_redisstore wwr_sessionstore wwr_cluster_redis wwr_cluster
                wwr_session wwr_core
           LIBS PkgConfig::HIREDIS LABELS contract TIMEOUT 120)
  set_tests_properties(redisstore_contract_test PROPERTIES
                       SKIP_RETURN_CODE 77)
  wwr_test(redisstore_scripts_test
           SOURCES contract/redisstore_scripts_test.c contract/scripts_rig.c
                   contract/scripts_calls.c ${redis_fixture}
           DEPS wwr_redisstore wwr_cluster_redis wwr_redis wwr_core
           LIBS PkgConfig::HIREDIS OpenSSL::Crypto LABELS contract TIMEOUT 120)
  set_tests_properties(redisstore_scripts_test PROPERTIES SKIP_RETURN_CODE 77)
endif()
