needs dpkg-divert
tool=$(command -v dpkg-divert)
dest=${divert:-$path.distrib} holder=${holder:-LOCAL} commands= messages=
moves=--no-rename
if [ "$rename" = yes ]; then
  moves=--rename
elif ! "$tool" --help 2> /dev/null | grep -q -e --no-rename; then
  # Versions before 1.19.1 have no such option and do not rename.
  moves=
fi

look_up() {
  now=absent now_holder='' now_divert=''
  must "$tool" --listpackage "$path"
  [ -n "$out" ] || return 0
  now=present now_holder=$out
  must "$tool" --truename "$path"
  now_divert=$out
}
say_side() {
  say "diff_$1_path" "$path" && say "diff_$1_state" "$2" && say "diff_$1_holder" "$3" && say "diff_$1_divert" "$4"
}

# Runs the tool. $1 is the file that must yield if a file is moved there. A check only asks whether it would work.
act() {
  yields=$1 tried=
  shift
  [ -z "$moves" ] || set -- "$moves" "$@"
  line=$*
  commands="$commands$tool $line$newline"
  [ -z "$check" ] || set -- --test "$@"
  until run "$tool" "$@"; do
    case $err in *'rename involves overwriting'*) ;; *) say cmd "$tool $line" && say_run && fail "$err" ;; esac
    [ "$force" = yes ] || { say cmd "$tool $line" && say_run && fail "Set 'force' param to True to force renaming of files."; }
    if [ -n "$check" ] || [ -n "$tried" ]; then break; fi
    tried=1
    rm -f -- "$yields" || exit 1
  done
  messages=$messages$out$newline
}
add() {
  set -- --add "$path"
  [ -z "$divert" ] || set -- --divert "$divert" "$@"
  if [ "$holder" = LOCAL ]; then set -- --local "$@"; else set -- --package "$holder" "$@"; fi
  act "$dest" "$@"
}
remove() { act "$path" --remove "$path"; }

look_up
say_side before "$now" "$now_holder" "$now_divert"
was=$now/$now_holder/$now_divert
if [ "$state" = absent ]; then
  is=absent// dest='' holder=''
  remove
else
  is=present/$holder/$dest
  # The tool changes no diversion: the old one is removed first. A check cannot try the new one then.
  if [ "$now" = absent ] || [ "$was" = "$is" ]; then
    add
  else
    remove
    if [ -z "$check" ]; then
      add
    else
      by=" by $holder" kind=diversion
      [ "$holder" != LOCAL ] || by='' kind='local diversion'
      messages="${messages}Adding '$kind of $path to $dest$by'$newline"
    fi
  fi
fi
[ "$was" = "$is" ] || changed=1
say_side after "$state" "$holder" "$dest"
say commands:lines "$commands" && say messages:lines "$messages"
[ -z "$shows_diff" ] || say diff_wanted 1
finish
