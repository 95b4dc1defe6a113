content=$name$newline
old=$(uname -n)
[ "$old" = "$name" ] || show '' "hostname = $old$newline" '' "hostname = $name$newline"
# systemd reads the name with or without a newline at the end.
[ "$(cat /etc/hostname 2> /dev/null)" = "$name" ] || replace_file /etc/hostname 0644
if [ "$(uname -n)" != "$name" ]; then
  changed=1
  if [ -z "$check" ]; then
    if has hostname; then must hostname -- "$name"; else (printf %s "$name" > /proc/sys/kernel/hostname) || fail "cannot set the name"; fi
  fi
fi
finish
