needs semanage
if [ "$ignore_selinux_state" != yes ]; then
  { has selinuxenabled && selinuxenabled; } || [ -e /sys/fs/selinux/enforce ] || fail "SELinux is disabled on this host."
fi
set -- -l -n
[ "$local" != yes ] || set -- "$@" -C
run semanage port "$@" || { say_run && fail "${err:-semanage failed}"; }
ours=$out
run semanage port -l -n || { say_run && fail "${err:-semanage failed}"; }
all=$out
# Prints the types of the port $1 in a list of lines `TYPE PROTO PORT, PORT`.
types_of() { awk -v port="$1" -v proto="$proto" '$2 == proto { for (i = 3; i <= NF; i++) { p = $i; sub(/,$/, "", p); if (p == port) print $1 } }'; }
reload_option=
[ "$reload" != no ] || reload_option=-N
list=$ports
eval "set -- $list"
for port; do
  there=
  if printf '%s\n' "$ours" | types_of "$port" | grep -qxF -e "$setype"; then there=1; fi
  case $state:$there in
    present:)
      action=-a
      [ -z "$(printf '%s\n' "$all" | types_of "$port")" ] || action=-m
      change semanage port $reload_option "$action" -t "$setype" -p "$proto" "$port" ;;
    absent:1) change semanage port $reload_option -d -p "$proto" "$port" ;;
  esac
done
finish
