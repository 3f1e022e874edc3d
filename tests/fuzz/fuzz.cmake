# Every build replays the corpora; WWR_BUILD_FUZZ also makes the fuzzers:
#   bin/fuzz_decode tests/fuzz/corpus/decode
# wwr_fuzz(decode MODULES wwr_core ...): fuzz_decode.c, corpus/decode.
function(wwr_fuzz name)
  cmake_parse_arguments(F "" "" "MODULES;LIBS" ${ARGN})
  set(target fuzz/fuzz_${name}.c)
  wwr_test(fuzz_${name}_replay SOURCES fuzz/replay.c ${target}
           DEPS ${F_MODULES}
           ARGS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
  if(NOT WWR_BUILD_FUZZ)
    return()
  endif()
  # The modules' sources again, so that they too are instrumented.
  add_executable(fuzz_${name} ${target})
  foreach(module IN LISTS F_MODULES)
    get_target_property(sources ${module} SOURCES)
    get_target_property(directory ${module} SOURCE_DIR)
    list(TRANSFORM sources PREPEND ${directory}/)
    target_sources(fuzz_${name} PRIVATE ${sources})
    target_include_directories(fuzz_${name} PRIVATE ${directory})
  endforeach()
  set(sanitizers -fsanitize=fuzzer,address,undefined
                 -fno-sanitize-recover=undefined)
  target_compile_definitions(fuzz_${name} PRIVATE
    WWR_VERSION="${PROJECT_VERSION}")
  target_compile_options(fuzz_${name} PRIVATE -g -O1 ${sanitizers})
  target_link_options(fuzz_${name} PRIVATE ${sanitizers})
  target_link_libraries(fuzz_${name} PRIVATE ${F_LIBS} wwr_flags)
endfunction()

if(WWR_BUILD_FUZZ AND NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "WWR_BUILD_FUZZ needs clang")
endif()
wwr_fuzz(decode MODULES wwr_core wwr_protocol)
wwr_fuzz(envelope MODULES wwr_core wwr_protocol wwr_cluster)
if(TARGET wwr_cluster_replies)
  wwr_fuzz(hint MODULES wwr_core wwr_protocol wwr_loop wwr_redis wwr_cluster
                        wwr_cluster_replies
           LIBS PkgConfig::HIREDIS PkgConfig::LIBUV OpenSSL::SSL
                OpenSSL::Crypto Threads::Threads)
endif()
if(TARGET wwr_redis)
  wwr_fuzz(slots MODULES wwr_core wwr_loop wwr_redis
           LIBS PkgConfig::HIREDIS PkgConfig::LIBUV OpenSSL::SSL
                OpenSSL::Crypto Threads::Threads)
endif()
if(TARGET wwr_transport)
  wwr_fuzz(wsparser MODULES wwr_core wwr_loop wwr_transport
           LIBS PkgConfig::LIBUV Threads::Threads)
  wwr_fuzz(wshead MODULES wwr_core wwr_loop wwr_transport
           LIBS PkgConfig::LIBUV Threads::Threads)
endif()
wwr_fuzz(session MODULES wwr_core wwr_session LIBS PkgConfig::JANSSON)
