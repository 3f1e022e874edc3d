wwr_test(session_rfc3339 SOURCES unit/rfc3339_test.c DEPS wwr_session)
wwr_test(session_session SOURCES unit/session_test.c DEPS wwr_session)
wwr_test(session_json SOURCES unit/session_json_test.c DEPS wwr_session)
