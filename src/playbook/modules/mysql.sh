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
