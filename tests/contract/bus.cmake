# One contract over every channel bus, and what only one of them promises.
set(bus_contract contract/bus_fixture.c contract/bus_calls.c
    contract/bus_messages.c contract/bus_history.c contract/bus_subs.c
    contract/bus_nodes.c contract/bus_limits.c)
wwr_test(bus_local_contract
         SOURCES contract/bus_local_main.c ${bus_contract}
         DEPS wwr_cluster wwr_core LABELS contract TIMEOUT 120)
# Over a redis-server of its own; without one it is skipped.
if(TARGET wwr_cluster_redis)
  wwr_test(bus_redis_contract
           SOURCES contract/bus_redis_main.c ${bus_contract}
                   contract/redis_fixture.c
           DEPS wwr_cluster_redis wwr_cluster wwr_core LIBS PkgConfig::HIREDIS
           LABELS contract TIMEOUT 240)
  # Under sanitizers only what is not the same with one Redis.
  set(shards_suite "")
  set(cluster_suite "")
  if(WWR_SANITIZE)
    set(shards_suite ARGS shards/shards)
    set(cluster_suite ARGS cluster/slots)
  endif()
  wwr_test(bus_shards_contract
           SOURCES contract/bus_shards_main.c ${bus_contract}
                   contract/redis_fixture.c
           DEPS wwr_cluster_redis wwr_cluster wwr_core LIBS PkgConfig::HIREDIS
           LABELS contract TIMEOUT 240 ${shards_suite})
  wwr_test(bus_cluster_contract
           SOURCES contract/bus_cluster_main.c ${bus_contract}
                   contract/redis_fixture.c contract/redis_cluster_fixture.c
           DEPS wwr_cluster_redis wwr_cluster wwr_core LIBS PkgConfig::HIREDIS
           LABELS contract TIMEOUT 240 ${cluster_suite})
  set_tests_properties(bus_redis_contract bus_shards_contract
                       bus_cluster_contract PROPERTIES SKIP_RETURN_CODE 77)
endif()
