needs git
# Outside a repository, git reads no settings of one.
if [ "$scope" = local ]; then cd -- "$repo" || exit 1; else cd /; fi
add_mode=${add_mode:-replace-all}
if [ "$scope" = file ]; then set -- config --includes -f "$file"; else set -- config --includes "--$scope"; fi
run git "$@" --get-all "$name"
[ $rc -lt 2 ] || { say rc "$rc" && fail "$err"; }
old=$out
if [ "$state" = absent ]; then
  [ -n "$old" ] || { say msg 'no setting to unset' && finish; }
  set -- "$@" --unset-all "$name"
else
  count=$(printf '%s\n' "$old" | grep -c '')
  if [ -n "$old" ] && printf '%s\n' "$old" | grep -qxF -e "$value"; then
    if [ "$count" = 1 ] || [ "$add_mode" = add ]; then say msg '' && finish; fi
  fi
  set -- "$@" "--$add_mode" "$name" "$value"
fi
changed=1
if [ -z "$check" ]; then
  run git "$@"
  [ -z "$err" ] || { say rc "$rc" && fail "$err"; }
fi
new=$value
[ "$state" = present ] || new=
if [ "$state" = present ] && [ "$add_mode" = add ] && [ -n "$old" ]; then new=$old$newline$value; fi
show "git $*" "$old$newline" "git $*" "$new$newline"
say msg 'setting changed'
finish
