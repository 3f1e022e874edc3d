foreach(name IN ITEMS ops away repair)
  wwr_test(keeper_${name}_test
           SOURCES unit/keeper_${name}_test.c unit/keeper_fixture.c
           DEPS wwr_keeper LABELS unit)
endforeach()
wwr_test(keeper_random_test
         SOURCES unit/keeper_random_test.c unit/keeper_world.c
                 unit/keeper_model.c
         DEPS wwr_keeper LABELS unit TIMEOUT 120)
if(WWR_SANITIZE)
  target_compile_definitions(keeper_random_test PRIVATE KEEPER_FEW)
endif()
