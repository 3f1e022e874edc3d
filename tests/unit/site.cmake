# The chat page's table of files.
if(TARGET chatroom_site)
  wwr_test(chatroom_site_test SOURCES unit/chatroom_site_test.c
           DEPS chatroom_site LABELS unit)
  target_include_directories(chatroom_site_test PRIVATE
    ${PROJECT_SOURCE_DIR}/transport ${PROJECT_SOURCE_DIR}/core)
endif()
