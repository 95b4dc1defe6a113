line=$(getent passwd "$user")
[ "${line%%:*}" = "$user" ] || fail "Failed to lookup user $user: \"getpwnam(): name not found: '$user'\""
IFS=: read -r _ _ uid gid _ home _ <<EOF
$line
EOF
own=
if [ -z "$path" ]; then path=$home/.ssh/authorized_keys own=1; fi
say path "$path" && say keyfile "$path"

edit='
  function blob(text, i, sign, quoted, last, words) {
    sub(/^[ \t]+/, "", text)
    if (text ~ /^#/) return ""
    if (text !~ /^(ssh-|ecdsa-|sk-)/) {
      for (i = 1; i <= length(text); i++) {
        sign = substr(text, i, 1)
        if (sign == "\"" && last != "\\") quoted = !quoted
        if (!quoted && (sign == " " || sign == "\t")) break
        last = sign
      }
      text = substr(text, i + 1)
      sub(/^[ \t]+/, "", text)
    }
    if (text !~ /^(ssh-|ecdsa-|sk-)/) return ""
    return split(text, words) > 1 ? words[2] : ""
  }
  BEGIN {
    count = split(ENVIRON["KEYS"], want, "\n")
    for (i = 1; i <= count; i++) at[blob(want[i])] = i
  }
  {
    b = blob($0)
    if (b != "" && b in at) {
      if (ENVIRON["STATE"] != "absent" && !done[at[b]]++) print want[at[b]]
    } else if (b == "" || ENVIRON["EXCLUSIVE"] != "yes") print
  }
  END {
    if (ENVIRON["STATE"] == "absent") exit
    for (i = 1; i <= count; i++) if (at[blob(want[i])] == i && !done[i]) print want[i]
  }'

# Brings the file to its content, as the user that runs this.
bring='
  umask 077
  folder=$(dirname -- "$1") old=
  [ ! -f "$1" ] || old=$(cat -- "$1"; printf x)
  new=$(printf %s "${old%x}" | awk "$EDIT"; printf x)
  [ "${new%x}" != "${old%x}" ] || exit 0
  if [ -z "$CHECK" ]; then
    if [ ! -d "$folder" ]; then
      [ "$MANAGE" != no ] || { echo "$folder does not exist" >&2; exit 1; }
      mkdir -p -- "$folder" || exit 1
    fi
    draft=$folder/.muster.$unique.tmp
    rm -f -- "$draft" && set -C && printf %s "${new%x}" > "$draft" || exit 1
    if [ -f "$1" ]; then chmod --reference="$1" -- "$draft"; fi
    mv -fT -- "$draft" "$1" || { rm -f -- "$draft"; exit 1; }
  fi
  echo changed
  [ -z "$SHOW" ] || { printf %s "${old%x}" | sed "s/^/-/"; printf %s "${new%x}" | sed "s/^/+/"; }'
export SHOW="$shows_diff" KEYS="$keys" STATE="$state" EXCLUSIVE="$exclusive" CHECK="$check" MANAGE="$manage_dir" EDIT="$edit"
set -- sh -c "$bring" sh "$path"
# The directory belongs to the user, so the user writes there: root would follow any link of the user.
if [ -n "$own" ] && [ "$(id -u)" = 0 ] && [ "$uid" != 0 ]; then
  if [ ! -d "$home" ] && [ -z "$check" ]; then fail "$home does not exist"; fi
  [ ! -d "$home" ] || cd -- "$home"
  set -- setpriv --reuid "$uid" --regid "$gid" --init-groups -- "$@"
fi
run "$@" || fail "${err:-cannot write $path}"
case $out in
  changed*)
    changed=1
    lines() { printf '%s\n' "$out" | sed -n "s/^$1//p" && printf x; }
    was=$(lines -) is=$(lines +)
    show "$path" "${was%x}" "$path" "${is%x}" ;;
esac
if [ -n "$changed" ] && [ -z "$own" ] && [ -z "$check" ] && [ "$(id -u)" = 0 ] && [ "$uid" != 0 ]; then
  chown -h -- "$uid:$gid" "$path" || exit 1
fi
finish
