if(TARGET wwr_redis)
  foreach(name IN ITEMS resp url answer pair subs slots mux)
    wwr_test(redis_${name}_test SOURCES unit/redis_${name}_test.c
             DEPS wwr_redis wwr_core LABELS unit)
  endforeach()
endif()
