if [ -n "$tries_root" ]; then
  # The server may still be as it was installed. The other scripts of the task connect as root too then.
  saved=$options
  options="$options --user=root --password="
  sql 'SELECT 1' || options=$saved
fi
ask() { sql "$1" || { say_run && fail "unable to connect to database, check login_user and login_password are correct or $config_file has the credentials. Exception message: ${err:-the client failed}"; }; }
ask 'SELECT VERSION()'
case $out in
  *[Mm]aria[Dd][Bb]*)
    kind='MariaDB 10.2' hash_column="IF(Password = '', authentication_string, Password)"
    case $out in 5.* | 10.0.* | 10.1.*) fail "muster needs $kind or later: the server is $out" ;; esac ;;
  *)
    kind='MySQL 5.7' hash_column=authentication_string
    case $out in 5.[0-6].* | 4.*) fail "muster needs $kind or later: the server is $out" ;; esac ;;
esac
ask 'SELECT @@sql_mode'
case $out in *ANSI*) say ansi 1 ;; esac
where="WHERE User = $user_literal"
if [ -n "$every_host" ]; then
  ask "SELECT Host FROM mysql.user $where"
  hosts=$out
else
  ask "SELECT Host FROM mysql.user $where AND Host = $host_literal"
  hosts=$out
  # An account of an empty host has an empty line.
fi
[ -n "$hosts" ] || exit 0
old_ifs=$IFS
IFS=$newline
for host in $hosts; do
  IFS=$old_ifs
  say host "$host"
  host_literal=$(literal "$host")
  ask "SELECT COALESCE($hash_column, ''), COALESCE(ssl_type, '') FROM mysql.user $where AND Host = $host_literal"
  tab=$(printf '\t')
  say hash "${out%%"$tab"*}" && say tls "${out#*"$tab"}"
  out=
  [ -z "$asks_grants" ] || ask "SHOW GRANTS FOR $user_literal@$host_literal"
  say grants "$out"
done
exit 0
