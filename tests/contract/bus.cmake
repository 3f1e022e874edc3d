# One contract over every channel bus, and what only one of them promises.
set(bus_contract contract/bus_fixture.c contract/bus_calls.c
    contract/bus_messages.c contract/bus_history.c contract/bus_subs.c
    contract/bus_nodes.c contract/bus_limits.c)
wwr_test(bus_local_contract
         SOURCES contract/bus_local_main.c ${bus_contract}
         DEPS wwr_cluster wwr_core LABELS contract TIMEOUT 120)
