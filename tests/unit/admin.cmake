foreach(name IN ITEMS text metrics life)
  wwr_test(admin_${name} SOURCES unit/admin_${name}_test.c DEPS wwr_admin)
endforeach()
