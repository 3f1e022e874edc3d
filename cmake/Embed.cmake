# For the scripts that turn files into C arrays: bytes as hex digits.

# Set `out` to the file's bytes.
function(embed_read out file)
  file(READ ${file} hex HEX)
  set(${out} "${hex}" PARENT_SCOPE)
endfunction()

# Set `out` to "0x01,0x02,...," of them.
function(embed_array out hex)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," array "${hex}")
  set(${out} "${array}" PARENT_SCOPE)
endfunction()
