needs zfs
list=$properties
exists() { run zfs list -t all "$name"; }
# Prints the value of a property that was set, or that a file system has from its beginning.
value_of() {
  source=$(zfs get -H -p -o source "$1" "$name" 2> /dev/null)
  case $source in local | received | -) zfs get -H -p -o value "$1" "$name" ;; esac
}
if [ "$state" = absent ]; then
  if exists; then change zfs destroy -R "$name"; fi
  finish
fi
if ! exists; then
  case $name in
    *@*) action=snapshot clones= ;;
    *) if [ -n "$origin" ]; then action='clone -p' clones=1; else action='create -p' clones=; fi ;;
  esac
  options=
  eval "set -- $list"
  while [ $# -gt 1 ]; do
    case $1 in
      volsize) options="$options -V $(quote "$2")" ;;
      volblocksize) options="$options -b $(quote "$2")" ;;
      *) options="$options -o $(quote "$1=$2")" ;;
    esac
    shift 2
  done
  eval "set -- $options"
  [ -z "$clones" ] || set -- "$@" "$origin"
  change zfs $action "$@" "$name"
  finish
fi
eval "set -- $list"
while [ $# -gt 1 ]; do
  old=$(value_of "$1")
  if [ "$old" != "$2" ]; then
    if [ -n "$check" ]; then
      changed=1
    else
      must zfs set "$1=$2" "$name"
      new=$(value_of "$1")
      [ -n "$new" ] || fail "zfsprop was not present after being successfully set: $1"
      [ "$new" = "$old" ] || changed=1
    fi
  fi
  shift 2
done
finish
