needs modprobe
flat=$(printf %s "$name" | tr - _)
state=${state:-present}
say name "$name" && say params "$params" && say state "$state"
is_loaded() {
  ! grep -q "^$flat " /proc/modules || return 0
  for each in /lib/modules/"$(uname -r)"/modules.builtin; do
    [ -r "$each" ] && tr - _ < "$each" | grep -q "/$flat\.ko" && return 0
  done
  return 1
}
if is_loaded; then loaded=present; else loaded=absent; fi
if [ "$state" != "$loaded" ]; then
  if [ "$state" = present ]; then
    eval "set -- $parameters"
    change modprobe -- "$name" "$@"
  else
    change modprobe -r -- "$name"
  fi
fi
load_file=/etc/modules-load.d/$name.conf
options_file=/etc/modprobe.d/$name.conf
case $persistent in
  present)
    if ! cat /etc/modules /etc/modules-load.d/* 2> /dev/null | tr - _ | grep -qx "[[:space:]]*$flat[[:space:]]*"; then
      content=$name$newline
      replace_file "$load_file"
    fi
    if [ -n "$params" ]; then
      content="options $name $params$newline"
      [ -f "$options_file" ] && grep -qxF -- "options $name $params" "$options_file" || replace_file "$options_file"
    fi ;;
  absent)
    for each in "$load_file" "$options_file"; do
      [ -f "$each" ] || continue
      changed=1
      [ -n "$check" ] || rm -f -- "$each" || exit 1
    done ;;
esac
finish
