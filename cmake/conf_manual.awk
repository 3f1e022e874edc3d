# conf_manual.awk: the sample configuration (`webwired --sample-config`) as the
# list of keys of webwired.conf(5), so that the manual can't lag behind. Reads
# comments in front of keys, "section = {" and what is inside it.
function escape(text) {
  gsub(/\\/, "\\e", text)
  gsub(/"/, "\\(dq", text)
  return text
}

# A sentence per line, none too long, none of them a request to the formatter.
function say(text, words, count, i, line) {
  count = split(escape(text), words, / +/)
  line = ""
  for (i = 1; i <= count; i++) {
    if (line != "" && length(line) + length(words[i]) > 76) line = put(line)
    line = line == "" ? words[i] : line " " words[i]
    if (words[i] ~ /\.$/) line = put(line)
  }
  put(line)
}

function put(line) {
  if (line ~ /^[.']/) line = "\\&" line
  if (line != "") print line
  return ""
}

function flush() {
  say(comment)
  comment = ""
}

function add(text) {
  sub(/ +$/, "", text)
  comment = comment == "" ? text : comment " " text
}

BEGIN { started = 0 }

# What comes before the first section is about the file; the page says that.
/^[a-z]+ = \{/ {
  section = $1
  print ".Ss " section
  if (started) flush()
  started = 1
  comment = kept
  flush()
  print ".Bl -tag -width Ds"
  kept = ""
  next
}
/^\};/ { print ".El"; section = ""; next }
section == "" && /^#/ { sub(/^# ?/, ""); kept = kept == "" ? $0 : kept " " $0; next }
section == "" { kept = ""; next }

# A key, at the first level or of a group's items.
/^ *#( *)[a-z][a-z0-9-]* = / {
  line = $0
  inner = line ~ /^ *# +[a-z]/
  sub(/^ *# */, "", line)
  name = line
  sub(/ = .*/, "", name)
  if (line ~ /= \($/) { group = name; inner = 0 }
  path = section "." (inner ? group "[]." : "") name
  print ".It Ic " path
  flush()
  next
}
/^ *#  *#/ { sub(/^ *# *# ?/, ""); add($0); next }
/^ *# / { line = $0; sub(/^ *# /, "", line); if (line !~ /^ *[{}]/) add(line); next }
/^ *#\);/ { group = ""; comment = ""; next }
