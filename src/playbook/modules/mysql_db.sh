is_there() {
  sql "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = $(literal "$1")" || { say_run && fail "unable to find $1: ${err:-the client failed}"; }
  [ -n "$out" ]
}
executed=
execute() {
  changed=1
  [ -z "$check" ] || return 0
  sql "$1" || { say_run && fail "${err:-the client failed}"; }
  executed=$executed$1$newline
}
create() {
  statement="CREATE DATABASE $(identifier "$1")"
  [ -z "$encoding" ] || statement="$statement CHARACTER SET '$encoding'"
  [ -z "$collation" ] || statement="$statement COLLATE '$collation'"
  execute "$statement"
}
list=$name
eval "set -- $list"
case $state in
  absent) for each; do if is_there "$each"; then execute "DROP DATABASE $(identifier "$each")"; fi; done ;;
  import)
    [ -f "$target" ] || fail "target $target does not exist on the host"
    is_there "$1" || create "$1"
    changed=1
    if [ -z "$check" ]; then
      case $target in
        *.gz) reader=gzip ;;
        *.bz2) reader=bzip2 ;;
        *.xz) reader=xz ;;
        *.zst) reader=zstd ;;
        *) reader= ;;
      esac
      forced=
      [ "$force" != yes ] || forced=--force
      # The reader must not fail unseen before the client.
      feed() { if [ -n "$reader" ]; then "$reader" -dc < "$target" || : > "$scratch/broken"; else cat < "$target"; fi; }
      eval "set -- \"\$1\" $options"
      db=$1
      shift
      out=$(feed | "$client" "$@" $forced "--database=$db" 2> "$scratch/err")
      rc=$?
      err=$(cat "$scratch/err")
      if [ $rc != 0 ] || [ -e "$scratch/broken" ]; then say_run && fail "${err:-cannot read $target}"; fi
    fi ;;
  *) for each; do is_there "$each" || create "$each"; done ;;
esac
[ -n "$check" ] || say executed_commands:lines "$executed"
finish
