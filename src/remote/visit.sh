m_say() { printf '%s %s\n' "$m_mark" "$*"; }
# Passes on what a command complained of, line by line, under the group it belongs to.
m_said() {
  m_group=$1
  while IFS= read -r m_line; do m_say said "$m_group" "$m_line"; done <<M_EOF
$2
M_EOF
}
# All units at once; if that is refused one by one, so that a bad unit does not hold up the others.
m_each() {
  m_group=$1 m_verb=$2; shift 2
  systemctl $m_verb -- "$@" >/dev/null 2>&1 && return
  for m_u in "$@"; do
    m_out=$(systemctl $m_verb -- "$m_u" 2>&1) || m_said "$m_group ${m_u##*/}" "$m_out"
  done
}
# All units at once; systemctl itself goes on to the next after one that is refused, and names the one.
m_many() {
  m_group=$1 m_verb=$2; shift 2
  m_out=$($m_verb -- "$@" 2>&1) || m_said "$m_group -" "$m_out"
}
m_write() {
  [ -d "$m_run/new" ] || mkdir -p "$m_run/new" "$m_run/launched" "$m_units" || return
  printf '%s' "$2" >"$m_run/new/$1" && return
  rm -f -- "$m_run/new/$1"
  m_say said load "$1" "cannot write to $m_run: is /run full?"
  return 1
}
# A reload costs systemd more than a start does. Newer ones find a file by themselves that they have not read before; what
# they know of a unit already, by an older file or because another names it, they must be told to read again.
m_load() {
  m_reload=$1; shift
  for m_u in "$@"; do shift; [ -e "$m_run/new/$m_u" ] && set -- "$@" "$m_u"; done
  [ $# -gt 0 ] || return 0
  [ "$m_reload" = always ] || m_reload=$(systemctl list-units --all --full --plain --no-legend --no-pager -- "$@" 2>&1) ||
    m_reload=always
  for m_u in "$@"; do set -- "$@" "$m_run/new/$m_u"; shift; done
  m_out=$(mv -f -- "$@" "$m_units/" 2>&1) || m_said "load -" "$m_out"
  for m_u in "$@"; do set -- "$@" "$m_units/${m_u##*/}"; shift; done
  m_each load "link --runtime --no-reload" "$@"
  [ -z "$m_reload" ] || m_out=$(systemctl daemon-reload 2>&1) || m_said "load -" "$m_out"
}
m_stop() {
  m_group=$1; shift
  m_many "$m_group" "timeout $m_patience systemctl stop" "$@"
  for m_u in "$@"; do
    shift
    # What was refused is still to be stopped.
    case $m_out in *" $m_u:"*) ;; *) set -- "$@" "$m_run/launched/$m_u" ;; esac
  done
  [ $# -eq 0 ] || rm -f -- "$@"
}
# What is still stopping keeps its file: it goes with the next visit.
m_unload() {
  m_stop unload "$@"
  m_live=$(systemctl is-active -- "$@")
  for m_u in "$@"; do
    shift; m_state=${m_live%%"$m_nl"*} m_live=${m_live#*"$m_nl"}
    case $m_state in
      deactivating) m_say said unload "$m_u" "still stopping after $m_patience seconds" ;;
      active|activating|reloading) m_say said unload "$m_u" "systemd would not stop it" ;;
      *) set -- "$@" "$m_u" ;;
    esac
  done
  [ $# -gt 0 ] || return 0
  m_each unload "disable --runtime" "$@"
  systemctl reset-failed -- "$@" 2>/dev/null
  for m_u in "$@"; do shift; set -- "$@" "$m_units/$m_u" "$m_run/launched/$m_u"; done
  rm -f -- "$@" 2>/dev/null
}
m_start() {
  m_verb=$1 m_count=$2; shift 2
  [ -d "$m_run/launched" ] || mkdir -p "$m_run/launched"
  for m_u in "$@"; do printf '%s\n' "$m_count" >"$m_run/launched/$m_u"; done
  m_many "$m_verb" "systemctl $m_verb --no-block" "$@"
  for m_u in "$@"; do
    case $m_out in *" $m_u:"*) rm -f -- "$m_run/launched/$m_u" ;; esac
  done
}
# Holds the host's lock for the rest of the visit, unless a later leader has been here.
m_claim() {
  [ -d "$m_run" ] || mkdir -p "$m_run" || { m_say refused unwritable; return 1; }
  command exec 9>"$m_run/lock" || { m_say refused unwritable; return 1; }
  flock -w 5 9 2>/dev/null
  case $? in 0) ;; 127) m_say refused flock; return 1 ;; *) m_say refused busy; return 1 ;; esac
  m_recall
  [ "$m_epoch" -le "$1" ] || { m_say refused epoch "$m_epoch"; return 1; }
  [ "$m_epoch" -eq "$1" ] && return
  printf '%s\n' "$1" >"$m_run/epoch.new" && mv -f "$m_run/epoch.new" "$m_run/epoch" && m_epoch=$1 && return
  m_say refused unwritable
  return 1
}
m_recall() {
  m_epoch=; [ -e "$m_run/epoch" ] && read -r m_epoch <"$m_run/epoch"
  case $m_epoch in ''|*[!0-9]*) m_epoch=0 ;; esac
}
m_greet() {
  m_say muster 1
  [ -d "$m_root/run/systemd/system" ] || { m_say refused systemd; return 1; }
  read -r m_id <"$m_root/etc/machine-id"
  read -r m_boot </proc/sys/kernel/random/boot_id
  read -r m_up m_rest </proc/uptime
  m_recall
  m_say host "${m_id:--}" "${m_boot:--}" "${m_up:-0}" "$m_epoch"
}
# The arguments: who must be there ("" for anybody), the leader's number, the uptime after which it is too late (0: never).
m_admit() {
  m_greet || return
  [ -z "$1" ] || [ "$m_id" = "$1" ] || { m_say refused machine "$m_id"; return 1; }
  [ "$3" -eq 0 ] || [ "${m_up%%.*}" -lt "$3" ] || { m_say refused late; return 1; }
  [ "$m_epoch" -le "$2" ] || { m_say refused epoch "$m_epoch"; return 1; }
}
# A look that starts no process: the files there, and the first process of each. It only tells that something changed.
m_glance() {
  m_seen=
  for m_u in "$m_units"/*; do
    m_pid=; [ -r "$m_cgroup/${m_u##*/}/cgroup.procs" ] && read -r m_pid <"$m_cgroup/${m_u##*/}/cgroup.procs"
    m_seen="$m_seen $m_u=$m_pid"
  done
}
m_look() {
  [ -d "$m_units" ] && cd "$m_units" || return 0
  set -- *
  [ -e "$1" ] || { cd /; return 0; }
  m_say hashes
  sha1sum -- "$@" 2>/dev/null
  m_say launched
  for m_u in "$m_run"/launched/*; do
    m_count=; [ -e "$m_u" ] && read -r m_count <"$m_u"; printf '%s %s\n' "${m_count:-0}" "${m_u##*/}"
  done
  m_say listed
  m_listed=" "
  m_list="systemctl list-units --all --full --plain --no-legend --no-pager"
  # A few are asked for by name: a shell is slow to read what else a host runs. Many would be slow to match.
  if [ $# -gt 32 ]; then m_all=$($m_list); else m_all=$($m_list -- "$@"); fi || m_say broken "systemctl list-units failed"
  while read -r m_u m_l m_a m_s m_rest; do
    [ -e "./$m_u" ] && printf '%s %s %s %s\n' "$m_l" "$m_a" "$m_s" "$m_u" && m_listed="$m_listed$m_u "
  done <<M_EOF
$m_all
M_EOF
  for m_u in "$@"; do
    shift
    case $m_listed in *" $m_u "*) ;; *) set -- "$@" "$m_u" ;; esac
  done
  if [ $# -gt 0 ]; then
    m_say shown
    systemctl show --property=Id,LoadState,ActiveState,SubState -- "$@" 2>/dev/null
  fi
  cd /
}
m_units=$m_root/run/fleet/units m_run=$m_root/run/muster
m_nl='
'
m_cgroup=/sys/fs/cgroup/system.slice
[ -d "$m_cgroup" ] || m_cgroup=/sys/fs/cgroup/systemd/system.slice
