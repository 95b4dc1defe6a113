command=firewall-cmd
if has firewall-cmd && firewall-cmd --state > /dev/null 2>&1; then :; else
  [ "$offline" = yes ] || fail "firewalld is not running: start it, or set \`offline: true\`"
  command=firewall-offline-cmd lasting=1 now=
fi
needs "$command"
# An offline command is always permanent.
permanent=
[ "$command" = firewall-offline-cmd ] || permanent=--permanent
if [ -z "$zone" ]; then
  must "$command" --get-default-zone
  zone=$out
fi
# Adds or removes the rule where the options before it say.
bring() {
  if run "$@" "--query-$rule"; then present=1; else present=; fi
  case $err in *INVALID* | *rror:*) fail "ERROR: Exception caught: $err" ;; esac
  [ "$present" != "$on" ] || return 0
  if [ -n "$on" ]; then
    set -- "$@" "--add-$rule"
    [ -z "$timeout" ] || [ "$where" = permanent ] || [ "$timeout" = 0 ] || set -- "$@" "--timeout=$timeout"
  else
    set -- "$@" "--remove-$rule"
  fi
  change "$@"
  msg="$msg Changed $where ${rule%%=*} in zone $zone."
}
msg=
if [ -n "$target" ]; then
  must "$command" $permanent "--zone=$zone" --get-target
  aim=$target
  [ -n "$on" ] || aim=default
  if [ "$out" != "$aim" ]; then change "$command" $permanent "--zone=$zone" "--set-target=$aim"; fi
elif [ -z "$rule" ]; then
  must "$command" $permanent --get-zones
  case " $out " in *" $zone "*) present=1 ;; *) present= ;; esac
  if [ "$present" != "$on" ]; then
    if [ -n "$on" ]; then change "$command" $permanent "--new-zone=$zone"; else change "$command" $permanent "--delete-zone=$zone"; fi
  fi
else
  if [ -n "$lasting" ]; then where=permanent && bring "$command" $permanent "--zone=$zone"; fi
  if [ -n "$now" ]; then where=running && bring "$command" "--zone=$zone"; fi
fi
say msg "${msg# }"
finish
