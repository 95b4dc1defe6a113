# Sets the name for the next boot, and the pretty name, as Ansible does on a host with systemd.
by_systemd() {
  [ -d /run/systemd/system ] && has hostnamectl && run hostnamectl --pretty --static set-hostname "$name"
}
content=$name$newline
old=$(uname -n)
[ "$old" = "$name" ] || show '' "hostname = $old$newline" '' "hostname = $name$newline"
# systemd reads the name with or without a newline at the end.
if [ "$(cat /etc/hostname 2> /dev/null)" != "$name" ]; then
  if [ -z "$check" ] && by_systemd; then changed=1; else replace_file /etc/hostname 0644; fi
fi
if [ "$(uname -n)" != "$name" ]; then
  changed=1
  if [ -z "$check" ]; then
    if has hostname; then must hostname -- "$name"; else (printf %s "$name" > /proc/sys/kernel/hostname) || fail "cannot set the name"; fi
  fi
fi
finish
