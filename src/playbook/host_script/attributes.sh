altered=
# What set_attributes() and the like changed, one in a line: NAME BEFORE AFTER. Only a run that shows differences fills it.
attributes=
note() { [ -z "$shows_diff" ] || attributes=$attributes$1' '$2' '$3'
'; }
# Prints the number of the owner or the group of the task.
user_id() { case $owner in *[!0-9]*) id -u -- "$owner" 2> /dev/null || echo "$owner" ;; *) echo "$owner" ;; esac; }
group_id() {
  case $group in
    *[!0-9]*) set -- "$(getent group "$group" 2> /dev/null | cut -d: -f3)" && echo "${1:-$group}" ;;
    *) echo "$group" ;;
  esac
}

# Sets `number` to the mode that $name, at which look() has looked, is to have.
compute_mode() {
  m=$((0$bits)) isdir=0
  case $mode in *mask*) [ -n "$mask" ] || mask=$((0$(umask))) ;; esac
  [ "$kind" != directory ] || isdir=1
  eval "$mode"
  number=$m
}
mask=
# Sets `octal` to the octal digits of a mode.
to_octal() {
  octal=$(($1 >> 6 & 7))$(($1 >> 3 & 7))$(($1 & 7))
  [ "$1" -lt 512 ] || octal=$(($1 >> 9 & 7))$octal
}

# Changes the mode of $name. As root the file is opened first: another user may replace the name by a link at any time.
change_mode() {
  seen=
  find_uid
  if [ "$own_uid" != 0 ] || [ "$name" = . ]; then
    chmod -- "$1" "$name"
    return
  fi
  case $kind in
    directory) (here=${PWD%/} && cd -P -- "$name" && [ "$PWD" = "$here/${name#./}" ] && exec chmod -- "$1" .) ;;
    file | hard)
      { [ "$(stat -Lc %d:%i /proc/self/fd/4)" = "$id" ] && chmod -- "$1" /proc/self/fd/4; } 4< "$name" ;;
    # A special file cannot be opened first. Only root may have replaced it in a folder of root.
    special) [ "$(stat -c %u .)" = 0 ] && chmod -- "$1" "$name" ;;
    *) return 1 ;;
  esac
}

# Changes the owner of $name, or its group.
change_owner() {
  seen=
  e=$("$1" -h -- "$3" "$name" 2>&1) && return
  case $e in
    *invalid* | *unknown*) fail "$1 failed: failed to look up $2 $3" ;;
    *) fail "$1 failed: ${e##*: }" ;;
  esac
}

# Gives $name what the task says. Sets `altered` if that changes something, or would.
set_attributes() {
  attributes=
  set_context
  set_owner_and_mode
  set_flags
}

# Sets the context of SELinux, which a host without SELinux does not have.
set_context() {
  [ -n "$se_user$se_role$se_type$se_level" ] && [ -e /sys/fs/selinux/enforce ] || return 0
  case " $se_user $se_role $se_type $se_level " in *' _default '*) fail "muster cannot look up _default in the policy of SELinux: give the value" ;; esac
  now=$(stat -c %C -- "$name") || fail "invalid selinux context: $path has none"
  r=${now#*:} t=${now#*:*:} l=
  case $t in *:*) l=${t#*:} ;; esac
  wanted=${se_user:-${now%%:*}}:${se_role:-${r%%:*}}:${se_type:-${t%%:*}}
  [ -z "$l" ] || wanted=$wanted:${se_level:-$l}
  [ "$wanted" != "$now" ] || return 0
  altered=1
  [ -n "$check" ] || e=$(chcon -h -- "$wanted" "$name" 2>&1) || fail "set selinux context failed: ${e##*: }"
}

# Sets the flags of the file system with chattr: those with `+` are added, those with `-` are removed, others replace all.
set_flags() {
  case $file_flags in
    [+-]*) f=${file_flags#?} && how=${file_flags%"$f"} ;;
    *) f=$file_flags how== ;;
  esac
  [ -n "$f" ] && command -v chattr > /dev/null || return 0
  look "$name"
  now=$(lsattr -d -- "$name" 2> /dev/null | tr -d -) && now=${now%% *}
  if [ "$now" = "$f" ] && [ "$how" != - ]; then return 0; fi
  altered=1
  [ -z "$check" ] || return 0
  # chattr follows links.
  [ "$kind" != link ] && e=$(chattr "$how$f" "$name" 2>&1) && [ -z "$e" ] || fail "chattr failed"
}

set_owner_and_mode() {
  [ -n "$owner$group$mode" ] || return 0
  see "$name"
  if [ -n "$owner" ] && [ "$owner" != "${of_user%%:*}" ] && [ "$owner" != "${of_user#*:}" ]; then
    altered=1
    [ -z "$shows_diff" ] || note owner "${of_user%%:*}" "$(user_id)"
    if [ -z "$check" ]; then
      change_owner chown user "$owner"
    else
      case $owner in *[!0-9]*) id -u -- "$owner" > /dev/null 2>&1 || fail "chown failed: failed to look up user $owner" ;; esac
    fi
  fi
  if [ -n "$group" ] && [ "$group" != "${of_group%%:*}" ] && [ "$group" != "${of_group#*:}" ]; then
    altered=1
    [ -z "$shows_diff" ] || note group "${of_group%%:*}" "$(group_id)"
    [ -n "$check" ] || change_owner chgrp group "$group"
  fi
  [ -n "$mode" ] && [ "$kind" != link ] || return 0
  # chown takes set-user-ID bits away.
  [ -n "$check" ] || see "$name"
  [ "$kind" != link ] || fail "another process replaced $path"
  compute_mode
  [ "$number" -ne $((0$bits)) ] || return 0
  altered=1
  to_octal "$number"
  note mode "$bits" "$octal"
  # Without five digits chmod keeps the set-group-ID bit of a directory.
  [ -n "$check" ] || change_mode "00$octal" || fail "chmod failed: $path"
}

# Describes a file for the result.
describe() { find_description "$1" && say described "$described"; }
find_description() {
  see "$1"
  if [ "$kind" = absent ]; then described=absent; else described="$of_user $of_group $bits $size $kind"; fi
}

# Forgets what the task says about its file, for folders that are made on the way.
without_attributes() { owner='' group='' mode='' se_user='' se_role='' se_type='' se_level='' file_flags=''; }

# Makes the missing folders of a path and gives each one the attributes of the task. Afterwards the last one is the current
# folder.
make_folders() {
  seen=
  case $1 in /*) cd / ;; esac
  rest=$1
  while [ -n "$rest" ]; do
    part=${rest%%/*}
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
    case $part in '' | .) continue ;; esac
    made=${PWD%/}/$part
    if [ -d "./$part" ]; then
      cd -P -- "./$part" || return
      continue
    fi
    e=$(mkdir -- "./$part" 2>&1) || [ -d "./$part" ] || return
    altered=1
    # Another user may have replaced the folder by a link.
    cd -P -- "./$part" && [ "$PWD" = "$made" ] || return
    name=.
    set_attributes
  done
}
