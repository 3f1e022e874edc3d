wwr_test(protocol_decode SOURCES unit/decode_test.c unit/golden.c
         DEPS wwr_protocol)
wwr_test(protocol_encode SOURCES unit/encode_test.c unit/golden.c
         DEPS wwr_protocol)
wwr_test(protocol_payload SOURCES unit/payload_test.c DEPS wwr_protocol)
