shown=$path
case $path in -*) path=./$path ;; esac
fields='%f %u:%U %g:%G %s %i %d %h %b %o %t %T %X %Y %Z %.9X %.9Y %.9Z'
s=$(stat $follow -c "$fields" -- "$path" 2>&1) || {
  case $s in *"No such file"*) exit 0 ;; esac
  fail "${s##*: }"
}
say stat "$s"
say path "$shown"
[ ! -r "$path" ] || say readable 1
[ ! -w "$path" ] || say writeable 1
[ ! -x "$path" ] || say executable 1
if [ -z "$follow" ] && [ -L "$path" ]; then
  target=$(readlink -m -- "$path" 2> /dev/null || readlink -f -- "$path")
  say lnk_source "$target"
  target=$(readlink -n -- "$path" && printf x)
  say lnk_target "${target%x}"
elif [ -n "$hash" ] && [ -f "$path" ] && [ -r "$path" ]; then
  s=$("${hash}sum" < "$path") && say checksum "${s%% *}"
fi
if [ -n "$md5" ] && [ -f "$path" ] && [ -r "$path" ] && { [ -n "$follow" ] || [ ! -L "$path" ]; }; then
  s=$(md5sum < "$path") && say md5 "${s%% *}"
fi
if [ -n "$mime" ] && command -v file > /dev/null; then say file "$(file --mime-type --mime-encoding -- "$path")"; fi
if [ -n "$attributes" ] && command -v lsattr > /dev/null; then say lsattr "$(lsattr -vd -- "$path" 2> /dev/null)"; fi
exit 0
