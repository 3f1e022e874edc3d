# Black box: a raw WebSocket client, and the clients of ours, against the real
# programs.
if(TARGET echo-server)
  function(wire_test name)
    wwr_test(wire_${name} SOURCES wire/${name}_test.c wire/wire.c wire/room.c
                     wire/room_join.c TIMEOUT 120
             LABELS wire)
    target_compile_definitions(wire_${name} PRIVATE
      PROGRAMS="$<TARGET_FILE_DIR:echo-server>" SOURCES="${PROJECT_SOURCE_DIR}")
    add_dependencies(wire_${name} echo-server echo-client pubsub-server
                     pubsub-client chatroom-server chatroom-client)
  endfunction()
  foreach(name IN ITEMS echo violation chatroom join page session pubsub cli process tls
                        client)
    wire_test(${name})
  endforeach()
  foreach(name IN ITEMS admin admin_abuse health cluster_admin)
    wire_test(${name})
    target_sources(wire_${name} PRIVATE wire/admin.c)
    set_tests_properties(wire_${name} PROPERTIES SKIP_RETURN_CODE 77)
  endforeach()
  if(TARGET webwire-bench)
    wire_test(bench)
    target_sources(wire_bench PRIVATE wire/liar.c)
    add_dependencies(wire_bench webwire-bench webwired)
  endif()
  # The general node: its requests, its settings, and two of them.
  if(TARGET webwired)
    # The tool: with webwired, and its doctor through HAProxy.
    foreach(name IN ITEMS tool doctor)
      wire_test(${name})
      target_sources(wire_${name} PRIVATE wire/admin.c wire/webwired.c)
      add_dependencies(wire_${name} webwired webwire)
      set_tests_properties(wire_${name} PROPERTIES SKIP_RETURN_CODE 77)
    endforeach()
    # The tool and Redis, also lists and a Redis Cluster; it has one thread.
    if(NOT WWR_SANITIZE STREQUAL "thread")
      foreach(name IN ITEMS doctor_redis move)
        wire_test(${name})
        target_sources(wire_${name} PRIVATE wire/admin.c contract/redis_fixture.c
                                            contract/redis_cluster_fixture.c)
        target_include_directories(wire_${name} PRIVATE contract)
        target_link_libraries(wire_${name} PRIVATE PkgConfig::HIREDIS)
        add_dependencies(wire_${name} webwire)
        set_tests_properties(wire_${name} PROPERTIES SKIP_RETURN_CODE 77)
      endforeach()
    endif()
    # The same code under a sanitizer: redis_login_test, redis_hub_test.
    if(NOT WWR_SANITIZE)
      wire_test(cluster_tls)
      target_sources(wire_cluster_tls PRIVATE wire/admin.c contract/redis_fixture.c
                                              contract/redis_cluster_fixture.c)
      target_include_directories(wire_cluster_tls PRIVATE contract)
      target_link_libraries(wire_cluster_tls PRIVATE PkgConfig::HIREDIS)
      add_dependencies(wire_cluster_tls webwire)
      set_tests_properties(wire_cluster_tls PROPERTIES SKIP_RETURN_CODE 77)
    endif()
    foreach(name IN ITEMS webwired webwired_config)
      wire_test(${name})
      target_sources(wire_${name} PRIVATE wire/webwired.c)
      add_dependencies(wire_${name} webwired)
    endforeach()
  endif()
  # Real clusters; skipped without redis-server or haproxy.
  set(clusters cluster_fixture cluster_chat cluster_join cluster_session
               cluster_setup demo cluster_webwired)
  if(NOT WWR_SANITIZE STREQUAL "thread")
    list(APPEND clusters cluster_shards)
  endif()
  foreach(name IN LISTS clusters)
    wire_test(${name})
    set_tests_properties(wire_${name} PROPERTIES SKIP_RETURN_CODE 77
                                                 TIMEOUT 240)
  endforeach()
  if(TARGET wire_cluster_shards)
    target_sources(wire_cluster_shards PRIVATE contract/redis_fixture.c)
    target_include_directories(wire_cluster_shards PRIVATE contract)
    target_link_libraries(wire_cluster_shards PRIVATE PkgConfig::HIREDIS)
  endif()
  target_sources(wire_cluster_webwired PRIVATE wire/webwired.c)
  add_dependencies(wire_cluster_webwired webwired)
endif()
