needs getcap
needs setcap
run getcap -v "$path"
[ $rc = 0 ] && [ -z "$err" ] || fail "Unable to get capabilities of $path"
case $out in *')') fail "Unable to get capabilities of $path" ;; esac
# The list is `PATH cap_a,cap_b=ep`, or `PATH = cap_a,cap_b+ep` from older versions.
list=${out#"$path"}
list=${list# =}
# One capability in a line, each with its flags.
now=$(printf '%s\n' "$list" | tr 'A-Z' 'a-z' | tr -s ' ' '\n' | awk 'NF { at = match($0, /[=+-]/); n = split(substr($0, 1, at - 1), names, ","); for (i = 1; i <= n; i++) print names[i] substr($0, at) }')
others=$(printf '%s\n' "$now" | awk -v name="$name" '{ at = match($0, /[=+-]/); if (at && substr($0, 1, at - 1) != name) print }')
if [ "$state" = present ]; then
  if printf '%s\n' "$now" | grep -qxF -e "$wanted"; then finish; fi
  others=$others${others:+$newline}$wanted
elif [ "$others" = "$now" ]; then
  finish
fi
changed=1
say msg "capabilities changed"
[ -z "$check" ] || finish
run setcap "$(printf %s "$others" | tr '\n' ' ')" "$path" || { say_run && fail "Unable to set capabilities of $path"; }
say stdout "$out"
finish
