ctl=
for each in apache2ctl apachectl; do if [ -z "$ctl" ] && has "$each"; then ctl=$each; fi; done
[ -n "$ctl" ] || fail "Neither of apache2ctl nor apachectl found. At least one apache control binary is necessary."
case $state in
  absent) tool=a2dismod wanted=disabled ;;
  *) tool=a2enmod wanted=enabled ;;
esac
# Sets `now`.
look_up() {
  run "$ctl" -M || [ "$ignore_configcheck" = yes ] || { say_run && fail "Error executing $ctl: $err"; }
  if printf '%s\n' "$out" | grep -qF " $identifier "; then now=enabled; else now=disabled; fi
}
look_up
if [ "$now" != "$wanted" ]; then
  if [ "$name" = cgi ] && "$ctl" -V 2> /dev/null | grep -q 'threaded: *yes'; then
    fail "Your MPM seems to be threaded. No automatic actions on module cgi possible."
  fi
  needs "$tool"
  set -- "$tool"
  if [ "$force" = yes ] && [ "$wanted" = disabled ]; then set -- "$@" -f; fi
  change "$@" "$name"
  if [ -z "$check" ]; then
    printed=$out problems=$err
    look_up
    [ "$now" = "$wanted" ] || { out=$printed err=$problems rc=0 && say_run &&
      fail "Failed to set module $name to $wanted:$newline$printed${newline}Maybe the module identifier ($identifier) was guessed incorrectly.Consider setting the \"identifier\" option."; }
  fi
fi
say result "Module $name $wanted"
finish
