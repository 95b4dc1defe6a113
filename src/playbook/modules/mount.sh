fstab=${fstab:-/etc/fstab}
say fstab "$fstab"
# fstab has octal numbers for spaces.
escape() { printf %s "$1" | sed 's/\\/\\134/g; s/ /\\040/g; s/\t/\\011/g'; }

# Prints fstab with the line of the path as the state says.
edit() {
  [ ! -f "$fstab" ] || cat -- "$fstab"
}
change_lines() {
  edit | LINE="$(escape "$src") $(escape "$path") $fstype $(escape "$opts") $dump $passno" TARGET=$(escape "$path") SOURCE=$(escape "$src") awk -v keep="$1" '
    BEGIN { split(ENVIRON["LINE"], want, " ") }
    /^[ \t]*#/ || NF < 3 { print; next }
    $2 != ENVIRON["TARGET"] || (($2 == "none" || $3 == "swap") && $1 != ENVIRON["SOURCE"]) { print; next }
    !keep { next }
    {
      same = 1
      for (i = 1; i <= 4; i++) if ($i != want[i]) same = 0
      if (($5 == "" ? 0 : $5) != want[5] || ($6 == "" ? 0 : $6) != want[6]) same = 0
      print same ? $0 : ENVIRON["LINE"]
      seen = 1
    }
    END { if (keep && !seen) print ENVIRON["LINE"] }'
}
write_fstab() {
  keep_content change_lines "$1"
  if [ "$backup" = yes ] && [ -z "$check" ] && [ -f "$fstab" ] && [ "$content" != "$(cat -- "$fstab"; printf x)" ]; then
    kept=$fstab.$unique.$(date +%Y-%m-%d@%H:%M:%S)~
    cp -p -- "$fstab" "$kept" && say backup_file "$kept"
  fi
  if [ -n "$content" ] || [ -f "$fstab" ]; then replace_file "$fstab" 0644; fi
}
is_mounted() { ESCAPED=$(escape "$path") awk '$2 == ENVIRON["ESCAPED"] { found = 1 } END { exit !found }' /proc/self/mounts; }
mounted_source() { ESCAPED=$(escape "$path") awk '$2 == ENVIRON["ESCAPED"] { source = $1 } END { print source }' /proc/self/mounts; }
make_folder() {
  [ ! -d "$path" ] || return 0
  changed=1
  [ -n "$check" ] || mkdir -p -- "$path" || fail "Error making dir $path"
}
unmount() {
  failed="Error unmounting $path: "
  changed=1
  [ -n "$check" ] || run umount -- "$path" || fail "Error unmounting $path: $err"
}
mount_it() {
  changed=1
  if [ -n "$check" ]; then return; fi
  if [ "$state" = ephemeral ]; then
    run mount -t "$fstype" -o "$opts" -- "$src" "$path"
  elif [ "$fstab" = /etc/fstab ]; then
    run mount -- "$path"
  else
    run mount -T "$fstab" -- "$path"
  fi || fail "Error mounting $path: $err"
}
remount() {
  changed=1
  [ -z "$check" ] || return 0
  run mount -o remount -- "$path" && return
  # Some file systems cannot change while they are mounted.
  run umount -- "$path" || fail "Error remounting $path: $err"
  mount_it
}
case $state in
  absent)
    write_fstab ''
    # As with Ansible, what has no line stays mounted.
    if [ -n "$changed" ] && is_mounted; then unmount; fi
    if [ -n "$changed" ] && [ -z "$check" ] && [ -d "$path" ]; then rmdir -- "$path" 2> /dev/null; fi ;;
  absent_from_fstab) write_fstab '' ;;
  present) write_fstab 1 ;;
  unmounted) if is_mounted; then unmount; fi ;;
  remounted)
    is_mounted || fail "Unable to remount $path: it is not mounted"
    remount ;;
  ephemeral)
    make_folder
    if is_mounted; then
      [ "$(mounted_source)" = "$(escape "$src")" ] || fail "Ephemeral mount point is already mounted with a different source"
      if [ "$opts" != defaults ]; then
        changed=1
        [ -n "$check" ] || run mount -o "remount,$opts" -- "$path" || fail "Error remounting $path: $err"
      fi
    else
      mount_it
    fi ;;
  mounted)
    make_folder
    outer=$changed changed=
    write_fstab 1
    in_fstab=$changed
    [ -z "$outer" ] || changed=1
    if is_mounted; then [ -z "$in_fstab" ] || remount; else mount_it; fi ;;
esac
finish
