if [ -n "$check" ]; then
  say msg 'remote module (haproxy) does not support check mode' && say skipped 1
  exit 0
fi
socket=${socket:-/var/run/haproxy.sock}
[ -S "$socket" ] || fail "unable to locate haproxy socket"
talk() {
  if has socat; then
    run sh -c 'printf "%s\n" "$1" | socat -t 10 - "UNIX-CONNECT:$2"' sh "$1" "$socket"
  elif has nc; then
    run sh -c 'printf "%s\n" "$1" | nc -N -U "$2"' sh "$1" "$socket"
  elif has perl; then
    # shellcheck disable=SC2016
    run perl -MIO::Socket::UNIX -e '
      my $socket = IO::Socket::UNIX->new(Peer => $ARGV[1]) or die "$ARGV[1]: $!\n";
      print $socket "$ARGV[0]\n";
      print while <$socket>;' -- "$1" "$socket"
  else
    fail "muster needs socat, nc or perl on the host to reach $socket"
  fi || { say_run && fail "${err:-cannot talk to $socket}"; }
}
# Sets `states` to the states of the server in the backend $1, or in every one.
look_at() {
  talk 'show stat'
  states=$(printf '%s\n' "$out" | awk -F, -v backend="$1" -v server="$host" '
    NR == 1 { sub(/^# */, ""); for (i = 1; i <= NF; i++) at[$i] = i; next }
    (backend == "" || $at["pxname"] == backend) && $at["svname"] == server {
      printf "%s\t%s\t%s\n", $at["status"], $at["weight"], $at["scur"]
    }')
  line=${states%%"$newline"*}
}
# Sets `list` to all backends.
list_backends() {
  talk 'show stat'
  list=$(printf '%s\n' "$out" | awk -F, '
    NR == 1 { sub(/^# */, ""); for (i = 1; i <= NF; i++) at[$i] = i; next }
    $at["svname"] == "BACKEND" { print $at["pxname"] }')
}
wait_for() {
  tries=${wait_retries:-25}
  while [ "$tries" -gt 1 ]; do
    look_at "$1"
    case ${line%%"$tab"*} in
      *"$2"*) if [ "$drain" != yes ] || [ "${line##*"$tab"}" = 0 ]; then return 0; fi ;;
    esac
    tries=$((tries - 1))
    sleep "${wait_interval:-5}"
  done
  fail "server $1/$host not status '$2' after ${wait_retries:-25} retries. Aborting."
}
# Tells each backend the commands of the function $1, and waits for the state $2.
tell() {
  list=$backend
  [ -n "$list" ] || list_backends
  for each in $list; do
    look_at "$each"
    if [ -z "$line" ]; then
      [ "$fail_on_not_found" != yes ] || fail "The specified backend '$each/$host' was not found!"
      continue
    fi
    was=${line%%"$tab"*}
    command=$("$1" "$each/$host")
    talk "$command"
    say diff_command "$command" && say diff_output "$out"
    case $wait:$2:$was in
      yes:DRAIN:DOWN) ;;
      yes:*) wait_for "$each" "$2" ;;
    esac
  done
}
enable() {
  printf '%s' "get weight $1; enable server $1"
  [ "$agent" != yes ] || printf '%s' "; enable agent $1"
  [ "$health" != yes ] || printf '%s' "; enable health $1"
  [ -z "$weight" ] || printf '%s' "; set weight $1 $weight"
}
disable() {
  printf '%s' "get weight $1"
  [ "$agent" != yes ] || printf '%s' "; disable agent $1"
  [ "$health" != yes ] || printf '%s' "; disable health $1"
  printf '%s' "; disable server $1"
  [ "$shutdown_sessions" != yes ] || printf '%s' "; shutdown sessions server $1"
}
empty() { printf '%s' "set server $1 state drain"; }

tab=$(printf '\t')
look_at "$backend"
before=$states
case $state:$drain in
  enabled:*) tell enable UP ;;
  disabled:yes) tell empty DRAIN && tell disable MAINT ;;
  disabled:*) tell disable MAINT ;;
  drain:*) tell empty DRAIN ;;
esac
look_at "$backend"
after=$states
say diff_state_before "$before" && say diff_state_after "$after"
[ "$before" = "$after" ] || changed=1
finish
