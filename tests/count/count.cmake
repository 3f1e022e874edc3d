# What a delivery, an echo, a connect and a decode cost in instructions: counted
# by valgrind, compared with bench/instructions.txt. Other compilers, other
# optimisation and sanitizers have other counts.
add_executable(decode_count count/decode_count.c unit/golden.c)
target_include_directories(decode_count PRIVATE unit)
target_link_libraries(decode_count PRIVATE wwr_protocol wwr_testlib wwr_flags)
if(TARGET webwire-bench AND TARGET echo-server AND NOT WWR_SANITIZE
   AND CMAKE_C_COMPILER_ID STREQUAL GNU
   AND CMAKE_BUILD_TYPE STREQUAL RelWithDebInfo)
  add_test(NAME instructions COMMAND ${PROJECT_SOURCE_DIR}/bench/instructions.sh
           --bin ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  set_tests_properties(instructions PROPERTIES TIMEOUT 240 SKIP_RETURN_CODE 77)
endif()
