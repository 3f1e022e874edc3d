# Sessions in a real Redis; without a redis-server they are skipped.
if(TARGET wwr_redisstore)
  set(redisstore_rig contract/redisstore_rig.c contract/redis_cluster_fixture.c
                     contract/redis_fixture.c)
  set(redisstore_deps wwr_redisstore wwr_keeper wwr_sessionstore
                      wwr_cluster_redis wwr_cluster wwr_session wwr_core)
  # What waits most of the time: once without and once with a sanitizer.
  set(redisstore_suites nodes faults)
  if(NOT WWR_SANITIZE STREQUAL "address")
    list(APPEND redisstore_suites shards)
  endif()
  if(NOT WWR_SANITIZE STREQUAL "thread")
    list(APPEND redisstore_suites slots)
  endif()
  foreach(name IN LISTS redisstore_suites)
    wwr_test(redisstore_${name}_test
             SOURCES contract/redisstore_${name}_test.c ${redisstore_rig}
             DEPS ${redisstore_deps}
             LIBS PkgConfig::HIREDIS LABELS contract TIMEOUT 240)
    set_tests_properties(redisstore_${name}_test PROPERTIES
                         SKIP_RETURN_CODE 77)
  endforeach()
  wwr_test(redisstore_contract_test
           SOURCES contract/redisstore_contract_test.c
                   contract/sessionstore_contract.c
                   contract/sessionstore_fixture.c ${redisstore_rig}
           DEPS ${redisstore_deps}
           LIBS PkgConfig::HIREDIS LABELS contract TIMEOUT 120)
  # The same over three Redis.
  set(redisstore_lists contract)
  if(NOT WWR_SANITIZE STREQUAL "thread")
    list(APPEND redisstore_lists nodes)
  endif()
  foreach(name IN LISTS redisstore_lists)
    add_test(NAME redisstore_${name}_list_test
             COMMAND redisstore_${name}_test --list)
    set_tests_properties(redisstore_${name}_list_test PROPERTIES
                         SKIP_RETURN_CODE 77 TIMEOUT 240 LABELS contract)
  endforeach()
  set_tests_properties(redisstore_contract_test PROPERTIES
                       SKIP_RETURN_CODE 77)
  # ... and over a Redis Cluster.
  if(NOT WWR_SANITIZE)
    foreach(name IN ITEMS contract nodes)
      add_test(NAME redisstore_${name}_cluster_test
               COMMAND redisstore_${name}_test --cluster)
      set_tests_properties(redisstore_${name}_cluster_test PROPERTIES
                           SKIP_RETURN_CODE 77 TIMEOUT 240 LABELS contract)
    endforeach()
  endif()
  wwr_test(redisstore_scripts_test
           SOURCES contract/redisstore_scripts_test.c contract/scripts_rig.c
                   contract/scripts_calls.c ${redis_fixture}
           DEPS wwr_redisstore wwr_cluster_redis wwr_redis wwr_core
           LIBS PkgConfig::HIREDIS OpenSSL::Crypto LABELS contract TIMEOUT 120)
  set_tests_properties(redisstore_scripts_test PROPERTIES SKIP_RETURN_CODE 77)
endif()
