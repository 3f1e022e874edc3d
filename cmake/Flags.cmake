# Warnings, sanitizers and the feature macros every target of ours gets.
add_library(wwr_flags INTERFACE)
target_compile_definitions(wwr_flags INTERFACE _GNU_SOURCE)
target_compile_options(wwr_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes
  -Wmissing-prototypes -Wvla -Wwrite-strings
  # snprintf cuts off on purpose; what gcc guesses of it changes with -O and -f.
  $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>
  $<$<BOOL:${WWR_WERROR}>:-Werror>)

# Asserts guard our own mistakes and stay in release builds.
foreach(type RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()

if(WWR_SANITIZE STREQUAL "address")
  set(WWR_SANITIZE_FLAGS -fsanitize=address,undefined
      -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
elseif(WWR_SANITIZE STREQUAL "thread")
  set(WWR_SANITIZE_FLAGS -fsanitize=thread -fno-omit-frame-pointer)
elseif(WWR_SANITIZE)
  message(FATAL_ERROR "WWR_SANITIZE: '${WWR_SANITIZE}' is none of address, thread")
endif()
add_compile_options(${WWR_SANITIZE_FLAGS})
add_link_options(${WWR_SANITIZE_FLAGS})
