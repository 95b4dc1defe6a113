needs getfacl
[ -e "$path" ] || fail "Path not found or not accessible."
case $path in -*) path=./$path ;; esac
# Prints lines without the comments.
lines() { printf '%s\n' "$out" | sed -e '/^#/d' -e 's/^[[:space:]]*//; s/[[:space:]]*$//' -e '${/^$/d;}'; }
# Runs setfacl with the options of the task after those that are given.
setfacl_with() {
  [ -z "$recursive" ] || set -- "$@" --recursive
  case $recalculate_mask in mask) set -- "$@" --mask ;; no_mask) set -- "$@" --no-mask ;; esac
  [ -z "$physical" ] || set -- "$@" --physical
  [ -z "$is_default" ] || set -- -d "$@"
  if [ -n "$test" ]; then set -- --test "$@"; fi
  run setfacl "$@" "$path"
}
msg='current acl'
if [ "$state" != query ]; then
  needs setfacl
  if [ "$state" = present ]; then how=-m; else how=-x; fi
  test=1
  setfacl_with "$how" "$entry" || { say_run && fail "${err:-$out}"; }
  # A file whose list would stay as it is has the mark `*,*`.
  printf '%s\n' "$out" | grep -q '\*,\*$' || changed=1
  test=
  if [ -n "$changed" ] && [ -z "$check" ] && ! setfacl_with "$how" "$entry" && [ "$state" = present ]; then
    say_run && fail "${err:-$out}"
  fi
  msg="$entry is $state"
fi
set -- --absolute-names --omit-header
[ -z "$physical" ] || set -- "$@" --physical
[ -z "$recursive" ] || set -- "$@" --recursive
[ -z "$is_default" ] || set -- -d "$@"
run getfacl "$@" "$path" || { say_run && fail "${err:-$out}"; }
say msg "$msg" && say acl:lines "$(lines)"
finish
