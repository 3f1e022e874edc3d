# The files of a web site as a C table (examples/chatroom/site.h).
#
#   wwr_embed_site(VARIABLE FILES DIR/index.html ...)
#
# sets VARIABLE to a generated C file that defines `site_files`: each file under
# "/NAME" with the type of its extension and an ETag made of its content;
# index.html also as "/". A file that changes is embedded again.
#
# The file is also the program that does it (cmake -P).
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(WWR_EMBED_SITE ${CMAKE_CURRENT_LIST_FILE})
  function(wwr_embed_site variable)
    cmake_parse_arguments(E "" "" "FILES" ${ARGN})
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${variable}.c)
    add_custom_command(OUTPUT ${out}
      COMMAND ${CMAKE_COMMAND} -DOUT=${out} "-DFILES=${E_FILES}"
              -P ${WWR_EMBED_SITE}
      DEPENDS ${E_FILES} ${WWR_EMBED_SITE} ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake
      VERBATIM)
    set(${variable} ${out} PARENT_SCOPE)
  endfunction()
  return()
endif()

include(${CMAKE_CURRENT_LIST_DIR}/Embed.cmake)

set(type_.html "text/html; charset=utf-8")
set(type_.css "text/css; charset=utf-8")
set(type_.js "text/javascript; charset=utf-8")
set(type_.svg "image/svg+xml")
set(type_.png "image/png")
set(type_.webmanifest "application/manifest+json")

set(arrays "")
set(rows "")
set(count 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  get_filename_component(extension ${file} LAST_EXT)
  set(type "${type_${extension}}")
  if(NOT type OR NOT name MATCHES "^[A-Za-z0-9._-]+$")
    message(FATAL_ERROR "${file}: no type is known for it, or an odd name")
  endif()
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 32 hash)
  embed_read(hex ${file})
  embed_array(bytes "${hex}")
  # The 0 is never sent: it lets an empty file be an array.
  string(APPEND arrays
         "static const unsigned char bytes_${count}[] = {${bytes}0};\n")
  set(row "\"${type}\", \"\\\"${hash}\\\"\", bytes_${count},
     sizeof bytes_${count} - 1},\n")
  if(name STREQUAL "index.html")
    string(APPEND rows "    {\"/\", ${row}")
  endif()
  string(APPEND rows "    {\"/${name}\", ${row}")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUT} "/* Generated from the files of the site. */
#include \"site.h\"

${arrays}
const struct site_file site_files[] = {
${rows}};
const size_t site_file_count = sizeof site_files / sizeof *site_files;
")
