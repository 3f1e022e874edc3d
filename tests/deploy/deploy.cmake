# deploy/ for real: packages, images, load balancers, the unit, the manuals. Where
# a program, root or the network is missing they are skipped. No sanitizer sees
# anything new here, so that they run in the plain build only.
set(deploy_dir ${CMAKE_CURRENT_SOURCE_DIR}/deploy)
set(deploy_out ${PROJECT_BINARY_DIR}/deploy)

# deploy_test(NAME ARG... [PROPERTIES ...])
function(deploy_test name)
  cmake_parse_arguments(D "" "" "COMMAND;PROPERTIES" ${ARGN})
  list(POP_FRONT D_COMMAND script)
  add_test(NAME deploy_${name} COMMAND ${deploy_dir}/${script} ${D_COMMAND})
  set_tests_properties(deploy_${name} PROPERTIES TIMEOUT 240 LABELS deploy
    SKIP_RETURN_CODE 77 ${D_PROPERTIES})
endfunction()

if(NOT WWR_SANITIZE AND WWR_BUILD_EXAMPLES AND WWR_BUILD_BENCH)
  deploy_test(packages
    COMMAND packages.sh ${PROJECT_BINARY_DIR} ${deploy_out} ${CMAKE_C_COMPILER}
    PROPERTIES FIXTURES_SETUP debs)
  deploy_test(manuals COMMAND manuals.sh ${PROJECT_BINARY_DIR})
  deploy_test(unit COMMAND unit.sh)
  deploy_test(alerts COMMAND alerts.sh)
  deploy_test(base COMMAND base.sh ${deploy_out}
    PROPERTIES FIXTURES_REQUIRED debs FIXTURES_SETUP debian COST 60)
  deploy_test(install COMMAND install.sh ${deploy_out}
    PROPERTIES FIXTURES_REQUIRED debian)
  deploy_test(service COMMAND service.sh ${deploy_out}
    PROPERTIES FIXTURES_REQUIRED debian)
  deploy_test(image COMMAND image.sh build ${deploy_out}
    PROPERTIES FIXTURES_REQUIRED debian FIXTURES_SETUP images COST 50)
  add_executable(publisher ${deploy_dir}/publisher.c)
  target_link_libraries(publisher PRIVATE example_common wwr_flags)
  deploy_test(image_runs COMMAND image.sh run ${deploy_out}
    PROPERTIES FIXTURES_REQUIRED images RESOURCE_LOCK podman)
  deploy_test(compose
    COMMAND compose.sh ${deploy_out} ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}
    PROPERTIES FIXTURES_REQUIRED images RESOURCE_LOCK podman)
  deploy_test(clean COMMAND clean.sh ${deploy_out}
    PROPERTIES FIXTURES_CLEANUP images)
endif()
