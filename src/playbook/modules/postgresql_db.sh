executed=
# Changes the server, except in a check.
execute() {
  changed=1
  [ -z "$check" ] || return 0
  run psql -w -X -A -t -q -v ON_ERROR_STOP=1 -c "$1" || { say_run && fail "Database query failed: ${err:-psql failed}"; }
  executed=$executed$1$newline
}
end() {
  say executed_commands:lines "$executed"
  finish
}

# Gives the database what a file has. As in Ansible, psql goes on after a statement that fails.
restore() {
  [ -e "$target" ] || fail "there is no file $target"
  make_scratch
  eval "set -- --dbname=\$name $options"
  case $target in
    *.sql) run psql -w "$@" --file="$target" && return ;;
    *.pgc) needs pg_restore && run pg_restore -w --format=Custom "$@" "$target" && return ;;
    *.dir) needs pg_restore && run pg_restore -w --format=Directory "$@" "$target" && return ;;
    *)
      reader=cat tool=psql
      case $target in
        *.gz) reader=zcat ;;
        *.bz2) reader=bzcat ;;
        *.xz) reader=xzcat ;;
        *.tar) tool=pg_restore && set -- --format=Tar "$@" ;;
      esac
      needs "$tool"
      out=$({ "$reader" < "$target" || : > "$scratch/broken"; } | "$tool" -w "$@" 2> "$scratch/err")
      rc=$? err=$(cat "$scratch/err")
      [ -e "$scratch/broken" ] || [ $rc != 0 ] || return 0 ;;
  esac
  say rc "$rc" && say stdout "$out" && fail "${err:-cannot read $target}"
}
if [ "$state" = restore ]; then
  if [ -z "$check" ]; then
    restore
    changed=1
    say msg "$out" && say stderr "$err" && say rc "$rc"
  fi
  finish
fi

db=$(identifier "$name")
ask "SELECT pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, d.datconnlimit, t.spcname FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = $(literal "$name")"
found=$out
if [ "$state" = absent ]; then
  if [ -n "$found" ]; then
    end_all=
    [ "$force" != yes ] || end_all=' WITH (FORCE)'
    execute "DROP DATABASE $db$end_all"
  fi
  end
fi
if [ -z "$found" ]; then
  query="CREATE DATABASE $db"
  [ -z "$owner" ] || query="$query OWNER $(identifier "$owner")"
  [ -z "$template" ] || query="$query TEMPLATE $(identifier "$template")"
  [ -z "$encoding" ] || query="$query ENCODING $(literal "$encoding")"
  [ -z "$lc_collate" ] || query="$query LC_COLLATE $(literal "$lc_collate")"
  [ -z "$lc_ctype" ] || query="$query LC_CTYPE $(literal "$lc_ctype")"
  [ -z "$tablespace" ] || query="$query TABLESPACE $(identifier "$tablespace")"
  [ -z "$conn_limit" ] || query="$query CONNECTION LIMIT $conn_limit"
  execute "$query"
  end
fi
IFS='|' read -r is_owner is_encoding is_collate is_ctype is_limit is_space <<EOF
$found
EOF
# PostgreSQL knows UTF8 by several names.
plain() { printf %s "$1" | tr -d '_-' | tr a-z A-Z; }
if [ -n "$encoding" ] && [ "$(plain "$encoding")" != "$(plain "$is_encoding")" ]; then
  fail "Changing database encoding is not supported. Current encoding: $is_encoding"
fi
if [ -n "$lc_collate" ] && [ "$lc_collate" != "$is_collate" ]; then
  fail "Changing LC_COLLATE is not supported. Current LC_COLLATE: $is_collate"
fi
if [ -n "$lc_ctype" ] && [ "$lc_ctype" != "$is_ctype" ]; then
  fail "Changing LC_CTYPE is not supported. Current LC_CTYPE: $is_ctype"
fi
if [ -n "$owner" ] && [ "$owner" != "$is_owner" ]; then execute "ALTER DATABASE $db OWNER TO $(identifier "$owner")"; fi
if [ -n "$conn_limit" ] && [ "$conn_limit" != "$is_limit" ]; then execute "ALTER DATABASE $db CONNECTION LIMIT $conn_limit"; fi
if [ -n "$tablespace" ] && [ "$tablespace" != "$is_space" ]; then execute "ALTER DATABASE $db SET TABLESPACE $(identifier "$tablespace")"; fi
end
