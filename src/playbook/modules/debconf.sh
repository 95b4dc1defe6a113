needs debconf-show
run debconf-show "$name" || fail "${err:-$out}"
answers=$(printf '%s\n' "$out" | sed -n 's/^[* ] *//p')
if [ -z "$question" ]; then
  say current:properties "$(printf '%s\n' "$answers" | sed 's/: /=/')"
  say msg ''
  finish
fi
known= previous=
while IFS= read -r line; do
  case $line in "$question:"*) known=1 previous=${line#"$question:"} previous=${previous# } ;; esac
done <<EOF
$answers
EOF
# A password is never shown, so debconf itself is asked for it.
if [ "$vtype" = password ] && has debconf-get-selections; then
  previous=$(debconf-get-selections 2> /dev/null | awk -F '\t' -v p="$name" -v q="$question" '$1 == p && $2 == q { print $4 }')
fi
if [ "$vtype" = multiselect ]; then
  sorted() { printf '%s\n' "$1" | tr ',' '\n' | sed 's/^ *//; s/ *$//' | sort; }
  [ "$(sorted "$previous")" != "$(sorted "$value")" ] || previous=$value
fi
if [ -z "$known" ] || [ "$previous" != "$value" ]; then
  changed=1
  if [ -z "$check" ]; then
    needs debconf-set-selections
    set -- debconf-set-selections
    [ "$unseen" != yes ] || set -- "$@" -u
    e=$(printf '%s %s %s %s\n' "$name" "$question" "$vtype" "$value" | "$@" 2>&1) || fail "$e"
  fi
fi
say current:properties "$question=$value" && say msg ''
say previous:properties "$question=$previous"
finish
