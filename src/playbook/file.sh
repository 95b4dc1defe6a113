# The content is in `content` if it is short, or else comes on stdin.
drain() { [ -n "$inline" ] || cat > /dev/null; }
if [ -n "$downloaded" ]; then
  drain() { :; }
  exec < "$downloaded"
  s=$(sha256sum < "$downloaded") && sum=${s%% *}
elif [ -n "$source" ]; then
  [ -e "$source" ] || fail "Source $source not found"
  [ -r "$source" ] || fail "Source $source not readable"
  [ -f "$source" ] || fail "Cannot copy invalid source '$source': not a file"
  drain() { :; }
  exec < "$source"
  s=$(sha256sum < "$source") && sum=${s%% *}
  s=$(sha1sum < "$source") && say checksum "${s%% *}"
  say src "$source"
  source_mode=$(stat -Lc %a -- "$source")
  [ -z "$preserve" ] || mode="m=$((0$source_mode))"
  n=${source##*/}
fi
case $d in
  */)
    if [ ! -d "$d" ] && [ -z "$check" ]; then
      (mode=$folder_mode file_flags='' && make_folders "$d") || fail "cannot make the directory $d"
    fi ;;
esac
case $d in
  */) path=$d$n ;;
  *) path=$d ;;
esac
if [ -d "$d" ]; then
  [ -n "$n" ] || fail "can not use content with a dir as dest"
  # Any user could point a link of his own to a directory of root.
  if [ -L "${d%/}" ]; then
    u=$(stat -c %u -- "${d%/}") || exit 1
    find_uid
    [ "$u" = 0 ] || [ "$u" = "$own_uid" ] || fail "$d is a link of another user to a directory"
  fi
  path=${d%/}/$n
fi

# Reports the result and ends. The old content comes last.
finish() {
  find_description "$name"
  changed=
  [ -z "$1$altered" ] || changed=1
  printf '%s=%s\0' changed "$changed" rewritten "$1" altered "$altered" attributes "$attributes" dest "$path" \
    described "$described"
  [ -z "$1" ] || show_old
  exit 0
}

# Opens the old file, so that it can be shown after it was replaced. Root reads nothing through a link of another user.
opened=
open_old() {
  case $kind in file | hard | link) ;; *) return 0 ;; esac
  [ -f "$name" ] || return 0
  find_uid
  case ${of_user%%:*} in 0 | "$own_uid") ;; *) [ "$kind" != link ] || return 0 ;; esac
  exec 7< "$name" && opened=1
}
show_old() {
  [ -n "$opened" ] || return 0
  if [ "$(stat -Lc %s /proc/self/fd/7)" -gt "$diff_limit" ]; then say old large && return; fi
  say old 1
  say content
  cat <&7
}

if [ -n "$makes_folders" ] && [ -z "$check" ] && [ ! -d "${path%/*}" ]; then
  (without_attributes && make_folders "${path%/*}") || fail "Error creating ${path%/*}"
fi
if ! enter; then
  [ -n "$check" ] || fail "Destination directory ${path%/*} does not exist"
  # An earlier task might have made it.
  drain
  say changed 1
  say rewritten 1
  say dest "$path"
  exit 0
fi
[ -z "$follow" ] || follow_link

# A link is replaced and never followed. As with Ansible, the new file has the attributes of the link's target, but not its
# set-user-ID bit, since any user may make a link to such a file.
now=absent
old=
if [ -n "$found" ]; then
  # This is the version that is expected, which is checked before the file is replaced.
  set -- $found
  kind=file of_user=$1 of_group=$2 bits=$3 now=other version=$expected
  old="${of_user%%:*} ${of_group%%:*} $bits"
else
  look "$name" && seen=1
  case $kind in
    absent) ;;
    file | hard)
      now=other
      if [ -z "$length" ] || [ "$size" = "$length" ]; then
        s=$(sha256sum < "$name") || exit 1
        now=${s%% *}
      fi
      old="${of_user%%:*} ${of_group%%:*} $bits" ;;
    link)
      if [ -e "$name" ]; then
        old=$(stat -Lc '%u %g %a' -- "$name") || exit 1
        m=${old##* }
        case $m in ????) m=${m#?} ;; esac
        old="${old% *} $m"
      fi ;;
    *) fail "$path is neither a file nor a link" ;;
  esac
  find_version
fi
# Ends if the file is not the version that was read before.
require_expected() {
  if [ -n "$expected" ] && [ "$expected" != "$1" ]; then drain && say stale 1 && exit 0; fi
}
require_expected "$version"
if [ -n "$keep" ] && [ "$kind" != absent ]; then
  drain
  say msg "file already exists"
  finish ''
fi
if [ "$now" = "$sum" ]; then
  drain
  set_attributes
  finish ''
fi
[ -z "$shows_old" ] || open_old
if [ -n "$check" ]; then
  drain
  [ "$now" = absent ] || set_attributes
  finish 1
fi

# The mode that the new file is to have, if its owner and its group stay.
set -- $old
to_octal $((0${3:-644}))
base=$octal bits=$octal kind=file number=$((0$octal))
[ -z "$mode" ] || compute_mode

# The file is made exclusively, and written, checked and given away through its descriptor: another user may replace the
# name at any time. Only a file that all may read and that others may not write has its mode from the beginning.
octal=077
[ $((number & 022)) != 0 ] || [ $((number & 4)) = 0 ] || to_octal $((0777 & ~number))
umask $octal
t=./.muster.$unique
set -C
exec 3> "$t" || exit 1
set +C
umask 077
trap 'rm -f -- "$t"; clean' EXIT
trap 'exit 1' HUP INT TERM
f=/proc/self/fd/3
if [ -z "$inline" ]; then
  cat >&3 || exit 1
  s=$(sha256sum < $f) || exit 1
  [ "${s%% *}" = "$sum" ] || fail "the content did not arrive whole"
elif ! printf %s "$content" >&3 2> /dev/null; then
  # The program says why it cannot write.
  printf %s "$content" | cat >&3
  exit 1
fi
if [ -n "$wanted_sha1" ]; then
  s=$(sha1sum < $f) && s=${s%% *}
  if [ "$s" != "$wanted_sha1" ]; then
    say checksum "$s" && say expected_checksum "$wanted_sha1"
    fail "Copied file does not match the expected checksum. Transfer failed."
  fi
fi
# Looks at the new file, and at the one that it replaces.
look_at_both() {
  set -- $(stat -c '%u:%U %g:%G %a %s %d:%i %.9Z' -- "$t" "$name" 2> /dev/null)
  [ $# -ge 6 ] || fail "another process replaced the temporary file of $path"
  new_user=$1 new_group=$2 new_bits=$3 new_size=$4
  version=absent
  [ $# -lt 12 ] || version=${11}:${10}:${12}
}
look_at_both
if [ -n "$length" ] && [ "$length" != "$new_size" ]; then fail "the content did not arrive whole"; fi
set -- $old
if [ $# -ge 3 ] && [ "$1:$2" != "${new_user%%:*}:${new_group%%:*}" ]; then
  chown -- "$1:$2" $f 2> /dev/null && look_at_both
fi
before="${new_user%%:*} ${new_group%%:*} $base"
give() {
  e=$("$1" -- "$3" $f 2>&1) && return
  case $e in
    *invalid* | *unknown*) fail "$1 failed: failed to look up $2 $3" ;;
    *) fail "$1 failed: ${e##*: }" ;;
  esac
}
given=
case $owner in '' | "${new_user%%:*}" | "${new_user#*:}") ;; *) give chown user "$owner" && given=1 ;; esac
case $group in '' | "${new_group%%:*}" | "${new_group#*:}") ;; *) give chgrp group "$group" && given=1 ;; esac
if [ -n "$given" ]; then
  look_at_both
  # chown takes set-user-ID bits away.
  to_octal $((0$base & 01777))
  bits=$octal number=$((0$octal))
  [ -z "$mode" ] || compute_mode
fi
to_octal "$number"
[ $((0$new_bits)) = "$number" ] || chmod -- "0$octal" $f || exit 1
after="${new_user%%:*} ${new_group%%:*} $octal"
[ "$before" = "$after" ] || altered=1
attributes=
# shellcheck disable=SC2086
compare() {
  [ "$1" = "$4" ] || note owner "$1" "$4"
  [ "$2" = "$5" ] || note group "$2" "$5"
  [ "$3" = "$6" ] || note mode "$3" "$6"
}
[ -z "$shows_diff" ] || compare $before $after
if [ -n "$validates" ]; then
  # What the program prints to stderr goes into a record at once.
  exec 6>&1
  printf 'stderr='
  out=$(validate "$PWD/${t#./}" 2>&6 < /dev/null)
  rc=$?
  printf '\0'
  [ $rc = 0 ] || { say stdout "$out" && say exit_status $rc && fail "failed to validate"; }
  look_at_both
fi
if [ -L "$t" ] || ! [ "$t" -ef $f ]; then fail "another process replaced the temporary file of $path"; fi
# While the file was written and checked, another process may have changed it.
require_expected "$version"
if [ -n "$backup" ] && { [ -e "$name" ] || [ -L "$name" ]; }; then
  copy=$name.$unique.$(date +%Y-%m-%d@%H:%M:%S)~
  find_uid
  # The old file itself is the backup. A copy could be written through a link of another user.
  ln -T -- "$name" "$copy" 2> /dev/null || { [ "$own_uid" != 0 ] && cp -p -- "$name" "$copy"; } ||
    fail "Could not make backup of $path"
  say backup_file "${path%/*}/${copy#./}"
fi
if ! e=$(mv -fT -- "$t" "$name" 2>&1); then
  # A file that is mounted alone, as in containers, can only be written in its place.
  case $in_place:$e in
    1:*busy*) cat -- "$t" > "$name" && rm -f -- "$t" && seen= || exit 1 ;;
    *) echo "$e" >&2 && exit 1 ;;
  esac
else
  of_user=$new_user of_group=$new_group bits=$octal size=$new_size seen=1
fi
trap clean EXIT
set_context
set_flags
finish 1
