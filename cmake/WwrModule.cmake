# One static library per folder. Its headers are visible only to folders that
# list it in DEPS, so an arrow drawn the wrong way is a compile error.
#
#   wwr_module(NAME SOURCES a.c ... DEPS wwr_core ... LIBS PkgConfig::LIBUV ...)
#
# PUBLIC_HEADERS are installed and staged as <webwire/...>.
function(wwr_module name)
  cmake_parse_arguments(M "" "" "SOURCES;DEPS;LIBS;PUBLIC_HEADERS" ${ARGN})
  add_library(${name} STATIC ${M_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${M_DEPS} PRIVATE ${M_LIBS} wwr_flags)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON
                                           C_VISIBILITY_PRESET hidden)
  set_property(GLOBAL APPEND PROPERTY WWR_MODULES ${name})
  set_property(GLOBAL APPEND PROPERTY WWR_LIBS ${M_LIBS})
  list(TRANSFORM M_PUBLIC_HEADERS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  set_property(GLOBAL APPEND PROPERTY WWR_PUBLIC_HEADERS ${M_PUBLIC_HEADERS})
  foreach(header IN LISTS M_PUBLIC_HEADERS)
    file(COPY ${header} DESTINATION ${PROJECT_BINARY_DIR}/include/webwire)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  endforeach()
endfunction()

# One CUnit suite: its own process, its own CTest entry, a time limit.
#
#   wwr_test(NAME SOURCES x_test.c ... DEPS wwr_core ... [TIMEOUT s] [ARGS ...])
function(wwr_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;DEPS;LIBS;ARGS;LABELS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 60)
  endif()
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_DEPS} ${T_LIBS} wwr_testlib
                                        wwr_flags)
  add_test(NAME ${name} COMMAND ${name} ${T_ARGS})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS
                                          "${T_LABELS}")
endfunction()
