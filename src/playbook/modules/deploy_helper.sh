join() { case $2 in '') ;; /*) printf %s "$2" ;; *) printf %s "${1%/}/$2" ;; esac; }
exists() { [ -e "$1" ] || [ -L "$1" ]; }
current=$(join "$path" "${current_path:-current}")
releases=$(join "$path" "${releases_path:-releases}")
shared=$(join "$path" "$shared_path")
project=$path
last=
if exists "$current"; then last=$(readlink -m -- "$current"); fi
case $state in present | query) release=${release:-$(date +%Y%m%d%H%M%S)} ;; esac
new=$(join "$releases" "$release")

make_path() {
  if exists "$1"; then
    [ -d "$1" ] || fail "$1 exists but is not a directory"
  else
    changed=1
    [ -z "$check" ] || return 0
    mkdir -p -- "$1" || exit 1
  fi
  from=$PWD path=$1 altered=
  if enter; then set_attributes; fi
  [ -z "$altered" ] || changed=1
  cd -- "$from" || exit 1
}
delete_path() {
  exists "$1" || return 0
  [ -d "$1" ] || fail "$1 exists but is not a directory"
  changed=1
  [ -n "$check" ] || rm -rf -- "$1" || fail "rmtree failed: $1"
}
remove_unfinished_link() {
  each=${project%/}/$release.$mark
  if [ -z "$release" ] || [ -n "$check" ] || [ ! -e "$each" ]; then return 0; fi
  changed=1
  rm -f -- "$each" || exit 1
}
# Prints the directories in that of the releases, the newest one first.
list_releases() { find "$releases" -mindepth 1 -maxdepth 1 \( -type d -o -type l \) -printf '%C@ %f\n' | sort -rn | cut -d ' ' -f 2-; }
clean_up() {
  remove_unfinished_link
  [ -d "$releases" ] || return 0
  count=0
  list=$(list_releases)
  old_ifs=$IFS
  IFS=$newline
  for each in $list; do
    IFS=$old_ifs
    [ -d "$releases/$each" ] || continue
    if [ -f "$releases/$each/$mark" ]; then
      delete_path "$releases/$each"
      continue
    fi
    [ "$each" != "$release" ] || continue
    count=$((count + 1))
    [ $count -le "$kept" ] || delete_path "$releases/$each"
  done
  IFS=$old_ifs
}
case $state in
  present)
    if exists "$current" && [ ! -L "$current" ]; then fail "$current exists but is not a symbolic link"; fi
    make_path "$project"
    make_path "$releases"
    [ -z "$shared" ] || make_path "$shared" ;;
  finalize)
    if exists "$new/$mark"; then
      changed=1
      [ -n "$check" ] || rm -f -- "$new/$mark" || exit 1
    fi
    if [ ! -L "$current" ]; then
      changed=1
      [ -n "$check" ] || ln -s -- "$new" "$current" || exit 1
    elif [ "$(readlink -m -- "$current")" != "$(readlink -m -- "$new")" ]; then
      changed=1
      if [ -z "$check" ]; then
        exists "$new" || fail "the symlink target $new doesn't exists"
        ln -sfT -- "$new" "$current.$mark" && mv -fT -- "$current.$mark" "$current" || exit 1
      fi
    fi
    [ "$clean" = no ] || clean_up ;;
  clean) clean_up ;;
  absent) delete_path "$project" ;;
esac
say diff_project_path "$project" && say diff_current_path "$current" && say diff_releases_path "$releases"
say diff_shared_path "$shared" && say diff_previous_release "${last##*/}" && say diff_previous_release_path "$last"
say diff_new_release "$release" && say diff_new_release_path "$new" && say diff_unfinished_filename "$mark"
finish
