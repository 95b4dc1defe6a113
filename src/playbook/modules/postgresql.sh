needs psql
export PGUSER="${login_user:-postgres}" PGDATABASE="${maintenance_db:-${login_db:-postgres}}" PGPORT="${login_port:-5432}"
host=${login_unix_socket:-$login_host}
[ -z "$host" ] || export PGHOST="$host"
# psql shows the password of no other process.
[ -z "$login_password" ] || export PGPASSWORD="$login_password"
[ -z "$ssl_mode" ] || export PGSSLMODE="$ssl_mode"
[ -z "$ca_cert" ] || export PGSSLROOTCERT="$ca_cert"
export PGCONNECT_TIMEOUT="${PGCONNECT_TIMEOUT:-30}"
identifier() { printf '"%s"' "$(printf %s "$1" | sed 's/"/""/g')"; }
literal() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; }
ask() { run psql -w -X -A -t -q -F '|' -v ON_ERROR_STOP=1 -c "set standard_conforming_strings = on" -c "$1" || { say_run && fail "${err:-psql failed}"; }; }
