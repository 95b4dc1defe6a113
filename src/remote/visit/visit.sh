m_say() { printf '%s %s\n' "$m_mark" "$*"; }
# Reports each line that a command complained with, under its group of steps.
m_said() {
  while IFS= read -r m_line; do m_say said "$1" "$m_line"; done <<M_EOF
$2
M_EOF
}
# All units at once. If systemd refuses that, one by one, so that a bad unit does not block the others.
m_each() {
  m_group=$1 m_verb=$2; shift 2
  $m_verb -- "$@" >/dev/null 2>&1 && return
  for m_u in "$@"; do
    m_out=$($m_verb -- "$m_u" 2>&1) || m_said "$m_group ${m_u##*/}" "$m_out"
  done
}
# All units at once: systemctl goes on after a unit that is refused, and names that unit. A message that names no unit
# (systemd cannot be reached) is about all units. 124 is timeout's status: the slow units are still stopping.
m_many() {
  m_group=$1 m_verb=$2 m_code=0; shift 2
  m_out=$($m_verb -- "$@" 2>&1) && return
  m_code=$?
  for m_u in "$@"; do
    case $m_out in *" $m_u:"*|*" $m_u "*) m_said "$m_group -" "$m_out"; return ;; esac
  done
  [ $m_code -ne 124 ] || return
  m_why=${m_out:-"it ended with $m_code"} m_out=
  for m_u in "$@"; do m_said "$m_group $m_u" "$m_why"; m_out="$m_out $m_u:"; done
}
# A user may have removed some of the folders.
m_folders() {
  for m_d in "$m_run/new" "$m_run/launched" "$m_run/files" "$m_units"; do [ -d "$m_d" ] || mkdir -p "$m_d" || return; done
}
m_write() {
  m_folders 2>/dev/null
  printf '%s' "$2" >"$m_run/new/$1" && { [ -e "$m_run/files/$1" ] || : >"$m_run/files/$1"; } && return
  rm -f -- "$m_run/new/$1"
  m_say said load "$1" "cannot write to $m_run: is /run full?"
  return 1
}
# Writes the file $2 that goes with the unit $1, with its hash and its content, beside the earlier files. With a fifth argument
# the content is in base64.
m_beside() {
  m_to=$m_run/beside/$1/$2
  m_fill=cat; [ -z "${5-}" ] || m_fill='base64 -d'
  # The files of an earlier visit that was cut off are not these.
  case $m_besides in *" $1 "*) ;; *) rm -rf -- "$m_run/beside/$1" "$m_run/beside/$1.sums"; m_besides="$m_besides$1 " ;; esac
  mkdir -p "${m_to%/*}" "$m_run/sums" && printf '%s' "$4" | $m_fill >"$m_to" &&
    printf '%s  %s\n' "$3" "$2" >>"$m_run/beside/$1.sums" && return
  rm -rf -- "$m_run/beside/$1"
  m_say said load "$1" "cannot write to $m_run: is /run full?"
  return 1
}
# Brings the files that go with units to where the units find them, all of one unit at once.
m_lay_beside() {
  for m_u in $m_besides; do
    case $m_fresh in *" $m_u "*) ;; *) continue ;; esac
    m_out=$(mkdir -p "$m_files" && chmod -R u=rwX,go=rX "$m_run/beside/$m_u" && m_lay "$m_u" &&
      mv -f -- "$m_run/beside/$m_u.sums" "$m_run/sums/$m_u" 2>&1) || m_said "load $m_u" "$m_out"
  done
}
# Brings the files of the unit $1 to their place. Files that are there already are written in place: a container that runs has
# mounted them.
m_lay() {
  [ -d "$m_files/$1" ] && cp -R -- "$m_run/beside/$1/." "$m_files/$1/" 2>/dev/null && return
  rm -rf -- "$m_files/$1" && mv -f -- "$m_run/beside/$1" "$m_files/"
}
# Writes the variables of the machine for units, unless they are there already.
m_describe() {
  m_there=; [ ! -r "$m_about" ] || while IFS= read -r m_line; do m_there="$m_there$m_line$m_nl"; done <"$m_about"
  [ "$m_there" != "$1" ] || return 0
  m_folders 2>/dev/null
  (umask 022 && printf '%s' "$1" >"$m_about.new" && mv -f -- "$m_about.new" "$m_about") || rm -f -- "$m_about.new"
}
# Refuses a unit without which something that goes with it is missing.
m_lacks() {
  m_say said load "$1" "$2"
  return 1
}
# Writes the secret $2 of the unit $1. systemd hands it to the unit. No argument of a process has the value: printf is one of
# the shell's own commands.
m_secret() {
  m_to=$m_run/unsealed/$1
  m_fill=cat; [ -z "${4-}" ] || m_fill='base64 -d'
  case $m_secrets in *" $1 "*) ;; *) rm -rf -- "$m_to"; m_secrets="$m_secrets$1 " ;; esac
  (umask 077 && mkdir -p "$m_to" && printf '%s' "$3" | $m_fill >"$m_to/$2" && chmod 400 "$m_to/$2") && return
  rm -rf -- "$m_to"
  m_say said load "$1" "cannot write to $m_run: is /run full?"
  return 1
}
# Brings the secrets to where systemd reads them.
m_lay_secrets() {
  for m_u in $m_secrets; do
    case $m_fresh in *" $m_u "*) ;; *) continue ;; esac
    m_out=$(mkdir -p "$m_run/secrets" "$m_run/seals" && (cd "$m_run/unsealed/$m_u" && sha1sum -- * >"$m_run/seals/$m_u") &&
      rm -rf -- "$m_run/secrets/$m_u" && mv -f -- "$m_run/unsealed/$m_u" "$m_run/secrets/" 2>&1) || m_said "load $m_u" "$m_out"
  done
}
# Writes the Quadlet file $2 of the service $1 to where Podman reads it before the earlier one.
m_write_quadlet() {
  [ -n "$m_staged" ] || { rm -rf -- "$m_run/quadlet" && mkdir -p "$m_run/quadlet" "$m_quadlets" && m_staged=y; } &&
    printf '%s' "$3" >"$m_run/quadlet/$2" && return
  rm -f -- "$m_run/quadlet/$2"
  m_say said load "$1" "cannot write to $m_run: is /run full?"
  return 1
}
# Lets Podman make the services of the new Quadlet files.
m_generate() {
  m_made="there is no $m_generator: it is part of Podman 4.4 and later"
  rm -rf -- "$m_run/generated" && mkdir -p "$m_run/generated"
  if [ -x "$m_generator" ]; then
    m_made=$(QUADLET_UNIT_DIRS=$m_run/quadlet:$m_quadlets timeout 5 "$m_generator" --no-kmsg-log "$m_run/generated" 2>&1)
    # The renewal of a lease does not wait for it.
    [ $? -ne 124 ] || m_made="its generator did not end within 5 s"
  fi
}
# Reports whether Podman has made the service $1 of the Quadlet file $2. Podman names a file that it refuses.
m_is_made() {
  [ -e "$m_run/quadlet/$2" ] || return
  [ ! -e "$m_run/generated/$1" ] || return 0
  m_why=
  while IFS= read -r m_line; do
    # The path where Podman has read the file is not where the file goes.
    case $m_line in *"$m_run/quadlet/"*) m_line=${m_line%"$m_run/quadlet/"*}${m_line##*"$m_run/quadlet/"} ;; esac
    case $m_line in *"$2"*) m_why="$m_why${m_why:+; }${m_line#"quadlet-generator"*"]: "}" ;; esac
  done <<M_EOF
$m_made
M_EOF
  m_say said load "$1" "Podman makes no service of its file: ${m_why:-${m_made:-it gives no reason}}"
  return 1
}
# Takes the service $1 that Podman has made of the Quadlet file $2.
m_take() {
  m_text=$(sed "s,^SourcePath=.*,SourcePath=$m_quadlets/$2," "$m_run/generated/$1") && m_write "$1" "$m_text$m_nl" &&
    m_sum=$(printf '%s\n' "$m_text" | sha1sum) && m_pairs="$m_pairs$1=$2=${m_sum%% *} "
}
# The service of a Quadlet file also has what the files say that this one names. If Podman would make another service now, the present
# one counts as changed, so that it is loaded again.
m_outdate() {
  for m_u in "$m_run"/generated/*; do
    m_u=${m_u##*/}
    case $m_fresh in *" $m_u "*) continue ;; esac
    if m_quadlet_of "$m_u"; then set -- "$@" "$m_u"; fi
  done
  [ $# -gt 0 ] || return 0
  while read -r m_new m_u; do
    m_quadlet_of "$m_u" && [ "$m_sum" != "$m_new" ] && printf '%s %040d\n' "$m_q" 0 >"$m_run/files/$m_u"
  done <<M_EOF
$(cd "$m_run/generated" && sha1sum -- "$@")
M_EOF
}
# Says which image each of these services runs: the tag in its file may name another one later. Podman's services
# leave the id of their container in a file.
m_images() {
  for m_u in "$@"; do
    shift
    m_c=$m_root/run/${m_u%.service}.cid m_id=
    [ ! -r "$m_c" ] || read -r m_id <"$m_c" || :
    [ -z "$m_id" ] || set -- "$@" "$m_id"
  done
  [ $# -gt 0 ] || return 0
  m_say images
  timeout 2 podman container inspect --format '{{index .Config.Labels "PODMAN_SYSTEMD_UNIT"}} {{.ImageDigest}}' -- "$@" 2>/dev/null
}
# Sets `m_q` to the Quadlet file of a service and `m_sum` to the hash of what Podman has made of it; reports whether it has one.
m_quadlet_of() {
  m_q=; [ ! -s "$m_run/files/$1" ] || read -r m_q m_sum <"$m_run/files/$1"
  [ -n "$m_q" ]
}
# The folders from which systemd loads units (systemd.unit(5)), and muster's.
m_paths='/run/fleet/units /etc/systemd/system.control /run/systemd/system.control /run/systemd/transient /run/systemd/generator.early
/etc/systemd/system /run/systemd/system /run/systemd/generator /usr/local/lib/systemd/system /usr/lib/systemd/system
/lib/systemd/system /run/systemd/generator.late'
# Refuses a name for which the host has a unit, an alias or a template that is not muster's. muster marks each file that
# it writes. A marked file stays muster's until muster unloads it, also if a user has changed the file.
m_ours() {
  m_names=$1
  case $1 in *@*) m_names="$1 ${1%%@*}@.${1##*.}" ;; esac
  for m_d in $m_paths; do for m_n in $m_names; do
    m_path=$m_root$m_d/$m_n
    [ ! -e "$m_path" ] || { [ "$m_path" -ef "$m_units/$m_n" ] && [ -e "$m_run/files/$m_n" ]; } || {
      m_say said load "$1" "the host has a unit of this name, which is not muster's: $m_path"
      return 1
    }
  done; done
}
# Refuses the unit $2 if the host has a unit of one of the other names that follow, from the option $1 of its [Install]. An alias
# would hide that unit, and systemd enables and disables the units of Also= with this one. Those may be muster's.
m_free() {
  m_option=$1 m_of=$2; shift 2
  for m_n in "$@"; do for m_d in $m_paths; do
    m_path=$m_root$m_d/$m_n
    [ -e "$m_path" ] && ! [ "$m_path" -ef "$m_units/$m_of" ] || continue
    [ "$m_option" = Also ] && [ "$m_path" -ef "$m_units/$m_n" ] && [ -e "$m_run/files/$m_n" ] && continue
    m_say said load "$m_of" "[Install] $m_option=$m_n: the host has a unit of this name: $m_path"
    return 1
  done; done
}
# Checks the new files of units before these units are stopped, or read again: a unit whose new file is refused goes on with the
# earlier one. systemd-analyze reads the files as systemd does, with their drop-ins, and names each unit that systemd would
# refuse. systemd takes a file without a byte for a masked unit. A host that does not have systemd-analyze, or on which it
# takes too long, refuses nothing.
m_check() {
  for m_u in "$@"; do
    shift
    if [ -e "$m_run/new/$m_u" ]; then set -- "$@" "$m_run/new/$m_u"; else m_kept="$m_kept$m_u "; fi
  done
  [ $# -gt 0 ] || return 0
  m_out=$(timeout 10 systemd-analyze verify --man=no -- "$@" 2>&1) && return
  for m_f in "$@"; do
    m_u=${m_f##*/} m_why=
    case "$m_nl$m_out" in *"${m_nl}Unit $m_u has a bad unit file setting"*|*"${m_nl}Unit $m_u failed to load"*|*"${m_nl}Unit $m_u is masked"*) ;;
      *) continue ;;
    esac
    while IFS= read -r m_line; do
      case $m_line in "$m_f:"*) m_line=$m_units/$m_u${m_line#"$m_f"} ;; "$m_u: "*|"Unit $m_u is masked"*) ;; *) continue ;; esac
      m_why="$m_why${m_why:+; }$m_line"
    done <<M_EOF
$m_out
M_EOF
    rm -f -- "$m_f"
    m_kept="$m_kept$m_u "
    m_say said load "$m_u" "systemd refuses its new file, so the earlier one stays: ${m_why:-it gives no reason}"
  done
}
# Reports whether a unit is muster's to change and its new file was not refused.
m_may() {
  case $m_kept in *" $1 "*) return 1 ;; esac
  [ -e "$m_run/files/$1" ]
}
# systemctl itself makes the links. Since systemd 253, links that systemd makes leave NeedDaemonReload=yes on every unit of
# the host until it is reloaded, and systemctl warns each user of that.
m_link="env SYSTEMD_OFFLINE=1 systemctl link --runtime --no-reload"
# A reload costs systemd more than a start does. Newer versions find by themselves a file that they have not read before.
# A unit that they know already, from an older file or because another unit names it, needs the reload.
m_load() {
  m_reload=$1; shift
  m_load_files "$@"
  [ -z "$m_staged" ] || rm -rf -- "$m_run/quadlet" "$m_run/generated"
  [ "$m_besides$m_secrets" = '  ' ] || rm -rf -- "$m_run/beside" "$m_run/unsealed"
}
m_load_files() {
  # The unload of an earlier file has removed its mark.
  for m_u in "$@"; do shift; [ -e "$m_run/new/$m_u" ] && printf '' >"$m_run/files/$m_u" && set -- "$@" "$m_u"; done
  [ $# -gt 0 ] || return 0
  m_fresh=" $* "
  [ "$m_reload" = always ] || m_reload=$(systemctl list-units --all --full --plain --no-legend --no-pager -- "$@" 2>&1) ||
    m_reload=always
  # These are not stopped for a new file. What only the earlier file links is gone then.
  for m_u in "$@"; do
    case $m_u in *.target|*.slice) [ ! -e "$m_units/$m_u" ] || m_disable load "systemctl disable --runtime --no-reload" "$m_u" ;; esac
  done
  for m_u in "$@"; do set -- "$@" "$m_run/new/$m_u"; shift; done
  m_out=$(mv -f -- "$@" "$m_units/" 2>&1) || m_said "load -" "$m_out"
  for m_u in "$@"; do
    set -- "$@" "$m_units/${m_u##*/}"; shift; m_u=${m_u##*/}
    case $m_pairs in *" $m_u="*) m_q=${m_pairs#*" $m_u="} m_q=${m_q%% *} ;; *) continue ;; esac
    m_sum=${m_q#*=} m_q=${m_q%=*}
    m_out=$(mv -f -- "$m_run/quadlet/$m_q" "$m_quadlets/" 2>&1) && printf '%s\n' "$m_q $m_sum" >"$m_run/files/$m_u" || m_said "load $m_u" "$m_out"
  done
  [ -z "$m_staged" ] || m_outdate
  [ "$m_besides" = ' ' ] || m_lay_beside
  [ "$m_secrets" = ' ' ] || m_lay_secrets
  m_each load "$m_link" "$@"
  [ -z "$m_reload" ] || m_out=$(systemctl daemon-reload 2>&1) || m_said "load -" "$m_out"
}
# Reports what systemd has said about the files that this visit has written or started and that systemd refuses. Only the
# journal has it. systemd may have read a file twice.
m_blame() {
  for m_u in $m_bad; do
    case $m_fresh in *" $m_u "*) ;; *) continue ;; esac
    m_out=$(timeout 2 journalctl --quiet --no-pager --boot --lines 6 --output cat _PID=1 "UNIT=$m_u" 2>/dev/null)
    [ -n "$m_out" ] || continue
    for m_group in load start restart; do m_said "$m_group $m_u" "$m_out"; done
  done
}
# Marks a file that another program wrote, unless it has changed since it was seen or systemd has the unit from elsewhere.
m_adopt() {
  m_out=$(sha1sum <"$m_units/$1" 2>&1)
  [ "${m_out%% *}" = "$2" ] || { m_say said load "$1" "its file has changed"; return 1; }
  m_folders 2>/dev/null; : >"$m_run/files/$1" ||
    { m_say said load "$1" "cannot write to $m_run: is /run full?"; return 1; }
  m_ours "$1" || { rm -f -- "$m_run/files/$1"; return 1; }
  m_each load "$m_link" "$m_units/$1"
}
# Links the other names of a unit to its own link. Up to systemd 252, systemctl links them to the file, so that systemd takes such
# a name for a second unit. It keeps a link that is there.
m_alias() {
  m_may "$1" && m_free Alias "$@" || return 0
  for m_n in "$@"; do
    [ "$m_n" = "$m_of" ] || m_out=$(ln -sfn -- "$m_of" "$m_system/$m_n" 2>&1) || m_said "enable $m_of" "$m_out"
  done
}
# A unit whose file is not marked is not muster's to enable, to start or to stop.
m_enable() {
  for m_u in "$@"; do shift; m_may "$m_u" && set -- "$@" "$m_u"; done
  [ $# -eq 0 ] || m_each enable "systemctl enable --runtime" "$@"
}
# Removes the links of units whose files are about to go or to change. The arguments: the group of steps, the command, and the
# units. systemctl disables no unit without a file, nor one whose file is empty: that one is masked. It would remove all links
# of the units that a file names in Also=, too.
m_disable() {
  m_group=$1 m_verb=$2; shift 2
  for m_u in "$@"; do [ -e "$m_units/$m_u" ] || echo '[Unit]' >"$m_units/$m_u"; done
  for m_u in $(cd "$m_units" && grep -ls '^[[:space:]]*Also[[:space:]]*=' -- "$@"); do echo '[Unit]' >"$m_units/$m_u"; done
  m_each "$m_group" "$m_verb" "$@"
}
m_stop() {
  m_group=$1; shift
  for m_u in "$@"; do shift; m_may "$m_u" && set -- "$@" "$m_u"; done
  [ $# -gt 0 ] || return 0
  m_many "$m_group" "timeout $m_stop_limit systemctl stop" "$@"
  for m_u in "$@"; do
    shift
    # A unit that was refused has still to be stopped.
    case $m_out in *" $m_u:"*) ;; *) set -- "$@" "$m_run/launched/$m_u" ;; esac
  done
  [ $# -eq 0 ] || rm -f -- "$@"
}
# Sets `m_needing` to the started units that are active and that need these: systemd stops them too.
m_find_needing() {
  m_others=
  for m_u in "$m_run"/launched/*; do
    case " $* " in *" ${m_u##*/} "*) ;; *) [ ! -e "$m_u" ] || m_others=y ;; esac
  done
  [ -n "$m_others" ] || return 0
  while read -r m_u; do
    case " $*$m_needing" in *" $m_u "*) continue ;; esac
    [ ! -e "$m_run/launched/$m_u" ] || m_needing="$m_needing$m_u "
  done <<M_EOF
$(systemctl list-dependencies --reverse --plain --all -- "$@" 2>/dev/null)
M_EOF
  m_keep_if up $m_needing
}
# Sets `m_needing` to those of these units that are active ($1 = up) or that are not ($1 = down).
m_keep_if() {
  m_needing=" " m_wanted=$1; shift
  [ $# -gt 0 ] || return 0
  m_live=$(systemctl is-active -- "$@" 2>/dev/null)
  for m_u in "$@"; do
    m_state=${m_live%%"$m_nl"*} m_live=${m_live#*"$m_nl"}
    case $m_state in active|activating|reloading|refreshing) m_state=up ;; *) m_state=down ;; esac
    [ $m_state != "$m_wanted" ] || m_needing="$m_needing$m_u "
  done
}
# A unit that is still stopping keeps its file: the next visit unloads it. So does one whose stop has to wait for others.
# Other units that systemd stops because they need one of these, which gets another file, count as not started: they are started again.
m_unload() {
  for m_u in "$@"; do shift; m_may "$m_u" && set -- "$@" "$m_u"; done
  [ $# -gt 0 ] || return 0
  m_needing=" "
  for m_u in "$@"; do [ ! -e "$m_run/new/$m_u" ] || { m_find_needing "$@"; break; }; done
  m_stop unload "$@"
  m_keep_if down $m_needing
  for m_u in $m_needing; do rm -f -- "$m_run/launched/$m_u"; done
  m_live=$(systemctl is-active -- "$@" 2>/dev/null)
  for m_u in "$@"; do
    shift; m_state=${m_live%%"$m_nl"*} m_live=${m_live#*"$m_nl"}
    case $m_state in
      deactivating) ;;
      active|activating|reloading|refreshing)
        [ "$m_code" -eq 124 ] || m_say said unload "$m_u" "systemd did not stop it" ;;
      '') m_say said unload "$m_u" "systemd does not report whether it runs" ;;
      *) set -- "$@" "$m_u" ;;
    esac
  done
  [ $# -gt 0 ] || return 0
  m_disable unload "systemctl disable --runtime" "$@"
  systemctl reset-failed -- "$@" 2>/dev/null
  for m_u in "$@"; do
    shift; set -- "$@" "$m_units/$m_u" "$m_run/launched/$m_u" "$m_run/files/$m_u"
    if m_quadlet_of "$m_u"; then set -- "$@" "$m_quadlets/$m_q"; fi
    m_u=$m_system/$m_u.d
    [ -e "$m_u/50-muster-strict.conf" ] && set -- "$@" "$m_u/50-muster-strict.conf" "$m_u"
  done
  # The drop-in folder is removed too, unless it holds files that are not muster's.
  rm -fd -- "$@" 2>/dev/null
  for m_u in "$@"; do
    m_u=${m_u##*/}
    [ ! -e "$m_run/sums/$m_u" ] || rm -rf -- "$m_files/$m_u" "$m_run/sums/$m_u"
    [ ! -e "$m_run/seals/$m_u" ] || rm -rf -- "$m_run/secrets/$m_u" "$m_run/seals/$m_u"
  done
}
# Asks once in each shell how often the host had a soft-reboot (systemd 254 and later). That ends every unit and process,
# this shell too, and keeps /run and the id of the boot. A start before it no longer counts, as after a boot, so the mark
# of a start has this number. A systemd that has none of them says nothing.
m_count_soft_reboots() {
  [ -z "${m_softs-}" ] || return 0
  m_softs=$(systemctl show --property=SoftRebootsCount --value 2>/dev/null) || { m_softs=; return; }
  case $m_softs in ''|*[!0-9]*) m_softs=0 ;; esac
}
m_start() {
  m_verb=$1 m_count=$2; shift 2
  for m_u in "$@"; do shift; m_may "$m_u" && set -- "$@" "$m_u"; done
  [ $# -gt 0 ] || return 0
  m_fresh="$m_fresh $* "
  m_folders 2>/dev/null
  m_count_soft_reboots
  for m_u in "$@"; do printf '%s\n' "$m_count $m_softs" >"$m_run/launched/$m_u"; done
  # An operator who asks for a start or a restart overrides systemd's limit of starts (StartLimitBurst=).
  [ "$m_count" -eq 0 ] || systemctl reset-failed -- "$@" 2>/dev/null
  # systemctl says whether a unit has reloaded only if it waits.
  case $m_verb in
    reload) m_many reload "timeout $m_stop_limit systemctl reload-or-restart" "$@" ;;
    *) m_many "$m_verb" "systemctl $m_verb --no-block" "$@" ;;
  esac
  # The mark shows that the step is still to be done. The copy that a restart left running stays marked.
  for m_u in "$@"; do
    case $m_group$m_out in
      restart*" $m_u:"*|reload*" $m_u:"*|reload*" $m_u "*) printf '%s\n' "$((m_count - 1)) $m_softs" >"$m_run/launched/$m_u" ;;
      *" $m_u:"*) rm -f -- "$m_run/launched/$m_u" ;;
    esac
  done
}
# A strict unit starts only while the host holds a lease, and stops with it. The drop-in overrides settings that could
# keep the unit alive longer.
m_guard() {
  mkdir -p "$m_system/$1.d" && printf '%s\n' '[Unit]' Requisite=muster-lease.target After=muster-lease.target '[Service]' \
    "TimeoutStopSec=$2" KillMode=control-group SendSIGKILL=yes FinalKillSignal=SIGKILL \
    TimeoutStopFailureMode=terminate >"$m_system/$1.d/50-muster-strict.conf" && return
  m_say said load "$1" "cannot write to $m_system: is /run full?"
  return 1
}
# The same for a unit whose earlier file was unloaded.
m_guard_again() {
  [ ! -e "$m_run/new/$1" ] || m_guard "$@" || rm -f -- "$m_run/new/$1"
}
# Writes one of muster's own units, unless the same form of it is there already.
m_own() {
  m_there=; [ -e "$m_system/$1" ] && read -r m_there <"$m_system/$1"
  [ "$m_there" = "# $m_form" ] && return
  m_u=$1; shift
  printf '%s\n' "# $m_form" "$@" >"$m_system/$m_u" && m_reload=y
}
# The sleeper ends at an uptime, not after a time, so a late start does not end later. RuntimeMaxSec is the last bound.
m_lease_units() {
  m_form="muster lease 1, $1 s" m_reload=
  m_own muster-fence.target '[Unit]' Description='No lease: strict units are stopped' DefaultDependencies=no \
    Conflicts=muster-lease.target &&
  m_own muster-lease.target '[Unit]' Description='Strict units may run' DefaultDependencies=no &&
  m_own muster-lease.service '[Unit]' Description='Lease for strict units' DefaultDependencies=no StartLimitIntervalSec=0 \
    OnFailure=muster-fence.target OnFailureJobMode=replace-irreversibly '[Service]' Type=exec KillMode=mixed TimeoutStopSec=1 \
    OOMScoreAdjust=-1000 "RuntimeMaxSec=$(($1 + 1))" \
    "ExecStart=/bin/sh -c 'read -r e <$m_run/lease; read -r u r </proc/uptime; sleep \$\$((e - \$\${u%%%%.*} - 1)); exit 1'" || return
  [ -z "$m_reload" ] || systemctl daemon-reload
}
# The arguments: the uptime at which the lease ends, and its length. The number overwrites the one before, for which a
# full /run still has room.
m_lease() {
  [ "${m_up%%.*}" -lt "$1" ] || { m_say lease late; return; }
  m_word=held
  m_is_leased || { m_word=granted m_last=; }
  mkdir -p "$m_system" && { [ $m_word = held ] || m_lease_units "$2"; } && printf '%s\n' "$1" 1<>"$m_run/lease" ||
    { m_say lease unwritable; return; }
  [ $m_word = held ] || {
    m_unmark
    systemctl stop muster-fence.target
    systemctl reset-failed muster-lease.service muster-fence.target
    systemctl start muster-lease.target
  } >/dev/null 2>&1
  read -r m_began m_rest </proc/uptime
  systemctl restart muster-lease.service >/dev/null 2>&1
  # systemd counts another RuntimeMaxSec= from the last start of the service, which is now.
  m_lease_units "$2" || m_word=unwritable
  if m_is_leased; then m_say lease $m_word; else m_say lease systemd; fi
  read -r m_ended m_rest </proc/uptime
  m_say renewal "$m_began" "$m_ended"
}
# A unit that stopped because the lease ended counts as not started, so it is started again. A oneshot unit does not.
m_unmark() {
  for m_u in "$m_system"/*.d/50-muster-strict.conf; do
    m_u=${m_u%.d/*} m_u=${m_u##*/}
    [ -e "$m_run/launched/$m_u" ] || continue
    case $(systemctl is-active -- "$m_u") in active|activating|reloading|refreshing) continue ;; esac
    grep -q '^Type *= *oneshot' "$m_units/$m_u" || rm -f -- "$m_run/launched/$m_u"
  done
}
m_is_leased() {
  [ "$(systemctl is-active muster-lease.target muster-lease.service)" = "active${m_nl}active" ]
}
m_release() {
  systemctl stop muster-lease.target muster-lease.service >/dev/null 2>&1
  rm -f "$m_run/lease"
  m_say lease released
}
m_deny() { m_say refused "$@"; exec 9>&-; return 1; }
# Holds the host's lock until the script closes descriptor 9. Any user who can open the lock could hold it, so only root
# may enter the folder. A folder that was there before is closed once in each shell.
m_lock() {
  [ -d "$m_run" ] || mkdir -p -m 700 "$m_run" || { m_deny unwritable; return; }
  command exec 9>"$m_run/lock" || { m_deny unwritable; return; }
  [ -n "${m_private-}" ] || chmod go= "$m_run" "$m_run/lock" && m_private=y
  flock -w 2 9 2>/dev/null
  case $? in 0) ;; 127) m_deny flock ;; *) m_deny busy ;; esac
}
# Reports whether the host belongs to the cluster that visits, or to none. A host that is taken over counts too.
m_is_ours() {
  m_owner= m_owner_name=; [ -e "$m_run/cluster" ] && read -r m_owner m_owner_name <"$m_run/cluster"
  [ -z "$m_owner" ] || [ "$m_owner" = "$m_cluster" ] || [ -n "$m_take" ]
}
m_record() { printf '%s %s\n' "$m_cluster" "$m_cluster_name" >"$m_run/cluster"; }
# Makes the host one of the cluster that visits. A host that is taken over forgets the epochs that it has seen, also those
# of the same cluster. The serials of another cluster's leases say nothing about this one's.
m_join() {
  m_lock || return
  m_is_ours || { m_deny cluster "$m_owner $m_owner_name"; return; }
  if [ "$m_owner" != "$m_cluster" ] || [ -n "$m_take" ]; then
    [ "$m_owner" = "$m_cluster" ] || rm -f -- "$m_run/serial"
    rm -f -- "$m_run/epoch" && m_record || { m_deny unwritable; return; }
    [ -z "$m_owner" ] || [ "$m_owner" = "$m_cluster" ] || m_say taken "$m_owner $m_owner_name"
  fi
  exec 9>&-
}
# What is still there belongs to no cluster.
m_leave() {
  m_lock || return
  m_is_ours && rm -rf -- "$m_run/cluster" "$m_run/epoch" "$m_run/serial" "$m_run/files" "$m_about"
  exec 9>&-
}
# Holds the host's lock for the rest of the visit, unless another cluster has the host, or a later leader or a later
# visit of this leader was here. The arguments: the epoch and the visit's number. The record overwrites the one before,
# for which a full /run has room.
m_claim() {
  m_lock || return
  m_is_ours || { m_deny cluster "$m_owner $m_owner_name"; return; }
  [ -n "$m_owner" ] || [ -z "$m_cluster" ] || m_record || { m_deny unwritable; return; }
  m_recall
  [ "$m_epoch" -le "$1" ] || { m_deny epoch "$m_epoch"; return; }
  if [ "$m_epoch" -eq "$1" ]; then
    [ "$2" -gt 0 ] || { m_note_serial; return; }
    [ "$m_number" -lt "$2" ] || { m_deny late; return; }
  fi
  printf '%s %s\n' "$1" "$2" 1<>"$m_run/epoch" && m_epoch=$1 && m_note_serial && return
  m_deny unwritable
}
# Remembers the highest serial of the store. The record overwrites the one before, as that of the epoch does.
m_note_serial() {
  [ "$m_seen_serial" -ge "$m_serial" ] || printf '%s\n' "$m_serial" 1<>"$m_run/serial"
}
m_recall() {
  m_seen_serial=; [ -e "$m_run/serial" ] && read -r m_seen_serial <"$m_run/serial"
  case $m_seen_serial in ''|*[!0-9]*) m_seen_serial=0 ;; esac
  m_epoch= m_number=; [ -e "$m_run/epoch" ] && read -r m_epoch m_number <"$m_run/epoch"
  case $m_epoch in ''|*[!0-9]*) m_epoch=0 ;; esac
  case $m_number in ''|*[!0-9]*) m_number=0 ;; esac
}
m_greet() {
  m_say muster 1
  [ -d "$m_root/run/systemd/system" ] || { m_say refused systemd; return 1; }
  read -r m_id <"$m_root/etc/machine-id"
  read -r m_boot </proc/sys/kernel/random/boot_id
  read -r m_up m_rest </proc/uptime
  m_recall
  m_say host "${m_id:--}" "${m_boot:--}" "${m_up:-0}" "$m_epoch" "$m_seen_serial"
}
# The arguments: the expected machine-id ("" for any), the epoch, the uptime after which it is too late (0: never) and
# the boot to which that uptime belongs.
m_admit() {
  m_greet || return
  [ -z "$1" ] || [ "$m_id" = "$1" ] || { m_say refused machine "$m_id"; return 1; }
  m_is_ours || { m_say refused cluster "$m_owner $m_owner_name"; return 1; }
  [ "$3" -eq 0 ] || { [ "${m_up%%.*}" -lt "$3" ] && [ "$m_boot" = "$4" ]; } || { m_say refused late; return 1; }
  [ "$m_epoch" -le "$2" ] || { m_say refused epoch "$m_epoch"; return 1; }
}
# Says that there is room for a unit file again: for the largest one, which has 1 MiB.
m_room() {
  { printf '%1048576s' '' >"$m_run/room"; } 2>/dev/null && m_say room
  rm -f "$m_run/room" 2>/dev/null
}
# Finds the control groups in which those of units are. systemd puts an instance of a template, and a unit with Slice=, into
# another one than system.slice.
m_find_slices() {
  m_slices=$m_cgroup/system.slice
  for m_c in "$m_cgroup"/*.slice "$m_cgroup"/*.slice/*.slice "$m_cgroup"/*.slice/*.slice/*.slice "$m_cgroup"/*.slice/*.slice/*.slice/*.slice; do
    # The slices of users and of Kubernetes are many, and have none of them.
    case $m_c in */system.slice|*/user.slice/*|*/kubepods.slice/*|*[*]*) ;; *) m_slices="$m_slices $m_c" ;; esac
  done
  m_slices="$m_slices $m_cgroup"
}
# Sets `m_place` to the control group of a unit that has a process.
m_find() {
  m_place=
  case $1 in *.timer|*.path|*.target|*.slice) return 1 ;; esac
  for m_c in $m_slices; do [ ! -r "$m_c/$1/cgroup.procs" ] || { m_place=$m_c/$1; return 0; }; done
  return 1
}
# Sets `m_pid` to the first processes of the groups inside that of a service: a container's are there.
m_inner() {
  for m_c in "$m_place"/*/cgroup.procs; do
    m_first=; [ -r "$m_c" ] && read -r m_first <"$m_c"
    m_pid=$m_pid,$m_first
  done
}
# A quick look that starts no process: the unit files and the first process of each. It shows only that something changed.
m_glance() {
  m_seen=
  m_find_slices
  for m_u in "$m_units"/*; do
    m_pid=; m_find "${m_u##*/}" && { read -r m_pid <"$m_place/cgroup.procs" || m_inner; }
    m_seen="$m_seen $m_u=$m_pid"
  done
}
# Reports whether the process of a service has run for less than 10 s, or has ended since systemd listed it as running.
# systemd may have restarted the service.
m_is_young() {
  m_pid= m_stat=
  m_find "$1" && for m_c in "$m_place/cgroup.procs" "$m_place"/*/cgroup.procs; do
    [ -r "$m_c" ] && read -r m_pid <"$m_c" && break
  done
  [ -r "/proc/${m_pid:--}/stat" ] && read -r m_stat <"/proc/$m_pid/stat"
  if [ -z "$m_stat" ]; then
    case $m_running in *" $1 "*) return 0 ;; *) return 1 ;; esac
  fi
  # The words after the name of the process: the 20th is the uptime of its start, in hundredths of a second.
  set -- ${m_stat##*) }
  [ $(($# < 20 ? 0 : ${m_up%%.*} - ${20:-0} / 100 < 10)) -eq 1 ]
}
m_restarts() {
  m_find_slices
  for m_u in "$@"; do
    shift
    case $m_u in *.service) m_is_young "$m_u" && set -- "$@" "$m_u" ;; esac
  done
  [ $# -gt 0 ] || return 0
  m_say restarts
  systemctl show --property=Id,NRestarts -- "$@" 2>/dev/null
}
# Finds the units whose files in the folder $2 are not those with the hashes in the folder $1.
m_compare() {
  for m_u in "$1"/*; do
    [ ! -e "$m_u" ] || (cd "$2/${m_u##*/}" && sha1sum --check --status "$m_u") 2>/dev/null || m_drifted="$m_drifted${m_u##*/} "
  done
}
m_look() {
  [ -d "$m_units" ] && cd "$m_units" || return 0
  set -- *
  [ -e "$1" ] || set --
  # A unit that muster has loaded may still run although its file is gone.
  m_lost=" " m_sources=
  for m_u in "$m_run"/files/*; do
    if m_quadlet_of "${m_u##*/}"; then m_sources="$m_sources${m_u##*/} $m_q $m_sum$m_nl"; fi
    [ -e "./${m_u##*/}" ] || [ ! -e "$m_u" ] || { set -- "$@" "${m_u##*/}"; m_lost="$m_lost${m_u##*/} "; }
  done
  [ $# -gt 0 ] || { cd /; return 0; }
  [ -z "$m_sources" ] || { m_say sources; printf '%s' "$m_sources"; }
  m_drifted=
  [ ! -d "$m_run/sums" ] || m_compare "$m_run/sums" "$m_files"
  [ ! -d "$m_run/seals" ] || m_compare "$m_run/seals" "$m_run/secrets"
  m_say hashes
  sha1sum -- "$@" 2>/dev/null
  for m_u in $m_lost$m_drifted; do printf '%040d  %s\n' 0 "$m_u"; done
  [ -z "$m_sources" ] || (
    cd "$m_quadlets" && set -- && while read -r m_u m_q m_sum; do [ -z "$m_q" ] || set -- "$@" "$m_q"; done <<M_EOF &&
$m_sources
M_EOF
      sha1sum -- "$@" 2>/dev/null
  )
  m_say marked
  printf '%s\n' "$m_run"/files/*
  m_say launched
  [ ! -d "$m_run/launched" ] || m_count_soft_reboots
  for m_u in "$m_run"/launched/*; do
    m_count= m_soft=; [ -e "$m_u" ] && read -r m_count m_soft <"$m_u"
    [ -z "${m_softs-}" ] || [ "${m_soft:-0}" = "$m_softs" ] || continue
    printf '%s %s\n' "${m_count:-0}" "${m_u##*/}"
  done
  m_say listed
  m_listed=" " m_running=" "
  m_list="systemctl list-units --all --full --plain --no-legend --no-pager"
  # A few units are listed by name, because a shell is slow to read the whole list. Many names would be slow to match.
  # init.scope is always listed and shows where the columns are.
  if [ $# -gt 32 ]; then m_all=$($m_list); else m_all=$($m_list -- "$@" init.scope); fi || m_say broken "systemctl list-units failed"
  while read -r m_u m_rest; do
    [ "$m_u" = init.scope ] || [ -e "./$m_u" ] || case $m_lost in *" $m_u "*) ;; *) continue ;; esac
    printf '%s %.100s\n' "$m_u" "$m_rest" && m_listed="$m_listed$m_u "
    case $m_rest in
      bad-setting\ *|error\ *) m_bad="$m_bad $m_u" ;;
      *\ running\ *) m_running="$m_running$m_u " ;;
    esac
  done <<M_EOF
$m_all
M_EOF
  m_restarts "$@"
  for m_u in "$@"; do
    shift
    case $m_listed in *" $m_u "*) ;; *) set -- "$@" "$m_u" ;; esac
  done
  if [ $# -gt 0 ]; then
    m_say shown
    m_out=$(systemctl show --property=Id,LoadState,ActiveState,SubState -- "$@" 2>/dev/null)
    printf '%s\n' "$m_out"
    case $m_out in *LoadState=bad-setting*|*LoadState=error*) m_bad="$m_bad $*" ;; esac
  fi
  cd /
  [ -z "$m_fresh" ] || [ -z "$m_bad" ] || m_blame
}
m_units=$m_root/run/fleet/units m_run=$m_root/run/muster m_system=$m_root/run/systemd/system
m_files=$m_root/run/fleet/files m_besides=' ' m_secrets=' '
m_about=$m_root/run/fleet/machine.env
m_quadlets=$m_root/run/fleet/quadlet m_generator=$m_root/usr/lib/systemd/system-generators/podman-system-generator
m_fresh= m_bad= m_kept=' ' m_staged= m_pairs=' '
m_nl='
'
m_cgroup=$m_root/sys/fs/cgroup
[ -d "$m_cgroup/system.slice" ] || m_cgroup=$m_root/sys/fs/cgroup/systemd
