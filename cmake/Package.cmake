# Debian packages: `cpack --config BUILD/CPackConfig.cmake`, or the preset
# `package`, which has them built for /usr. What only a package has (the unit, the
# configuration in /etc, maintainer scripts) is added by PackageFiles.cmake.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "The WebWire Cluster authors")
set(CPACK_PACKAGE_CONTACT "The WebWire Cluster authors <packages@webwire.invalid>")
# Each package has a summary of its own: CPack puts this one in front of all of
# them, except when it is what it would be by default.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_NAME} built using CMake")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
    WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/PackageFiles.cmake)
set(CPACK_WWR_SOURCE_DIR ${PROJECT_SOURCE_DIR})
set(CPACK_COMPONENTS_ALL library dev tools)
if(TARGET webwired)
  list(APPEND CPACK_COMPONENTS_ALL server)
endif()

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# Loaded at run time by name, so that shlibdeps doesn't see it.
set(evlib libwebsockets-evlib-uv)

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libwebwire${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS ${evlib})
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "messaging over WebSocket, library
Requests with replies, signals in both directions and sessions over WebSocket,
on one node or many of them with Redis in between. This is the library with
which servers and clients in C are written.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libwebwire-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libwebwire${PROJECT_VERSION_MAJOR} \
(= ${PROJECT_VERSION}), libwebsockets-dev, libuv1-dev, libssl-dev, \
libhiredis-dev, libjansson-dev, libconfig-dev")
set(CPACK_COMPONENT_DEV_DESCRIPTION "messaging over WebSocket, for developers
Headers, the static library, the CMake package, webwire.pc, and the JavaScript
client.")

set(CPACK_DEBIAN_SERVER_PACKAGE_NAME webwire-server)
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION net)
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "${evlib}, adduser")
set(CPACK_DEBIAN_SERVER_PACKAGE_RECOMMENDS webwire-tools)
set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS "redis-server, haproxy")
set(CPACK_COMPONENT_SERVER_DESCRIPTION "messaging over WebSocket, node daemon
webwired takes WebSocket connections and passes messages between them by
channels, with history, presence and sign-in. Many of them with one Redis
are one server; a load balancer in front needs no stickiness.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME webwire-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION net)
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS ${evlib})
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "messaging over WebSocket, tools
The command line tool, the load generator, and the examples: echo, pubsub and
the chat room, each server and client.")

set(scripts ${PROJECT_SOURCE_DIR}/deploy/debian)
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA
    "${scripts}/postinst;${scripts}/prerm;${scripts}/postrm;${scripts}/conffiles")
file(WRITE ${PROJECT_BINARY_DIR}/deb/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA
    ${PROJECT_BINARY_DIR}/deb/triggers)
include(CPack)
