needs getsebool
needs setsebool
run getsebool "$name" || fail "SELinux boolean $name does not exist."
if [ "$state" = yes ]; then word=on; else word=off; fi
case $out in *" $word") now=1 ;; *) now= ;; esac
kept=1
if [ "$persistent" = yes ] && has semanage; then
  semanage boolean -l 2> /dev/null | grep "^$name " | grep -q ", *$word)" || kept=
fi
if [ -z "$now" ] || [ -z "$kept" ]; then
  set -- setsebool
  [ "$persistent" != yes ] || set -- "$@" -P
  change "$@" "$name" "$word"
fi
finish
