needs sysctl
file=${sysctl_file:-/etc/sysctl.conf}
ignore=
[ "$ignoreerrors" != yes ] || ignore=-e
flat() { printf '%s\n' "$1" | tr -s ' \t' ' ' | sed 's/^ //; s/ $//'; }

# Prints the file with the parameter as the task says. Only the last line of a parameter counts.
edit() {
  [ ! -f "$file" ] || cat -- "$file"
}
change_lines() {
  edit | NAME=$name VALUE=$value awk -v state="$state" '
    { text[++n] = $0; line = $0; sub(/^[ \t]*-?/, "", line); at = index(line, "=") }
    line ~ /^[#;]/ || !at { next }
    {
      key = substr(line, 1, at - 1)
      sub(/[ \t]+$/, "", key)
      if (key != ENVIRON["NAME"]) next
      held = substr(line, at + 1)
      gsub(/[ \t]+/, " ", held); sub(/^ /, "", held); sub(/ $/, "", held)
      own[n] = 1; same[n] = held == ENVIRON["VALUE"]; last = n
    }
    END {
      for (i = 1; i <= n; i++) {
        if (!own[i]) print text[i]
        else if (state != "absent" && i == last) { if (same[i]) print text[i]; else print ENVIRON["NAME"] "=" ENVIRON["VALUE"] }
      }
      if (state != "absent" && !last) print ENVIRON["NAME"] "=" ENVIRON["VALUE"]
    }'
}
keep_content change_lines
# A newline that is missing at the end of the file is no change.
if [ ! -f "$file" ] || [ "$(cat -- "$file")$newline" != "$content" ]; then
  if [ -n "$content" ] || [ -f "$file" ]; then replace_file "$file" 0644; fi
fi
in_file=$changed
if [ "$sysctl_set" = yes ] && [ "$state" != absent ]; then
  if run sysctl $ignore -n "$name"; then
    if [ "$(flat "$out")" != "$value" ]; then change sysctl $ignore -w "$name=$value"; fi
  else
    [ -n "$ignore" ] || fail "setting $name failed: $err"
  fi
fi
if [ -n "$in_file" ] && [ "$reload" != no ] && [ -z "$check" ]; then
  run sysctl $ignore -p "$file" || [ -n "$ignore" ] || fail "Failed to reload sysctl: $out$err"
fi
finish
