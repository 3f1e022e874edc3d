# Against the real redis-server; without one they are skipped.
if(TARGET wwr_redis)
  set(redis_fixture contract/redis_fixture.c contract/redis_rig.c)
  foreach(name IN ITEMS link faults login sentinel)
    wwr_test(redis_${name}_test
             SOURCES contract/redis_${name}_test.c ${redis_fixture}
             DEPS wwr_redis wwr_core LIBS PkgConfig::HIREDIS OpenSSL::Crypto
             LABELS contract TIMEOUT 120)
    set_tests_properties(redis_${name}_test PROPERTIES SKIP_RETURN_CODE 77)
  endforeach()
  # Needs no server: it brings its own.
  wwr_test(redis_liar_test
           SOURCES contract/redis_liar_test.c contract/redis_liar.c
                   contract/redis_rig.c
           DEPS wwr_redis wwr_core LABELS contract TIMEOUT 240)
  # Each costs seconds: lies by address, threads by thread.
  if(NOT WWR_SANITIZE STREQUAL "thread")
    wwr_test(redis_hub_liar_test
             SOURCES contract/redis_hub_liar_test.c contract/redis_liar.c
                     contract/redis_hub_rig.c contract/redis_rig.c
             DEPS wwr_redis wwr_core LABELS contract TIMEOUT 240)
  endif()
  if(NOT WWR_SANITIZE)
    wwr_test(redis_hub_login_test
             SOURCES contract/redis_hub_login_test.c contract/redis_hub_rig.c
                     ${redis_fixture}
             DEPS wwr_redis wwr_core LIBS PkgConfig::HIREDIS OpenSSL::Crypto
             LABELS contract TIMEOUT 120)
    set_tests_properties(redis_hub_login_test PROPERTIES SKIP_RETURN_CODE 77)
  endif()
  if(NOT WWR_SANITIZE STREQUAL "address")
    wwr_test(redis_hub_test
             SOURCES contract/redis_hub_test.c contract/redis_hub_rig.c
                     contract/redis_cluster_fixture.c ${redis_fixture}
             DEPS wwr_redis wwr_core LIBS PkgConfig::HIREDIS
             LABELS contract TIMEOUT 240)
    set_tests_properties(redis_hub_test PROPERTIES SKIP_RETURN_CODE 77)
  endif()
endif()
