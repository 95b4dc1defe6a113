[ -z "$session_role" ] || export PGOPTIONS="-c role=$session_role"
queries=
execute() {
  changed=1 queries=$queries$1$newline
  [ -n "$check" ] || ask "$1"
}
ask "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = $(literal "$name")"
now=$out
ask "SELECT default_version FROM pg_catalog.pg_available_extensions WHERE name = $(literal "$name")"
default=$out
ask "SELECT version FROM pg_catalog.pg_available_extension_versions WHERE name = $(literal "$name")"
available=$out
say prev_version "$now"
end() {
  say queries:lines "$queries" && say version "$1"
  finish
}
cascades=
[ "$cascade" != yes ] || cascades=' CASCADE'
if [ "$state" = absent ]; then
  [ -z "$now" ] || execute "DROP EXTENSION $(identifier "$name")$cascades"
  end ''
fi
case $version in
  '' | latest)
    [ -n "$available" ] || fail "Extension $name is not available"
    [ -n "$default" ] || fail "Passed version 'latest' but no default_version available in extension control file"
    wanted=$default ;;
  *) wanted=$version ;;
esac
if [ -z "$now" ]; then
  if ! printf '%s\n' "$available" | grep -qxF -e "$wanted"; then
    if [ "$version" = latest ]; then fail "Latest version '$wanted' is not available"; fi
    fail "Passed version '$wanted' is not available"
  fi
  statement="CREATE EXTENSION $(identifier "$name")"
  [ -z "$schema" ] || statement="$statement WITH SCHEMA $(identifier "$schema")"
  case $version in '' | latest) ;; *) statement="$statement VERSION $(literal "$version")" ;; esac
  execute "$statement$cascades"
  end "$wanted"
fi
if [ -z "$version" ] || [ "$now" = "$wanted" ]; then end "$now"; fi
ask "SELECT path FROM pg_extension_update_paths($(literal "$name")) WHERE source = $(literal "$now") AND target = $(literal "$wanted")"
if [ -z "$out" ]; then
  if [ "$version" = latest ]; then fail "Latest version '$wanted' has no valid update path from the currently installed version '$now'"; fi
  fail "Passed version '$version' has no valid update path from the currently installed version '$now' or the passed version is not available"
fi
statement="ALTER EXTENSION $(identifier "$name") UPDATE"
[ "$version" = latest ] || statement="$statement TO $(literal "$version")"
execute "$statement"
end "$wanted"
