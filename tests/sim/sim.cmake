# The cluster on virtual time: seeds that must pass, and mutants that must not.
#   bin/sim --from 1 --seeds 10000
add_executable(sim sim/sim_main.c sim/world.c sim/link.c sim/broken.c
                   sim/net.c sim/faults.c sim/move.c sim/slot.c sim/oracle.c
                   sim/model.c
                   sim/sessions.c sim/sessions_model.c sim/sessions_oracle.c)
target_include_directories(sim PRIVATE unit)
target_link_libraries(sim PRIVATE wwr_cluster wwr_redis wwr_keeper wwr_protocol
                                  wwr_core wwr_flags)
if(WWR_SANITIZE)
  set(sim_seeds 150)
elseif(CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(sim_seeds 1500)
else()
  set(sim_seeds 5000)
endif()
add_test(NAME sim_seeds COMMAND sim --seeds ${sim_seeds})

# Faults that destroy no data: then no verdict at all has a cause.
math(EXPR sim_kept_seeds "${sim_seeds} / 5")
add_test(NAME sim_kept COMMAND sim --seeds ${sim_kept_seeds} --faults
  move,handover,cut,blackhole,isolate,pause,restart,sleep,memory,hints,flap)
set_tests_properties(sim_seeds sim_kept PROPERTIES TIMEOUT 240 LABELS sim)

# sim_mutant(RULE FAULTS): without the rule some invariant breaks.
function(sim_mutant rule faults)
  add_test(NAME sim_mutant_${rule}
           COMMAND sim --mutant ${rule} --seeds 1000 --faults ${faults})
  set_tests_properties(sim_mutant_${rule} PROPERTIES TIMEOUT 240 LABELS sim)
endfunction()
sim_mutant(R1 failover,truncate)
sim_mutant(R3 failover,truncate)
sim_mutant(R4 demote,partition,cut,blackhole)
sim_mutant(R7 cut,blackhole,isolate)
sim_mutant(R8 failover,truncate)
sim_mutant(ahead sleep,hints)
sim_mutant(fence cut,blackhole,isolate,pause)
sim_mutant(R11 cut,blackhole,isolate)
sim_mutant(R12 pause,restart)
sim_mutant(R6 move)
sim_mutant(ask move)
