needs systemctl
if [ -n "$unit" ] && [ "${scope:-system}" = system ] && [ -e "/run/muster/files/$unit" ]; then
  fail "$unit is a unit of the cluster, which the module \`unit\` changes"
fi
case $scope in
  user | global) set -- systemctl "--$scope" ;;
  *) set -- systemctl ;;
esac
options=
if [ "$scope" = user ]; then
  export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"
fi
[ "$no_block" != yes ] || options=--no-block
[ "$force" != yes ] || options="$options --force"

# Runs systemctl for the whole manager. That counts as no change.
tell_manager() {
  action=$1
  shift
  [ -z "$check" ] || return 0
  run "$@" "$action" || fail "failure $rc during $action: $err"
}
[ "$daemon_reload" != yes ] || tell_manager daemon-reload "$@"
[ "$daemon_reexec" != yes ] || tell_manager daemon-reexec "$@"
[ -n "$unit" ] || finish

run "$@" show -- "$unit" || fail "Service is in unknown state: ${err:-$out}"
say status:properties "$out"
property() { printf '%s\n' "$properties" | sed -n "s/^$1=//p" | head -n 1; }
properties=$out
load=$(property LoadState) active=$(property ActiveState)

missing() { [ "$load" = not-found ] || { [ "$load" = error ] && [ "$masked" != yes ]; }; }

if [ -n "$masked" ]; then
  is=no
  [ "$load" != masked ] || is=yes
  # A unit without a file can be masked too, so systemd is asked about the link.
  if run "$@" is-enabled -- "$unit" || [ -n "$out" ]; then
    case $out in masked | masked-runtime) is=yes ;; esac
  fi
  if [ "$is" != "$masked" ]; then
    if [ "$masked" = yes ]; then action=mask; else action=unmask; fi
    failed="Unable to $action service $unit"
    change "$@" $options "$action" -- "$unit"
    if [ -z "$check" ] && [ "$action" = unmask ] && [ "$load" = masked ]; then
      run "$@" show -p LoadState -p ActiveState -- "$unit"
      properties=$out
      load=$(property LoadState) active=$(property ActiveState)
    fi
  fi
fi

if [ -n "$enabled" ]; then
  if missing; then fail "Could not find the requested service $name: host"; fi
  is=no
  if run "$@" is-enabled -- "$unit"; then
    case $out in indirect | alias) ;; *) is=yes ;; esac
  fi
  if [ "$is" != "$enabled" ]; then
    if [ "$enabled" = yes ]; then action=enable; else action=disable; fi
    changed=1
    if [ -z "$check" ] && ! run "$@" $options "$action" -- "$unit"; then
      fail "Unable to $action service $name: $out$err"
    fi
  fi
  if [ "$enabled" = yes ]; then say enabled:flag 1; else say enabled:flag 0; fi
fi

# Adds to the message of a failure the state of the unit, the exit code and the last lines of the journal.
explain_failure() {
  said=$out$err
  if run "$@" show -p ActiveState -p SubState -p ExecMainStatus -p ExecReload -- "$unit"; then
    properties=$out code=$(property ExecMainStatus)
    [ "$action" != reload ] || code=$(property ExecReload | sed -n 's/.*status=\([0-9]*\).*/\1/p')
    said="$said
$unit is $(property ActiveState) ($(property SubState))"
    case $code in '' | 0) ;; *) said="$said, exit code $code" ;; esac
  fi
  if [ "${scope:-system}" = system ] && run journalctl --quiet --no-pager --lines 3 --output cat --unit "$unit"; then
    said="$said
$(printf '%s\n' "$out" | sed -n '/./s/^/journal: /p')"
  fi
}

if [ -n "$state" ]; then
  if missing; then fail "Could not find the requested service $name: host"; fi
  action=
  case $state:$active in
    started:active | started:activating | started:reloading) ;;
    started:*) action=start ;;
    stopped:active | stopped:activating | stopped:deactivating | stopped:reloading) action=stop ;;
    stopped:*) ;;
    *:active | *:activating | *:reloading) action=${state%ed} ;;
    *) action=start ;;
  esac
  case $state in restarted | reloaded) say state started ;; esac
  if [ -n "$action" ]; then
    changed=1
    if [ -z "$check" ] && ! run "$@" $options "$action" -- "$unit"; then
      explain_failure "$@"
      fail "Unable to $action service $name: $said"
    fi
  fi
fi
finish
