# The parts of webwired that know no server.
wwr_test(webwired_rate_test SOURCES unit/webwired_rate_test.c
         DEPS webwired_core LABELS unit)
wwr_test(webwired_token_test SOURCES unit/webwired_token_test.c
         DEPS webwired_core LIBS OpenSSL::Crypto PkgConfig::JWT LABELS unit)
foreach(name IN ITEMS policy message)
  wwr_test(webwired_${name}_test SOURCES unit/webwired_${name}_test.c
           DEPS webwired_core LABELS unit)
endforeach()
