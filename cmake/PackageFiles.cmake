cmake_policy(VERSION 3.25)

# Run by CPack between installing and packing: what only Debian packages hold.
# Each component lies in a folder of its own, as it will be below /.
set(source ${CPACK_WWR_SOURCE_DIR})
set(stage ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(dirs DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
    GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# As Debian wants documents: compressed, without a time in it.
function(compress file)
  execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} upper)
  set(docs ${stage}/${component}/usr/share/doc)
  string(APPEND docs /${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  file(COPY ${source}/deploy/debian/copyright DESTINATION ${docs} ${dirs})
  configure_file(${source}/deploy/debian/changelog.in ${docs}/changelog @ONLY)
  compress(${docs}/changelog)
  file(GLOB pages ${stage}/${component}/usr/share/man/*/*.[1-8])
  foreach(page IN LISTS pages)
    compress(${page})
  endforeach()
endforeach()

file(GLOB_RECURSE archives ${stage}/*/usr/lib/*.a)
execute_process(COMMAND strip --strip-debug ${archives} COMMAND_ERROR_IS_FATAL ANY)

if("server" IN_LIST CPACK_COMPONENTS_ALL)
  set(root ${stage}/server)
  file(REMOVE_RECURSE ${root}/usr/share/doc/webwire)
  file(COPY ${source}/deploy/webwired.conf DESTINATION ${root}/etc/webwire
       ${dirs})
  file(COPY ${source}/deploy/systemd/webwired.service
       DESTINATION ${root}/usr/lib/systemd/system ${dirs})
  configure_file(${source}/deploy/systemd/sysusers.conf
                 ${root}/usr/lib/sysusers.d/webwire.conf COPYONLY)
  file(COPY ${source}/deploy/haproxy/haproxy.cfg
       ${source}/deploy/nginx/nginx.conf
       DESTINATION ${root}/usr/share/doc/webwire-server/examples ${dirs})
endif()
