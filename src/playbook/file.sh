drain() { cat > /dev/null; }
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
    [ "$u" = 0 ] || [ "$u" = "$(id -u)" ] || fail "$d is a link of another user to a directory"
  fi
  path=${d%/}/$n
fi

# Reports the result and ends. The old content comes last.
finish() {
  [ -z "$1$altered" ] || say changed 1
  say rewritten "$1"
  say altered "$altered"
  say attributes "$attributes"
  say dest "$path"
  describe "$name"
  [ -z "$1" ] || show_old
  exit 0
}

# Opens the old file, so that it can be shown after it was replaced. Root reads nothing through a link of another user.
opened=
open_old() {
  case $kind in file | hard | link) ;; *) return 0 ;; esac
  [ -f "$name" ] || return 0
  case ${of_user%%:*} in 0 | "$(id -u)") ;; *) [ "$kind" != link ] || return 0 ;; esac
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
look "$name"
now=absent
old=
case $kind in
  absent) ;;
  file | hard)
    s=$(sha256sum < "$name") || exit 1
    now=${s%% *}
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
# Ends if the file is not what was read before.
require_expected() {
  if [ -n "$expected" ] && [ "$expected" != "$1" ]; then drain && say stale 1 && exit 0; fi
}
require_expected "$now"
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

# The file is made exclusively, and written, checked and given away through its descriptor: another user may replace the
# name at any time.
session=$(umask)
umask 077
t=$(mktemp -u ./.muster.XXXXXXXXXX) || exit 1
set -C
exec 3> "$t" || exit 1
set +C
trap 'rm -f -- "$t"; clean' EXIT
trap 'exit 1' HUP INT TERM
f=/proc/self/fd/3
cat >&3 || exit 1
s=$(sha256sum < $f) || exit 1
[ "${s%% *}" = "$sum" ] || fail "the content did not arrive whole"
if [ -n "$wanted_sha1" ]; then
  s=$(sha1sum < $f) && s=${s%% *}
  if [ "$s" != "$wanted_sha1" ]; then
    say checksum "$s" && say expected_checksum "$wanted_sha1"
    fail "Copied file does not match the expected checksum. Transfer failed."
  fi
fi
set -- $old
if [ $# -ge 3 ]; then
  chown -- "$1:$2" $f 2> /dev/null || :
  chmod -- "$3" $f || exit 1
else
  chmod -- 644 $f || exit 1
fi
before=$(stat -Lc '%u %g %a' $f)
give() {
  e=$("$1" -- "$3" $f 2>&1) && return
  case $e in
    *invalid* | *unknown*) fail "$1 failed: failed to look up $2 $3" ;;
    *) fail "$1 failed: ${e##*: }" ;;
  esac
}
[ -z "$owner" ] || give chown user "$owner"
[ -z "$group" ] || give chgrp group "$group"
if [ -n "$mode" ]; then
  kind=file bits=$(stat -Lc %a $f)
  (umask "$session" && compute_mode && chmod -- "$(printf '%04o' "$number")" $f) || exit 1
fi
after=$(stat -Lc '%u %g %a' $f)
[ "$before" = "$after" ] || altered=1
attributes=
# shellcheck disable=SC2086
compare() {
  [ "$1" = "$4" ] || note owner "$1" "$4"
  [ "$2" = "$5" ] || note group "$2" "$5"
  [ "$3" = "$6" ] || note mode "$3" "$6"
}
compare $before $after
if [ -n "$validates" ]; then
  # What the program prints to stderr goes into a record at once.
  exec 6>&1
  printf 'stderr='
  out=$(validate "$PWD/${t#./}" 2>&6 < /dev/null)
  rc=$?
  printf '\0'
  [ $rc = 0 ] || { say stdout "$out" && say exit_status $rc && fail "failed to validate"; }
fi
[ "$(stat -c %d:%i -- "$t")" = "$(stat -Lc %d:%i -- $f)" ] || fail "another process replaced the temporary file of $path"
if [ -n "$expected" ]; then
  # While the file was written and checked, another process may have changed it.
  look "$name"
  case $kind in
    file | hard) s=$(sha256sum < "$name") && require_expected "${s%% *}" ;;
    *) require_expected "$kind" ;;
  esac
fi
if [ -n "$backup" ] && { [ -e "$name" ] || [ -L "$name" ]; }; then
  copy=$name.$$.$(date +%Y-%m-%d@%H:%M:%S)~
  # The old file itself is the backup. A copy could be written through a link of another user.
  ln -T -- "$name" "$copy" 2> /dev/null || { [ "$(id -u)" != 0 ] && cp -p -- "$name" "$copy"; } ||
    fail "Could not make backup of $path"
  say backup_file "${path%/*}/${copy#./}"
fi
if ! e=$(mv -fT -- "$t" "$name" 2>&1); then
  # A file that is mounted alone, as in containers, can only be written in its place.
  case $in_place:$e in
    1:*busy*) cat -- "$t" > "$name" && rm -f -- "$t" || exit 1 ;;
    *) echo "$e" >&2 && exit 1 ;;
  esac
fi
trap clean EXIT
set_context
set_flags
finish 1
