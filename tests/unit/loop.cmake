wwr_test(loop_test SOURCES unit/loop_test.c DEPS wwr_loop wwr_core LABELS unit)
wwr_test(pool_test SOURCES unit/pool_test.c DEPS wwr_loop wwr_core LABELS unit)
if(TARGET wwr_transport)
  wwr_test(outq_test SOURCES unit/outq_test.c DEPS wwr_transport LABELS unit)
  wwr_test(wsparser_test SOURCES unit/wsparser_test.c
           DEPS wwr_transport wwr_core LABELS unit)
  wwr_test(wshead_test SOURCES unit/wshead_test.c
           DEPS wwr_transport wwr_core LABELS unit)
  wwr_test(http_test SOURCES unit/http_test.c DEPS wwr_transport LABELS unit)
endif()
