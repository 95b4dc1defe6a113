ask() { sql "$1" || { say_run && fail "unable to connect to database, check login_user and login_password are correct or $config_file has the credentials. Exception message: ${err:-the client failed}"; }; }
ask 'SELECT VERSION()'
# The words of the server: MariaDB 10.5.1 and MySQL 8.0.22 call a slave a replica, and MySQL 8.4 a master a source.
is_from() { [ "$(printf '%s\n' "$1" "${out%%-*}" | sort -V | head -n 1)" = "$1" ]; }
replica=SLAVE of_primary=MASTER log='MASTER STATUS' change='CHANGE MASTER' reset='RESET MASTER'
case $out in
  *[Mm]aria[Dd][Bb]*) if is_from 10.5.1; then replica=REPLICA; fi ;;
  *)
    if is_from 8.0.22; then replica=REPLICA; fi
    if is_from 8.4; then
      of_primary=SOURCE log='BINARY LOG STATUS' change='CHANGE REPLICATION SOURCE' reset='RESET BINARY LOGS AND GTIDS'
    fi ;;
esac
named= for_channel=
[ -z "$connection_name" ] || named=" $(literal "$connection_name")"
[ -z "$channel" ] || for_channel=" FOR CHANNEL $(literal "$channel")"

# Makes each column of a status a result. $1 is the query, $2 says that there is one, $3 what it means that there is none.
status() {
  eval "set -- \"\$@\" $options"
  query=$1 flag=$2 none=$3
  shift 3
  run "$client" "$@" --vertical --execute="$query" || { say_run && fail "${err:-the client failed}"; }
  say queries:lines ''
  [ -n "$out" ] || { say "$flag:flag" '' && say msg "$none" && finish; }
  say "$flag:flag" 1
  while IFS= read -r line; do
    case $line in *': '* | *:) ;; *) continue ;; esac
    line=${line#"${line%%[! ]*}"}
    value=${line#*:}
    value=${value# }
    case ${line%%:*} in
      '' | *[!A-Za-z_]*) ;;
      *_User | *_File | *_Host) say "${line%%:*}" "$value" ;;
      *) case $value in NULL) say "${line%%:*}:optional" '' ;; '' | *[!0-9]*) say "${line%%:*}" "$value" ;; *) say "${line%%:*}:number" "$value" ;; esac ;;
    esac
  done <<EOF
$out
EOF
  finish
}

# Executes a statement, which comes on stdin because it may have a password. $1 is its text in the result.
execute() {
  say queries:lines "$1"
  [ -z "$check" ] || return 0
  eval "set -- $options"
  err=$(printf '%s;\n' "$statement" | "$client" "$@" --batch 2>&1)
}
# $1 is what is executed, $2 and $3 say what it means if that works or fails.
attempt() {
  statement=$1$for_channel
  if execute "$statement"; then
    changed=1
    say msg "$2" && finish
  fi
  [ "$fail_on_error" != yes ] || fail "${1%% *} $replica failed: $err"
  say msg "$3" && finish
}

change_primary() {
  list=
  add() { list=$list${list:+,}$1; }
  for each in host user password log_file ssl_ca ssl_capath ssl_cert ssl_key ssl_cipher; do
    eval "value=\$primary_$each"
    [ -z "$value" ] || add "${of_primary}_$(upper "$each")=$(literal "$value")"
  done
  for each in port connect_retry log_pos delay; do
    eval "value=\$primary_$each"
    [ -z "$value" ] || add "${of_primary}_$(upper "$each")=$value"
  done
  [ -z "$relay_log_file" ] || add "RELAY_LOG_FILE=$(literal "$relay_log_file")"
  [ -z "$relay_log_pos" ] || add "RELAY_LOG_POS=$relay_log_pos"
  for each in ssl ssl_verify_server_cert; do
    eval "value=\$primary_$each"
    case $value in yes) add "${of_primary}_$(upper "$each")=1" ;; no) add "${of_primary}_$(upper "$each")=0" ;; esac
  done
  [ "$primary_auto_position" != yes ] || add "${of_primary}_AUTO_POSITION=1"
  case $primary_use_gtid:$replica in
    :*) ;;
    disabled:*) add MASTER_USE_GTID=no ;;
    replica_pos:SLAVE) add MASTER_USE_GTID=slave_pos ;;
    *) add "MASTER_USE_GTID=$primary_use_gtid" ;;
  esac
  statement="$change$named TO $list$for_channel"
  shown=$statement
  if [ -n "$primary_password" ]; then
    secret="PASSWORD=$(literal "$primary_password")"
    shown="${statement%%"$secret"*}PASSWORD='********'${statement#*"$secret"}"
  fi
  execute "$shown" || fail "$err. Query == $change TO"
  changed=1
  finish
}
upper() { printf %s "$1" | tr '[:lower:]' '[:upper:]'; }

case ${mode:-getreplica} in
  getprimary) status "SHOW $log" Is_Primary 'Server is not configured as mysql primary. Meaning: Binary logs are disabled' ;;
  getreplica) status "SHOW $replica$named STATUS$for_channel" Is_Replica 'Server is not configured as mysql replica' ;;
  changeprimary) change_primary ;;
  startreplica) attempt "START $replica$named" 'Replica started ' 'Replica already started (Or cannot be started)' ;;
  stopreplica) attempt "STOP $replica$named" 'Replica stopped' 'Replica already stopped' ;;
  resetreplica) attempt "RESET $replica$named" 'Replica reset' 'Replica already reset' ;;
  resetreplicaall) attempt "RESET $replica$named ALL" 'Replica reset' 'Replica already reset' ;;
  resetprimary) for_channel= && attempt "$reset" 'Primary reset' 'Primary already reset' ;;
esac
