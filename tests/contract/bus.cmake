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
  wwr_test(bus_shards_contract
           SOURCES contract/bus_shards_main.c ${bus_contract}
                   contract/redis_fixture.c
           DEPS wwr_cluster_redis wwr_cluster wwr_core LIBS PkgConfig::HIREDIS
           LABELS contract TIMEOUT 240)
  set_tests_properties(bus_redis_contract bus_shards_contract
                       PROPERTIES SKIP_RETURN_CODE 77)
endif()
