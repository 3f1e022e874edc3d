# The test library, and checks of the source tree and of what is installed.
wwr_test(testlib_test SOURCES build/testlib_test.c)

# check(NAME SCRIPT ARG...): exit 77 is a skip, with its reason as output.
function(check name script)
  add_test(NAME ${name}
           COMMAND ${PROJECT_SOURCE_DIR}/tests/build/${script} ${ARGN})
  set_tests_properties(${name} PROPERTIES TIMEOUT 240 SKIP_RETURN_CODE 77
                                          LABELS build)
endfunction()

string(JOIN " " sanitize_flags ${WWR_SANITIZE_FLAGS})
if(CMAKE_C_COMPILER_ID MATCHES Clang)
  set(cxx clang++)
else()
  set(cxx g++)
endif()
set(staged ${PROJECT_BINARY_DIR}/include)
check(install check_install.sh ${PROJECT_BINARY_DIR} ${CMAKE_C_COMPILER} ${cxx}
      "${sanitize_flags}")
check(symbols check_symbols.sh $<TARGET_FILE:webwire_shared>)
# What a sanitizer doesn't change is checked once.
if(NOT WWR_SANITIZE)
  check(headers_as_c check_headers.sh ${staged} c ${CMAKE_C_COMPILER})
  check(headers_as_cxx check_headers.sh ${staged} c++ ${cxx})
  check(includes check_includes.sh ${PROJECT_SOURCE_DIR})
  check(shape check_shape.sh ${PROJECT_SOURCE_DIR})
  check(format check_format.sh ${PROJECT_SOURCE_DIR})
  check(shell check_shell.sh ${PROJECT_SOURCE_DIR})
endif()

# The measuring scripts, for a moment: ours, and beside other servers as far as
# they are installed. Sanitizers see webwire-bench in tests/wire.
if(TARGET webwire-bench AND TARGET echo-server AND TARGET chatroom-server
   AND NOT WWR_SANITIZE)
  add_test(NAME bench_quick COMMAND ${PROJECT_SOURCE_DIR}/bench/run.sh --quick
           --seconds 0.3 --bin ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  add_test(NAME compare_quick COMMAND
           ${PROJECT_SOURCE_DIR}/bench/compare.sh --quick --seconds 0.2
           --targets webwire,floor,nchan,webwire-redis,nchan-redis
           --columns 1000x1,idle --bin ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  set_tests_properties(bench_quick compare_quick PROPERTIES TIMEOUT 120)
endif()
