needs ufw
[ -z "$check" ] || dry=--dry-run
# Prints all that ufw may change.
snapshot() {
  ufw status verbose 2> /dev/null
  cat /etc/default/ufw /etc/ufw/ufw.conf /etc/ufw/user.rules /etc/ufw/user6.rules /lib/ufw/user.rules /lib/ufw/user6.rules 2> /dev/null
}
commands=
# Runs ufw. A check compares what it prints with the rules of the files.
act() {
  commands="${commands}ufw $*$newline"
  if [ -z "$check" ]; then
    must ufw "$@"
    return
  fi
  run ufw --dry-run "$@" || { say_run && fail "$err$out"; }
  case $out in
    *'Skipping '* | *'Could not delete non-existent rule'*) ;;
    *)
      printed=$(printf '%s\n' "$out" | grep '^### tuple' | sort -u)
      held=$(cat /etc/ufw/user.rules /etc/ufw/user6.rules /lib/ufw/user.rules /lib/ufw/user6.rules 2> /dev/null | grep '^### tuple' | sort -u)
      [ "$printed" = "$held" ] || changed=1 ;;
  esac
}
status=$(ufw status verbose 2>&1) || fail "$status"
before=$(snapshot)
case $direction in in) direction=in long=incoming ;; incoming) direction=in long=incoming ;; out | outgoing) direction=out long=outgoing ;; routed) long=routed ;; *) long=incoming ;; esac
case $logging in True) logging=on ;; False) logging=off ;; esac
is_active() { case $status in *'Status: active'*) true ;; *) false ;; esac; }

case $state in
  enabled) if [ -z "$check" ]; then act -f enable; else is_active || changed=1; fi ;;
  disabled) if [ -z "$check" ]; then act -f disable; else ! is_active || changed=1; fi ;;
  reloaded) if [ -z "$check" ]; then act -f reload; else changed=1; fi ;;
  reset) if [ -z "$check" ]; then act -f reset; else changed=1; fi ;;
esac
if [ -n "$logging" ]; then
  if [ -z "$check" ]; then
    act logging "$logging"
  else
    now=$(printf '%s\n' "$status" | sed -n 's/^Logging: //p')
    case $logging:$now in off:off | on:on* | *":on ($logging)") ;; *) changed=1 ;; esac
  fi
fi
if [ -n "$default" ]; then
  if [ -z "$check" ]; then
    act default "$default" "$long"
  else
    case $status in *" $default ($long)"*) ;; *) changed=1 ;; esac
  fi
fi
if [ -n "$rule" ]; then
  set --
  [ "$route" != yes ] || set -- "$@" route
  [ "$delete" != yes ] || set -- "$@" delete
  [ -z "$insert" ] || set -- "$@" insert "$insert"
  set -- "$@" "$rule"
  case $direction in in | out) set -- "$@" "$direction" ;; esac
  [ -z "$interface" ] || set -- "$@" on "$interface"
  [ -z "$interface_in" ] || set -- "$@" in on "$interface_in"
  [ -z "$interface_out" ] || set -- "$@" out on "$interface_out"
  [ "$log" != yes ] || set -- "$@" log
  [ -z "$proto" ] || [ "$proto" = any ] || set -- "$@" proto "$proto"
  set -- "$@" from "${from_ip:-any}"
  [ -z "$from_port" ] || set -- "$@" port "$from_port"
  set -- "$@" to "${to_ip:-any}"
  [ -z "$to_port" ] || set -- "$@" port "$to_port"
  [ -z "$name" ] || set -- "$@" app "$name"
  [ -z "$comment" ] || set -- "$@" comment "$comment"
  act "$@"
fi
say commands:lines "$commands"
if [ -z "$check" ]; then
  say msg "$(ufw status verbose 2>&1)"
  [ "$before" = "$(snapshot)" ] || changed=1
  case $state in reloaded | reset) changed=1 ;; esac
else
  say msg "$status"
fi
finish
