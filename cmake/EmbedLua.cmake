# Lua scripts as C strings.
#
#   wwr_embed_lua(VARIABLE PREFIX wwri_script_ HEADER scripts.h
#                 SCRIPTS scripts/a.lua ... [FRAGMENTS DIR ...])
#
# sets VARIABLE to a generated C file that defines `const char PREFIXa[]` for
# each script; HEADER declares them. A line `-- include: NAME.lua` of a script,
# behind its `#!lua` line, stands for that file, from the script's own folder or
# one of the folders FRAGMENTS; a fragment includes nothing itself.
#
# The file is also the program that does it (cmake -P).
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(WWR_EMBED_LUA ${CMAKE_CURRENT_LIST_FILE})
  function(wwr_embed_lua variable)
    cmake_parse_arguments(E "" "PREFIX;HEADER" "SCRIPTS;FRAGMENTS" ${ARGN})
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${E_PREFIX}texts.c)
    list(TRANSFORM E_SCRIPTS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    set(depends ${E_SCRIPTS} ${WWR_EMBED_LUA}
                ${PROJECT_SOURCE_DIR}/cmake/Embed.cmake)
    foreach(script IN LISTS E_SCRIPTS)
      get_filename_component(dir ${script} DIRECTORY)
      list(APPEND E_FRAGMENTS ${dir})
    endforeach()
    list(REMOVE_DUPLICATES E_FRAGMENTS)
    foreach(dir IN LISTS E_FRAGMENTS)
      file(GLOB fragments CONFIGURE_DEPENDS ${dir}/*.lua)
      list(APPEND depends ${fragments})
    endforeach()
    list(REMOVE_DUPLICATES depends)
    add_custom_command(OUTPUT ${out}
      COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DPREFIX=${E_PREFIX}
              -DHEADER=${E_HEADER} "-DSCRIPTS=${E_SCRIPTS}"
              "-DFRAGMENTS=${E_FRAGMENTS}" -P ${WWR_EMBED_LUA}
      DEPENDS ${depends} VERBATIM)
    set(${variable} ${out} PARENT_SCOPE)
  endfunction()
  return()
endif()

include(${CMAKE_CURRENT_LIST_DIR}/Embed.cmake)

# Set `out` to the hex digits of the script with its fragments. Lines are found
# by their bytes: CMake's lists would trip over brackets and semicolons.
function(expand out script)
  file(STRINGS ${script} includes REGEX "^-- include: [a-z_]+\\.lua$")
  embed_read(text ${script})
  if(NOT text MATCHES "^23216c7561") # #!lua
    message(FATAL_ERROR "${script}: begins with no #!lua")
  endif()
  foreach(line IN LISTS includes)
    string(REPLACE "-- include: " "" name ${line})
    set(found "")
    foreach(dir IN LISTS FRAGMENTS)
      if(NOT found AND EXISTS ${dir}/${name})
        set(found ${dir}/${name})
      endif()
    endforeach()
    if(NOT found)
      message(FATAL_ERROR "${script}: no fragment ${name}")
    endif()
    string(HEX "${line}\n" from)
    embed_read(to ${found})
    string(REPLACE ${from} ${to} text ${text})
  endforeach()
  set(${out} ${text} PARENT_SCOPE)
endfunction()

set(all "/* Generated from Lua files. */\n#include \"${HEADER}\"\n")
foreach(script IN LISTS SCRIPTS)
  get_filename_component(name ${script} NAME_WE)
  expand(text ${script})
  embed_array(text ${text})
  string(APPEND all "\nconst char ${PREFIX}${name}[] = {${text}0};\n")
endforeach()
file(WRITE ${OUT} "${all}")
