# The test library, and checks of the source tree and of what is installed.
wwr_test(testlib_test SOURCES build/testlib_test.c)
