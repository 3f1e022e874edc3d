# The folders together: one shared and one static library, staged and installed.
get_property(modules GLOBAL PROPERTY WWR_MODULES)
get_property(libs GLOBAL PROPERTY WWR_LIBS)
get_property(WWR_HEADERS GLOBAL PROPERTY WWR_PUBLIC_HEADERS)
list(REMOVE_DUPLICATES libs)
foreach(module IN LISTS modules)
  list(APPEND objects $<TARGET_OBJECTS:${module}>)
endforeach()

foreach(kind STATIC SHARED)
  string(TOLOWER webwire_${kind} target)
  add_library(${target} ${kind} ${objects})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME webwire
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    LINKER_LANGUAGE C)
  target_link_libraries(${target} PRIVATE ${libs})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
