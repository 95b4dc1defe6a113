if [ -z "$make" ]; then
  if has gmake; then make=gmake; else make=make; fi
fi
needs "$make"
program=$(command -v "$make")
cd -- "$chdir" 2> /dev/null || fail "Unable to change directory to $chdir"
eval "set -- $words"
[ -z "$target" ] || set -- "$target" "$@"
list=$targets
eval "set -- $list \"\$@\""
[ -z "$file" ] || set -- -f "$file" "$@"
[ -z "$jobs" ] || set -- -j "$jobs" "$@"
line=$program
for each; do case $each in *[!A-Za-z0-9_@%+=:,./-]* | '') line="$line $(quote "$each")" ;; *) line="$line $each" ;; esac; done
# make -q tells whether there is something to do.
if ! run "$program" "$@" -q; then
  changed=1
  [ -n "$check" ] || run "$program" "$@" || { say cmd "$line" && say_run && fail "${err:-$out}"; }
fi
say command "$line" && say stdout "$out" && say stderr "$err"
finish
