# The Redis bus of three nodes in one process while Redis fails; without
# redis-server it is skipped.
if(TARGET wwr_cluster_redis AND TARGET bus_redis_contract)
  set(bus_ledger fault/bus_ledger.c fault/bus_ledger_sum.c
      fault/bus_ledger_judge.c)
  wwr_test(bus_faults_test
           SOURCES fault/bus_faults_test.c ${bus_ledger}
                   contract/redis_fixture.c
           DEPS wwr_cluster_redis wwr_cluster wwr_core LIBS PkgConfig::HIREDIS
           LABELS fault TIMEOUT 300)
  target_include_directories(bus_faults_test
                             PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/contract)
  set_tests_properties(bus_faults_test PROPERTIES SKIP_RETURN_CODE 77)
endif()
# The same over a list of Redis and over a Redis Cluster, of which one fails:
# under a sanitizer one fault of each.
if(TARGET bus_faults_test)
  if(WWR_SANITIZE)
    set(shard_fault ARGS one_shard_loses_its_data)
    set(slot_fault ARGS half_of_a_slot_moves)
  endif()
  wwr_test(shard_faults_test
           SOURCES fault/shard_faults_test.c fault/replicas.c ${bus_ledger}
                   contract/redis_fixture.c
           DEPS wwr_cluster_redis wwr_cluster wwr_core LIBS PkgConfig::HIREDIS
           LABELS fault TIMEOUT 300 ${shard_fault})
  wwr_test(slot_faults_test
           SOURCES fault/slot_faults_test.c ${bus_ledger}
                   contract/redis_fixture.c contract/redis_cluster_fixture.c
           DEPS wwr_cluster_redis wwr_cluster wwr_core LIBS PkgConfig::HIREDIS
           LABELS fault TIMEOUT 300 ${slot_fault})
  foreach(suite shard_faults_test slot_faults_test)
    target_include_directories(${suite} PRIVATE
                               ${CMAKE_CURRENT_SOURCE_DIR}/contract)
    set_tests_properties(${suite} PROPERTIES SKIP_RETURN_CODE 77)
  endforeach()
endif()
# Ten servers of one process, with sessions.
if(TARGET wwr_redisstore AND TARGET wwr_client)
  wwr_test(ten_servers_test
           SOURCES fault/ten_servers_test.c contract/redis_fixture.c
           DEPS wwr_server wwr_client wwr_memory wwr_redisstore wwr_keeper
                wwr_cluster_redis wwr_cluster wwr_session wwr_core
           LIBS PkgConfig::HIREDIS LABELS fault TIMEOUT 300)
  target_include_directories(ten_servers_test
                             PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/contract)
  set_tests_properties(ten_servers_test PROPERTIES SKIP_RETURN_CODE 77)
endif()
