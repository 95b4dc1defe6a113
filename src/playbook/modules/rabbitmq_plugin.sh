tool=rabbitmq-plugins
if [ -n "$prefix" ]; then
  if [ -d "$prefix/bin" ]; then
    tool=$prefix/bin/rabbitmq-plugins
  elif [ -d "$prefix/sbin" ]; then
    tool=$prefix/sbin/rabbitmq-plugins
  else
    fail "No binary folder in prefix $prefix"
  fi
fi
needs "$tool"
must "$tool" list -E -m
# The list ends at the first empty line.
now=$(printf '%s\n' "$out" | sed '/^$/,$d')
has_line() { printf '%s\n' "$1" | grep -qxF -e "$2"; }
list=$names
eval "set -- $list"
names=$(for each; do printf '%s\n' "$each"; done)
enabled='' disabled=
turn() {
  change "$tool" "$1" "--${broker_state:-online}" "$2"
  if [ "$1" = enable ]; then enabled=$enabled$2$newline; else disabled=$disabled$2$newline; fi
}
for each in $now; do
  case ${state:-enabled} in
    disabled) if has_line "$names" "$each"; then turn disable "$each"; fi ;;
    *) if [ "$new_only" != yes ] && has_line "$now" "$each" && ! has_line "$names" "$each"; then turn disable "$each"; fi ;;
  esac
done
if [ "${state:-enabled}" = enabled ]; then
  for each; do has_line "$now" "$each" || turn enable "$each"; done
fi
say enabled:lines "$enabled" && say disabled:lines "$disabled"
finish
