# Sets `line` and `number` to those of the group.
find_group() {
  if [ "$local" = yes ]; then
    line=$(while IFS= read -r l; do [ "${l%%:*}" != "$name" ] || printf '%s\n' "$l"; done < /etc/group)
  else
    line=$(getent group "$name")
  fi
  # getent takes a number for a group too.
  [ "${line%%:*}" = "$name" ] || line=
  number=${line#*:*:} number=${number%%:*}
}

find_group
if [ "$state" = absent ]; then
  [ -n "$line" ] || finish
  needs groupdel
  set -- groupdel
  [ "$force" != yes ] || set -- "$@" -f
  change "$@" -- "$name"
  finish
fi
if [ -z "$line" ]; then
  needs groupadd
  set -- groupadd
  [ -z "$gid" ] || set -- "$@" -g "$gid"
  [ "$non_unique" != yes ] || set -- "$@" -o
  [ "$system" != yes ] || set -- "$@" -r
  [ -z "$gid_min" ] || set -- "$@" -K "GID_MIN=$gid_min"
  [ -z "$gid_max" ] || set -- "$@" -K "GID_MAX=$gid_max"
  change "$@" -- "$name"
elif [ -n "$gid" ] && [ "$gid" != "$number" ]; then
  needs groupmod
  set -- groupmod -g "$gid"
  [ "$non_unique" != yes ] || set -- "$@" -o
  change "$@" -- "$name"
fi
if [ "$system" = yes ]; then say system:flag 1; else say system:flag 0; fi
[ -n "$check" ] || find_group
[ -z "$line" ] || say gid:number "$number"
finish
