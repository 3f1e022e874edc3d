# Headers, both libraries, the CMake package, webwire.pc and the programs.
# Included last: it installs what the files before it defined.
include(CMakePackageConfigHelpers)

# One header that includes all: staged in the build tree like the others.
set(WWR_INCLUDES "")
set(names "")
foreach(header IN LISTS WWR_HEADERS)
  get_filename_component(name ${header} NAME)
  list(APPEND names ${name})
endforeach()
list(SORT names)
foreach(name IN LISTS names)
  string(APPEND WWR_INCLUDES "#include \"${name}\"\n")
endforeach()
configure_file(cmake/webwire.h.in ${PROJECT_BINARY_DIR}/include/webwire/webwire.h
               @ONLY)
install(FILES ${WWR_HEADERS} ${PROJECT_BINARY_DIR}/include/webwire/webwire.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/webwire COMPONENT dev)

# What a static link needs besides, by the names pkg-config knows.
set(pc_OpenSSL::SSL openssl)
set(pc_PkgConfig::LWS libwebsockets)
set(pc_PkgConfig::LIBUV libuv)
set(pc_PkgConfig::JANSSON jansson)
set(pc_PkgConfig::LIBCONFIG libconfig)
set(pc_PkgConfig::HIREDIS hiredis)
get_property(libs GLOBAL PROPERTY WWR_LIBS)
list(REMOVE_DUPLICATES libs)
set(WWR_PC_REQUIRES "")
set(WWR_CONFIG_MODULES "")
foreach(lib IN LISTS libs)
  list(APPEND WWR_PC_REQUIRES ${pc_${lib}})
  if(lib MATCHES "^PkgConfig::(.*)")
    string(APPEND WWR_CONFIG_MODULES
      "  pkg_check_modules(${CMAKE_MATCH_1} QUIET IMPORTED_TARGET ${pc_${lib}})\n"
      "  if(NOT TARGET ${lib})\n"
      "    set(webwire_static_FOUND FALSE)\n"
      "  endif()\n")
  endif()
endforeach()
string(REPLACE ";" ", " WWR_PC_REQUIRES "${WWR_PC_REQUIRES}")

# Found from where the file lies, so that an installed tree can be moved.
file(RELATIVE_PATH WWR_PC_UP ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
     ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" WWR_PC_UP "${WWR_PC_UP}")
configure_file(cmake/webwire.pc.in ${PROJECT_BINARY_DIR}/webwire.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/webwire.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/webwire)
configure_package_config_file(cmake/webwireConfig.cmake.in
  ${PROJECT_BINARY_DIR}/webwireConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(
  ${PROJECT_BINARY_DIR}/webwireConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/webwireConfig.cmake
              ${PROJECT_BINARY_DIR}/webwireConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT dev)

set_target_properties(webwire_shared PROPERTIES EXPORT_NAME webwire)
install(TARGETS webwire_shared EXPORT webwireTargets
        LIBRARY COMPONENT library NAMELINK_COMPONENT dev)
install(TARGETS webwire_static EXPORT webwireStaticTargets
        ARCHIVE COMPONENT dev)
install(EXPORT webwireTargets NAMESPACE webwire:: DESTINATION ${package_dir}
        COMPONENT dev)
install(EXPORT webwireStaticTargets NAMESPACE webwire::
        DESTINATION ${package_dir} COMPONENT dev)

# The JavaScript client, as npm would ship it.
install(DIRECTORY client/js/ DESTINATION ${CMAKE_INSTALL_DATADIR}/webwire/js
        COMPONENT dev)

# The programs, each with its manual: COMPONENT PROGRAM...
function(wwr_install_programs component)
  foreach(program IN LISTS ARGN)
    if(TARGET ${program})
      install(TARGETS ${program} RUNTIME COMPONENT ${component})
      wwr_install_manuals(${component} ${program})
    endif()
  endforeach()
endfunction()

function(wwr_install_manuals component)
  foreach(name IN LISTS ARGN)
    file(GLOB pages ${PROJECT_SOURCE_DIR}/docs/man/${name}.[1-8])
    foreach(page IN LISTS pages)
      string(REGEX REPLACE ".*\\." "" section ${page})
      install(FILES ${page} COMPONENT ${component}
              DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    endforeach()
  endforeach()
endfunction()

wwr_install_programs(server webwired)
wwr_install_programs(tools webwire webwire-bench echo-server echo-client
                     pubsub-server pubsub-client chatroom-server
                     chatroom-client)
if(TARGET webwired)
  # The manual of the configuration has the keys from the sample.
  set(conf_manual ${PROJECT_BINARY_DIR}/man/webwired.conf.5)
  add_custom_command(OUTPUT ${conf_manual}
    COMMAND awk -f ${PROJECT_SOURCE_DIR}/cmake/conf_manual.awk
            ${PROJECT_SOURCE_DIR}/deploy/webwired.conf > ${conf_manual}.keys
    COMMAND sed -e "/^@KEYS@/r ${conf_manual}.keys" -e "/^@KEYS@/d"
            ${PROJECT_SOURCE_DIR}/docs/man/webwired.conf.5.in > ${conf_manual}
    DEPENDS cmake/conf_manual.awk deploy/webwired.conf
            docs/man/webwired.conf.5.in
    VERBATIM)
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/man)
  add_custom_target(conf_manual ALL DEPENDS ${conf_manual})
  install(FILES ${conf_manual} COMPONENT server
          DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
  # The commented sample; what must not be overwritten is copied from it.
  install(FILES deploy/webwired.conf COMPONENT server
          DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()
include(cmake/Package.cmake)
