needs dpkg
run dpkg --get-selections "$name"
before=$(printf '%s\n' "$out" | awk '{ print $2; exit }')
[ -n "$before" ] || fail "Failed to find package '$name' to perform selection '$selection'."
if [ "$before" != "$selection" ]; then
  changed=1
  if [ -z "$check" ]; then
    e=$(echo "$name $selection" | dpkg --set-selections 2>&1) || fail "$e"
  fi
fi
say before "$before" && say after "$selection"
finish
