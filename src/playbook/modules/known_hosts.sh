needs ssh-keygen
path=${path:-~/.ssh/known_hosts}
say path "$path"
say state "${state:-present}"
if [ -n "$key" ]; then
  make_scratch
  printf '%s\n' "$key" > "$scratch/key"
  run ssh-keygen -F "$name" -f "$scratch/key" && [ -n "$out" ] || fail "Host parameter does not match hashed host field in supplied key"
  if [ "$hash_host" = yes ]; then
    must ssh-keygen -H -f "$scratch/key"
    key=$(cat -- "$scratch/key")
  fi
fi

# Splits a line into marker, hosts, kind and blob.
split_line() {
  case $1 in @*) marker=${1%% *} rest=${1#* } ;; *) marker= rest=$1 ;; esac
  # shellcheck disable=SC2086
  set -- $rest
  hosts=$1 kind=$2 blob=$3
}
found= number= same=
if [ -f "$path" ]; then
  run ssh-keygen -F "$name" -f "$path"
  split_line "$key"
  key_marker=$marker key_kind=$kind key_blob=$blob key_hosts=$hosts
  line=
  while IFS= read -r text; do
    case $text in
      '') continue ;;
      '# Host '*' found: line '*)
        line=${text##*line } line=${line%% *}
        continue ;;
    esac
    found=1
    split_line "$text"
    [ -n "$key" ] && [ "$marker" = "$key_marker" ] && [ "$kind" = "$key_kind" ] || continue
    [ -n "$number" ] || number=$line
    # A name that is hashed already may stay so.
    case $key_hosts:$hosts in '|1|'*:'|1|'*) hosts=$key_hosts ;; esac
    if [ "$blob" = "$key_blob" ] && [ "$hosts" = "$key_hosts" ]; then same=1 number=$line && break; fi
  done <<EOF
$out
EOF
fi
without() { awk -v number="$number" 'NR != number' "$path"; }
content=
if [ "$state" = absent ]; then
  if [ -z "$key" ]; then
    [ -n "$found" ] || finish
    changed=1
    [ -n "$check" ] || must ssh-keygen -R "$name" -f "$path"
  elif [ -n "$number" ]; then
    keep_content without
    replace_file "$path"
  fi
  finish
fi
[ -z "$same" ] || finish
if [ -f "$path" ]; then
  if [ -n "$number" ]; then keep_content without; else keep_content cat -- "$path"; fi
  case $content in '' | *"$newline") ;; *) content=$content$newline ;; esac
fi
content=$content$key$newline
if [ -z "$check" ]; then (umask 077 && mkdir -p -- "$(dirname -- "$path")") || exit 1; fi
replace_file "$path" 0644
finish
