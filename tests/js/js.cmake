# JavaScript: each NAME.test.mjs is an entry js_AREA_NAME, run by Node.js beside
# the programs of this build. Without Node.js, npm or the network they are
# skipped; `js_packages` says why.
set(js_dir ${CMAKE_CURRENT_SOURCE_DIR}/js)
set(js_modules ${CMAKE_CURRENT_BINARY_DIR}/js-modules)

add_test(NAME js_packages COMMAND ${js_dir}/run.sh packages ${js_modules})
set_tests_properties(js_packages PROPERTIES FIXTURES_SETUP js TIMEOUT 420
                                            SKIP_RETURN_CODE 77 LABELS js)

# js_tests(AREA [PROPERTY VALUE]...): all test files of the folder.
function(js_tests area)
  file(GLOB files CONFIGURE_DEPENDS ${js_dir}/${area}/*.test.mjs)
  foreach(file IN LISTS files)
    get_filename_component(name ${file} NAME_WE)
    string(REPLACE "-" "_" name js_${area}_${name})
    add_test(NAME ${name} COMMAND ${js_dir}/run.sh test ${js_modules} ${file})
    set_tests_properties(${name} PROPERTIES
      FIXTURES_REQUIRED js SKIP_RETURN_CODE 77 TIMEOUT 120 LABELS "js;${area}"
      ENVIRONMENT "WWR_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};WWR_JS_OUT=${CMAKE_CURRENT_BINARY_DIR}/js-out"
      ${ARGN})
  endforeach()
endfunction()

js_tests(harness)
js_tests(servers)
# No program of ours takes part in the client's and the page's own tests, and what
# the browser asks of the servers the other suites ask under the sanitizers.
if(NOT WWR_SANITIZE)
  js_tests(client)
  js_tests(page)
  js_tests(deploy)
  # They take long and share a lock with others that do: early, not last.
  js_tests(e2e TIMEOUT 240 RESOURCE_LOCK cluster COST 60)
endif()
