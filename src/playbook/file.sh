LC_ALL=C
export LC_ALL
fail() { echo "$1" >&2; exit 1; }
case $d in */) [ -d "$d" ] || fail "no directory $d" ;; esac
if [ -d "$d" ]; then
  [ -n "$n" ] || fail "can not use content with a dir as dest: $d is a directory"
  # Any user could point a link of his own to a directory of root.
  if [ -L "${d%/}" ]; then
    u=$(stat -c %u -- "${d%/}") || exit 1
    [ "$u" = 0 ] || [ "$u" = "$(id -u)" ] || fail "$d is a link of another user to a directory"
  fi
  d=${d%/}/$n
fi
dir=${d%/*}
[ -n "$dir" ] || dir=/
[ -d "$dir" ] || fail "no directory $dir"
# From here on no change to the path leads elsewhere.
cd -P -- "$dir" || exit 1
b=./${d##*/}

# The kind, user, group and mode of the old file. A link is replaced and never followed. As with Ansible, the new file
# has the attributes of the link's target, but not its set-user-ID bit, since any user may make a link to such a file.
old=
if [ -e "$b" ] || [ -L "$b" ]; then
  old=$(stat -c '%u %g %a %F' -- "$b") || exit 1
fi
case $old in
  '' | *' regular file' | *' regular empty file') ;;
  *' symbolic link')
    old=
    if [ -e "$b" ]; then
      old=$(stat -Lc '%u %g %a' -- "$b") || exit 1
      m=${old##* }
      case $m in ????) m=${m#?} ;; esac
      old="${old% *} $m link"
    fi ;;
  *) fail "$d is neither a file nor a link" ;;
esac

# Reports whether the file has an attribute: the name or the number.
has() { [ -z "$1" ] || [ "$(stat -c "$2" -- "$b")" = "$1" ] || [ "$(stat -c "$3" -- "$b")" = "$1" ]; }
change=1
case $old in
  *file)
    s=$(sha256sum < "$b") || exit 1
    if [ "${s%% *}" = "$sum" ] && has "$mode" %a %a && has "$owner" %U %u && has "$group" %G %g; then change=; fi ;;
esac
if [ -n "$check" ] || [ -z "$change" ]; then
  cat > /dev/null
  if [ -n "$change" ]; then echo "muster-file changed"; else echo "muster-file same"; fi
  echo "$d"
  exit 0
fi

# The file is made exclusively, and written, checked and given away through its descriptor: another user may replace the
# name at any time.
umask 077
t=$(mktemp -u ./.muster.XXXXXXXXXX) || exit 1
set -C
exec 3> "$t" || exit 1
trap 'rm -f -- "$t"' EXIT
trap 'exit 1' HUP INT TERM
f=/proc/self/fd/3
cat >&3 || exit 1
s=$(sha256sum < $f) || exit 1
[ "${s%% *}" = "$sum" ] || fail "the content did not arrive whole"
set -- $old
if [ $# -ge 3 ]; then
  chown -- "$1:$2" $f 2> /dev/null || :
  chmod -- "$3" $f || exit 1
else
  chmod -- 644 $f || exit 1
fi
[ -z "$owner" ] || chown -- "$owner" $f || exit 1
[ -z "$group" ] || chgrp -- "$group" $f || exit 1
[ -z "$mode" ] || chmod -- "$mode" $f || exit 1
[ "$(stat -c %d:%i -- "$t")" = "$(stat -Lc %d:%i -- $f)" ] || fail "another process replaced the temporary file of $d"
mv -fT -- "$t" "$b" || exit 1
trap - EXIT
echo "muster-file changed"
echo "$d"
