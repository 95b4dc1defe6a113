# Sets `line` to the user in passwd(5), and its fields.
find_user() {
  line=$(getent passwd "$name")
  # getent takes a number for a user too.
  [ "${line%%:*}" = "$name" ] || line=
  old_uid= old_gid= old_comment= old_home= old_shell=
  IFS=: read -r _ _ old_uid old_gid old_comment old_home old_shell <<EOF
$line
EOF
}
# Sets `day`, `hash` and so on to the fields of shadow(5), which only root can read.
find_shadow() {
  IFS=: read -r _ hash _ least most warning _ day _ <<EOF
$(getent shadow "$name" 2> /dev/null)
EOF
}
gid_of() {
  found=$(getent group "$1") || fail "Group $1 does not exist"
  found=${found#*:*:}
  found=${found%%:*}
}
date_of() { if [ "$1" = never ]; then echo; else date -u -d "@$(($1 * 86400))" +%Y-%m-%d; fi; }
# Reports whether the words after the first one have it.
among() {
  wanted=$1
  shift
  for each; do [ "$each" != "$wanted" ] || return 0; done
  return 1
}
join() {
  joined=
  for each; do joined=$joined${joined:+,}$each; done
}

remove_user() {
  [ -n "$line" ] || finish
  needs userdel
  set -- userdel
  [ "$force" != yes ] || set -- "$@" -f
  [ "$remove" != yes ] || set -- "$@" -r
  change "$@" "$name"
  finish
}

# In a check, the groups of a new user need not exist: another task may make them.
make_user() {
  needs useradd
  changed=1
  [ -z "$check" ] || return 0
  list=$groups
  eval "set -- $list"
  for each; do gid_of "$each"; done
  join "$@"
  set -- useradd
  [ -z "$uid" ] || set -- "$@" -u "$uid"
  [ -z "$uid" ] || [ "$non_unique" != yes ] || set -- "$@" -o
  if [ -n "$group" ]; then
    gid_of "$group"
    set -- "$@" -g "$group"
  elif getent group "$name" > /dev/null; then
    set -- "$@" -N
  fi
  [ -z "$joined" ] || set -- "$@" -G "$joined"
  [ -z "$comment" ] || set -- "$@" -c "$comment"
  [ -z "$home" ] || set -- "$@" -d "$home"
  [ -z "$shell" ] || set -- "$@" -s "$shell"
  [ -z "$expires" ] || set -- "$@" -e "$(date_of "$expires")"
  if [ "$password_lock" = yes ]; then
    set -- "$@" -p "!$password"
  elif [ -n "$password" ]; then
    set -- "$@" -p "$password"
  fi
  if [ "$create_home" = no ]; then
    set -- "$@" -M
  else
    set -- "$@" -m
    [ -z "$skeleton" ] || set -- "$@" -k "$skeleton"
    [ -z "$umask" ] || set -- "$@" -K "UMASK=$umask"
  fi
  [ "$system" != yes ] || set -- "$@" -r
  change "$@" -- "$name"
}

# Sets `joined` to the groups for usermod if they differ, and `differ`.
compare_groups() {
  differ=
  primary=$(id -gn -- "$name")
  now=$(id -Gn -- "$name")
  list=$groups
  eval "set -- $list"
  for each; do
    gid_of "$each"
    # shellcheck disable=SC2086
    [ "$each" = "$primary" ] || among "$each" $now || differ=1
  done
  if [ "$append" != yes ]; then
    for one in $now; do [ "$one" = "$primary" ] || among "$one" "$@" || differ=1; done
  fi
  join "$@"
}

change_user() {
  set --
  [ -z "$uid" ] || [ "$uid" = "$old_uid" ] || {
    set -- "$@" -u "$uid"
    [ "$non_unique" != yes ] || set -- "$@" -o
  }
  if [ -n "$group" ]; then
    gid_of "$group"
    [ "$found" = "$old_gid" ] || set -- "$@" -g "$group"
  fi
  if [ -n "$groups_given" ]; then
    compare_groups
    if [ -n "$differ" ]; then
      [ "$append" != yes ] || set -- "$@" -a
      set -- "$@" -G "$joined"
    fi
  fi
  [ -z "$comment_given" ] || [ "$comment" = "$old_comment" ] || set -- "$@" -c "$comment"
  if [ -n "$home" ] && [ "$home" != "$old_home" ]; then
    set -- "$@" -d "$home"
    [ "$move_home" != yes ] || set -- "$@" -m
  fi
  [ -z "$shell" ] || [ "$shell" = "$old_shell" ] || set -- "$@" -s "$shell"
  find_shadow
  [ -z "$expires" ] || [ "$expires" = "${day:-never}" ] || set -- "$@" -e "$(date_of "$expires")"
  wanted_hash
  [ "$wanted" = "$hash" ] || set -- "$@" -p "$wanted"
  [ $# -gt 0 ] || return 0
  needs usermod
  change usermod "$@" -- "$name"
}
# Sets `wanted` to the hash that the user is to have. A locked one begins with `!`.
wanted_hash() {
  wanted=$hash
  if [ -n "$password" ] && [ "$update_password" != on_create ] && [ "${hash#!}" != "${password#!}" ]; then
    wanted=$password
  fi
  case $password_lock in
    yes) wanted=!${wanted#!} ;;
    no) [ "$wanted" = '!' ] || wanted=${wanted#!} ;;
  esac
}

set_password_age() {
  find_shadow
  set --
  [ -z "$password_expire_max" ] || [ "$password_expire_max" = "$most" ] || set -- "$@" -M "$password_expire_max"
  [ -z "$password_expire_min" ] || [ "$password_expire_min" = "$least" ] || set -- "$@" -m "$password_expire_min"
  [ -z "$password_expire_warn" ] || [ "$password_expire_warn" = "$warning" ] || set -- "$@" -W "$password_expire_warn"
  [ $# -gt 0 ] || return 0
  needs chage
  change chage "$@" "$name"
}

make_home() {
  [ "$create_home" != no ] && [ -n "$old_home" ] && [ ! -e "$old_home" ] || return 0
  changed=1
  [ -z "$check" ] || return 0
  parent=$(dirname -- "$old_home")
  mkdir -p -- "$parent" && (umask "${umask:-022}" && mkdir -- "$old_home") || fail "cannot make $old_home"
  from=${skeleton:-/etc/skel}
  [ ! -d "$from" ] || cp -R -- "$from/." "$old_home" || fail "cannot copy $from"
  chown -R -- "$old_uid:$old_gid" "$old_home" || fail "cannot change the owner of $old_home"
}

make_key() {
  [ -n "$old_home" ] || return 0
  needs ssh-keygen
  type=${ssh_key_type:-rsa}
  file=${ssh_key_file:-.ssh/id_$type}
  case $file in /*) ;; *) file=$old_home/$file ;; esac
  if [ ! -e "$file" ] || [ "$force" = yes ]; then
    changed=1
    [ -z "$check" ] || return 0
    set -- ssh-keygen -q -t "$type" -N "$ssh_key_passphrase" -f "$file"
    set -- "$@" -C "${ssh_key_comment:-ansible-generated on $(uname -n)}"
    [ "${ssh_key_bits:-0}" = 0 ] || set -- "$@" -b "$ssh_key_bits"
    # The home belongs to the user, so the user makes the key: root would follow any link in there.
    must as_user "$file" "$@"
  fi
  run ssh-keygen -l -f "$file" && say ssh_fingerprint "$out"
  say ssh_key_file "$file"
  [ ! -r "$file.pub" ] || say ssh_public_key "$(cat -- "$file.pub")"
}
as_user() {
  key=$1
  shift
  set -- sh -c 'umask 077; d=$(dirname -- "$1"); mkdir -p -- "$d" && rm -f -- "$1" "$1.pub"; shift; exec "$@"' sh "$key" "$@"
  if [ "$(id -u)" != 0 ] || [ "$old_uid" = 0 ]; then "$@"; else setpriv --reuid "$old_uid" --regid "$old_gid" --clear-groups -- "$@"; fi
}

find_user
[ "$state" != absent ] || remove_user
if [ -n "$line" ]; then change_user; else make_user; fi
[ -n "$check" ] || find_user
if [ -n "$line" ]; then
  set_password_age
  make_home
  [ "$generate_ssh_key" != yes ] || make_key
  say uid:number "$old_uid" && say group:number "$old_gid"
  say comment "$old_comment" && say home "$old_home" && say shell "$old_shell"
fi
[ "$move_home" = yes ] && say move_home:flag 1 || say move_home:flag 0
finish
