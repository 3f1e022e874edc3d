wwr_test(core_base SOURCES unit/base_test.c DEPS wwr_core)
target_compile_definitions(core_base PRIVATE
  EXPECTED_VERSION="${PROJECT_VERSION}")
wwr_test(core_frame SOURCES unit/frame_test.c DEPS wwr_core)
wwr_test(core_utf8 SOURCES unit/utf8_test.c DEPS wwr_core)
wwr_test(core_map SOURCES unit/map_test.c DEPS wwr_core)
target_link_options(core_map PRIVATE LINKER:--wrap=getrandom)
wwr_test(core_timers SOURCES unit/timers_test.c DEPS wwr_core)
wwr_test(core_log SOURCES unit/log_test.c DEPS wwr_core)
