# Attacks on a real server process (fault/fault_server.c), from outside.
if(TARGET webwire_shared AND TARGET wwr_websocket AND TARGET wwr_server)
  add_executable(fault_server fault/fault_server.c)
  target_link_libraries(fault_server PRIVATE webwire_shared wwr_flags)

  add_library(wwr_fault STATIC fault/fault_server_proc.c fault/fault_client.c
                               fault/fault_swarm.c)
  target_include_directories(wwr_fault
    PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/fault
    PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/contract)
  target_compile_definitions(wwr_fault PRIVATE
    FAULT_SERVER="$<TARGET_FILE:fault_server>")
  target_link_libraries(wwr_fault PUBLIC wwr_testlib PRIVATE wwr_flags)

  set(fault_suites slow frames flood vanish limits restart)
  find_program(WWR_VALGRIND valgrind)
  if(WWR_VALGRIND AND NOT WWR_SANITIZE)
    list(APPEND fault_suites valgrind)
  endif()
  foreach(suite IN LISTS fault_suites)
    wwr_test(fault_${suite} SOURCES fault/${suite}_test.c DEPS wwr_fault
             LABELS fault TIMEOUT 300)
    add_dependencies(fault_${suite} fault_server)
    # One attack at a time; the bounds of what it may cost others have room for
    # the suites beside it.
    set_tests_properties(fault_${suite} PROPERTIES RESOURCE_LOCK attack COST 50)
  endforeach()
  # These two ask for more of the processor than can be spared beside others:
  # they come last, and alone.
  set_tests_properties(fault_frames fault_flood PROPERTIES RUN_SERIAL ON COST 0)
  if(TEST fault_valgrind)
    set_tests_properties(fault_valgrind PROPERTIES LABELS "fault;valgrind"
                                                   RESOURCE_LOCK "")
  endif()
endif()

# Faults in a cluster of real processes, counted message by message.
if(TARGET webwire_shared)
  wwr_test(fault_ledger SOURCES fault/ledger_test.c fault/ledger.c LABELS fault)
  target_link_libraries(fault_ledger PRIVATE Threads::Threads)
endif()
if(TARGET webwire_shared AND TARGET chatroom-server)
  add_executable(cluster_faults
    fault/cluster_faults_test.c fault/cluster_run.c fault/chatters.c
    fault/ledger.c fault/log_reader.c fault/replicas.c fault/shards.c
    contract/redis_fixture.c contract/redis_cluster_fixture.c
    ${PROJECT_SOURCE_DIR}/cluster/partition.c)
  target_include_directories(cluster_faults PRIVATE
    ${CMAKE_CURRENT_SOURCE_DIR}/contract ${PROJECT_SOURCE_DIR}/cluster
    ${PROJECT_SOURCE_DIR}/protocol ${PROJECT_SOURCE_DIR}/core)
  target_compile_definitions(cluster_faults PRIVATE _GNU_SOURCE
    CHATROOM_SERVER="$<TARGET_FILE:chatroom-server>")
  target_link_libraries(cluster_faults PRIVATE webwire_shared wwr_testlib
    PkgConfig::HIREDIS PkgConfig::JANSSON Threads::Threads wwr_flags)
  add_dependencies(cluster_faults chatroom-server)

  # One entry per row, so that each has its own time limit; one row at a time.
  # Under a sanitizer those that stress different code of the nodes.
  set(rows none "without data" "node killed" failover)
  if(NOT WWR_SANITIZE)
    list(APPEND rows stopped cut "with data" truncated "out of memory" evicted
         repair "late replica" "node terminated" "rolling restart" "node fenced" flapping
         "shard stopped" resharded)
  endif()
  foreach(row IN LISTS rows)
    string(REPLACE " " "_" name ${row})
    add_test(NAME cluster_fault_${name} COMMAND cluster_faults ${row})
    list(APPEND entries cluster_fault_${name})
  endforeach()
  add_test(NAME cluster_fault_firewall
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/fault/in_netns.sh
            $<TARGET_FILE:cluster_faults> firewall)
  set_tests_properties(${entries} cluster_fault_firewall PROPERTIES
    LABELS "fault;cluster" TIMEOUT 180 RESOURCE_LOCK cluster
    SKIP_RETURN_CODE 77)
endif()
