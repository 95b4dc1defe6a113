dest=${dest:-/etc/security/limits.conf}
dest=$(readlink -f -- "$dest")
if [ -f "$dest" ]; then
  [ -w "$dest" ] || fail "$dest is not writable. Use sudo"
  keep_content cat -- "$dest"
else
  [ -d "$(dirname -- "$dest")" ] && [ -w "$(dirname -- "$dest")" ] || fail "directory $(dirname -- "$dest") is not writable (check presence, access rights, use sudo)"
  content='' changed=1
fi
old=$content
export domain limit_type limit_item value use_max use_min comment
# The program prints the new file, and the line of the limit after a mark. As in Ansible, a line that gets the comment of
# an earlier one gets the end of that line too.
new=$(printf %s "$content" | awk '
function unlimited(word) { return word == "unlimited" || word == "infinity" || word == "-1" }
function chosen(old, new) {
  if (max != "yes" && min != "yes") return new
  if (unlimited(old) && unlimited(new)) return old
  if (unlimited(old)) return max == "yes" ? old : new
  if (unlimited(new)) return max == "yes" ? new : old
  return (new + 0 > old + 0) == (max == "yes") ? new : old
}
function limit(value) { return domain "\t" type "\t" item "\t" value (note != "" ? "\t#" note : "") }
BEGIN {
  domain = ENVIRON["domain"]; type = ENVIRON["limit_type"]; item = ENVIRON["limit_item"]; value = ENVIRON["value"]
  max = ENVIRON["use_max"]; min = ENVIRON["use_min"]; note = ENVIRON["comment"]; wanted = value
}
{
  line = $0
  text = line; hash = index(text, "#"); tail = ""
  if (substr(line, 1, 1) != "#" && hash) { tail = substr(text, hash + 1) "\n"; text = substr(text, 1, hash - 1) }
  count = split(text, field, /[ \t]+/)
  first = field[1] == "" ? 2 : 1
  while (count > 0 && field[count] == "") count--
  if (substr(line, 1, 1) == "#" || line ~ /^[ \t]*$/) { print line; next }
  if (note == "") note = tail
  if (count - first + 1 != 4) { print line; next }
  if (field[first] == domain && field[first + 1] == type && field[first + 2] == item) {
    found = 1; old = field[first + 3]
    if (value != old) { wanted = chosen(old, value); if (wanted != old) line = limit(wanted) }
    message = line
  }
  print line
}
END {
  if (!found) { message = limit(wanted); print message }
  printf "\001%s", message
}'; printf x)
new=${new%x}
mark=$(printf '\001')
message=${new##*"$mark"} content=${new%"$mark"*}
[ ! -f "$dest" ] || keep_copy "$dest" "$dest"
show "$dest" "$old" "$dest" "$content"
replace_file "$dest"
say msg "$message$newline"
finish
