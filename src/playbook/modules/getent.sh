needs getent
set -- getent
[ -z "$service" ] || set -- "$@" -s "$service"
run "$@" "$database" ${key:+"$key"}
case $rc in
  0) ;;
  1) fail "Missing arguments, or database unknown." ;;
  2)
    [ "$fail_key" = no ] || fail "One or more supplied key could not be found in the database."
    say missing 1 && say msg "One or more supplied key could not be found in the database." ;;
  3) fail "Enumeration not supported on this database." ;;
  *) fail "Unexpected failure!" ;;
esac
say database "$database" && say key "$key" && say split "$split"
say content ''
printf '%s\n' "$out"
