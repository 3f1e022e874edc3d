# The Lua scripts against the real redis-server; without one they are skipped.
if(TARGET wwr_cluster_redis)
  foreach(name IN ITEMS log read node presence faults)
    wwr_test(scripts_${name}_test
             SOURCES contract/scripts_${name}_test.c contract/scripts_rig.c
                     contract/scripts_calls.c ${redis_fixture}
             DEPS wwr_cluster_redis wwr_redis wwr_core
             LIBS PkgConfig::HIREDIS OpenSSL::Crypto LABELS contract
             TIMEOUT 120)
    set_tests_properties(scripts_${name}_test PROPERTIES SKIP_RETURN_CODE 77)
  endforeach()

  # A redis-server whose clock the test moves; it is not ours, so neither our
  # sanitizers nor our warnings' flags may come along.
  add_library(scripts_clock MODULE contract/scripts_clock.c)
  set_target_properties(scripts_clock PROPERTIES COMPILE_OPTIONS ""
                                                 LINK_OPTIONS "" PREFIX "")
  target_compile_definitions(scripts_clock PRIVATE _GNU_SOURCE)
  wwr_test(scripts_facts_test
           SOURCES contract/scripts_facts_test.c contract/scripts_time.c
                   contract/scripts_rig.c contract/scripts_calls.c
                   ${redis_fixture}
           DEPS wwr_cluster_redis wwr_redis wwr_core
           LIBS PkgConfig::HIREDIS OpenSSL::Crypto LABELS contract
           TIMEOUT 120)
  if(WWR_SANITIZE)
    set(seeds 4)
  else()
    set(seeds 12)
  endif()
  wwr_test(scripts_model_test
           SOURCES contract/scripts_model_test.c contract/scripts_twins.c
                   contract/scripts_twins_calls.c contract/scripts_time.c
                   contract/scripts_rig.c contract/scripts_calls.c sim/model.c sim/slot.c
                   sim/sessions_model.c
                   ${redis_fixture}
           DEPS wwr_cluster_redis wwr_cluster wwr_redis wwr_keeper wwr_core
           LIBS PkgConfig::HIREDIS OpenSSL::Crypto LABELS contract
           TIMEOUT 240 ARGS random 1 ${seeds})
  target_include_directories(scripts_model_test PRIVATE unit sim)
  foreach(name IN ITEMS scripts_facts_test scripts_model_test)
    target_compile_definitions(${name} PRIVATE
      WWR_TEST_CLOCK_LIBRARY="$<TARGET_FILE:scripts_clock>")
    add_dependencies(${name} scripts_clock)
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77)
  endforeach()
endif()
