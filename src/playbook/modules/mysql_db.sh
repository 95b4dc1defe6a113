client=
for each in mysql mariadb; do if [ -z "$client" ] && has "$each"; then client=$each; fi; done
[ -n "$client" ] || needs mysql
make_scratch
# The password stands in a file that only this user can read. Then the client must not read another one from ~/.my.cnf.
if [ -n "$login_password" ]; then
  (umask 077
    [ -z "$config_file" ] || printf '!include %s\n' "$config_file"
    printf '[client]\npassword="%s"\n' "$(printf %s "$login_password" | sed 's/[\\"]/\\&/g')") > "$scratch/my.cnf"
  chmod 600 "$scratch/my.cnf"
  config_file=$scratch/my.cnf
  export HOME="$scratch"
fi
set -- --no-auto-rehash --connect-timeout="${connect_timeout:-30}"
[ -z "$config_file" ] || set -- --defaults-extra-file="$config_file" "$@"
[ -z "$login_user" ] || set -- "$@" --user="$login_user"
[ -z "$login_host" ] || set -- "$@" --host="$login_host"
[ -z "$login_port" ] || set -- "$@" --port="$login_port"
[ -z "$login_unix_socket" ] || set -- "$@" --socket="$login_unix_socket"
options=
for each; do options="$options $(quote "$each")"; done
sql() { eval "set -- \"\$1\" $options"; query=$1; shift; run "$client" "$@" --batch --skip-column-names --execute="$query"; }
identifier() { printf '`%s`' "$(printf %s "$1" | sed 's/`/``/g')"; }
literal() { printf "'%s'" "$(printf %s "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")"; }
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
