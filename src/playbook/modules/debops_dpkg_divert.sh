needs dpkg-divert
needs env
tool=$(command -v dpkg-divert)
package=${package:-LOCAL} rename=${rename:-yes}
if [ -n "$divert" ]; then
  dest=$divert
elif [ "$package" = LOCAL ]; then
  dest=$path.dpkg-divert
else
  dest=$path.distrib
fi
action=--add
[ "$state" = present ] || action=--remove

# Runs the tool for the path, or asks it whether it would work.
divert_with() {
  set -- "$action" "$path"
  [ "$rename" != yes ] || set -- --rename "$@"
  set -- --divert "$dest" "$@"
  if [ "$package" = LOCAL ]; then set -- --local "$@"; else set -- --package "$package" "$@"; fi
  [ -z "$test" ] || set -- --test "$@"
  line="$(command -v env) LC_ALL=C $tool $*"
  run "$tool" "$@"
}
# Removes the diversion, whatever its name and its package are.
remove_any() {
  set -- --remove "$path"
  [ "$rename" != yes ] || set -- --rename "$@"
  [ -z "$check" ] || set -- --test "$@"
  remove_line="$(command -v env) LC_ALL=C $tool $*"
  run "$tool" "$@" || { say cmd "$remove_line" && say_run && fail "$err"; }
}
# Reports what the tool printed, with the newline at the end that `run` takes off.
say_output() { say cmd "$line" && say stdout "${out:+$out$end}" && say stderr "${err:+$err$newline}"; }
end=$newline

run "$tool" --listpackage "$path"
holder=$out
test=1
divert_with
works=$rc
test=$check
if [ "$works" = 0 ] || [ "$force" != yes ] || [ -z "$holder" ]; then
  if [ "$state" = absent ] && [ "$delete" = yes ] && [ -n "$holder" ]; then
    if [ -n "$check" ] && [ -e "$path" ]; then
      # The tool would refuse, as the file still is there.
      local=
      [ "$package" != LOCAL ] || local='local '
      divert_with
      out="Deleting $path and removing ${local}diversion of $path to $dest" err='' end='' changed=1
      say_output
      finish
    fi
    [ -n "$check" ] || rm -f -- "$path" || fail "unlinking failed: $path"
  fi
  divert_with || { say cmd "$line" && say_run && fail "$err"; }
  case $out in Leaving* | 'No diversion'*) ;; *) changed=1 ;; esac
  say_output
  finish
fi

# The diversion has another name or package, and `force` is set.
changed=1
run "$tool" --truename "$path"
old=$out
remove_any
removed=$out
if [ "$state" = absent ]; then
  line=$remove_line
  say_output
  finish
fi
if [ -n "$check" ]; then
  divert_with
  say cmd:lines "$remove_line$newline$line"
  say msg "$removed"
  finish
fi
# The tool never overwrites a file, so that the file with the old name must get the new one first.
if [ "$rename" = yes ] && [ -f "$old" ] && [ ! -f "$dest" ]; then mv -T -- "$old" "$dest" || exit 1; moved=1; else moved=; fi
if ! divert_with; then
  say_run
  failed=$err
  [ -z "$moved" ] || mv -T -- "$dest" "$old"
  if [ "$holder" = LOCAL ]; then set -- --local; else set -- --package "$holder"; fi
  [ "$rename" != yes ] || set -- --rename "$@"
  run "$tool" "$@" --divert "$old" "$path"
  fail "$failed"
fi
say stdout "${out:+$out$end}" && say stderr "${err:+$err$newline}" && say cmd:lines "$remove_line$newline$line" && say msg:lines "$removed$newline$out"
finish
