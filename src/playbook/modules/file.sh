shown=$path
start=$PWD
if [ "$state" = hard ] && [ -d "$path" ] && [ -n "$src" ]; then path=$path/${src##*/} shown=$path; fi

lost=
if enter; then look "$name" && seen=1; else kind=absent lost=1; fi
home=$PWD origin=$name

# Ends with the result for the record $1.
finish() {
  [ -z "$shows_diff" ] || show_difference
  if [ -n "$lost" ]; then described=absent; else find_description "$name"; fi
  [ "$1" = path ] || [ "$state" = touch ] || say src "$src"
  printf '%s=%s\0' changed "$altered" "$1" "$shown" described "$described"
  exit 0
}

# Reports what the path was. A check says nothing of a path that it would touch first, and there is no difference between
# nothing and nothing.
show_difference() {
  case $state:$prior:$check in absent:absent:* | touch:absent:1) return ;; esac
  say was "$prior" && say wanted "$state" && say attributes "$attributes"
  [ -z "$old_target" ] || say old_src "$old_target"
}
old_target=
# Remembers what the path is before the task.
remember() {
  prior=$kind
  [ "$kind" != special ] || prior=file
}

# Reports what is in the directory $name, but at most some of it.
list_content() {
  find "$name" -mindepth 1 -type d | head -n 1000 | while IFS= read -r each; do say folder "$folder/${each#./}"; done
  find "$name" -mindepth 1 ! -type d | head -n 1000 | while IFS= read -r each; do say file "$folder/${each#./}"; done
}
refuse() { say path "$shown" && fail "$1"; }

# Sets the times of $name: `mtime` and `atime` are empty, `now`, or a time.
set_times() {
  if [ "$mtime" = now ] && [ "$atime" = now ]; then
    altered=1
    was=$(stat -c '%.X %.Y' -- "$name")
    [ -n "$check" ] || touch -ch -- "$name" || exit 1
    is=$(stat -c '%.X %.Y' -- "$name")
    note atime "${was% *}" "${is% *}"
    note mtime "${was#* }" "${is#* }"
    return
  fi
  set_time m "$mtime" %Y
  set_time a "$atime" %X
}
set_time() {
  [ -n "$2" ] || return 0
  if [ "$2" != now ] && [ "$(date -d "$2" +%s)" = "$(stat -c "$3" -- "$name")" ]; then return; fi
  altered=1
  was=$(stat -c "%.${3#%}" -- "$name")
  [ -n "$check" ] || touch "-ch$1" -d "$2" -- "$name" || exit 1
  note "$1time" "$was" "$(stat -c "%.${3#%}" -- "$name")"
}

# Reports whether a line of owners and modes differs from those of the task.
differs() {
  of_user=$1 of_group=$2 bits=$3 kind=$4
  [ -z "$owner" ] || [ "$owner" = "${of_user%%:*}" ] || [ "$owner" = "${of_user#*:}" ] || return 0
  [ -z "$group" ] || [ "$group" = "${of_group%%:*}" ] || [ "$group" = "${of_group#*:}" ] || return 0
  [ -n "$mode" ] && [ "$kind" != symbolic ] || return 1
  compute_mode
  [ "$number" -ne $((0$bits)) ]
}

# Gives all that is in the directory $name its attributes. Links are not followed.
set_tree() {
  look "$name"
  cd -P -- "$name" && [ "$(stat -c %d:%i .)" = "$id" ] || fail "another process replaced $path"
  seen=
  odd=$(find . ! -name . -exec stat -c '%u:%U %g:%G %a %F' {} + | while read -r u g b k _; do
    if differs "$u" "$g" "$b" "$k"; then echo odd && break; fi
  done)
  [ -n "$odd" ] || return 0
  altered=1
  [ -z "$check" ] || return 0
  [ -z "$owner" ] || chown -hR -- "$owner" . || exit 1
  [ -z "$group" ] || chgrp -hR -- "$group" . || exit 1
  [ -z "$mode" ] || chmod -R -- "$mode_text" . || exit 1
}

be_file() {
  if [ -n "$follow" ] && [ "$kind" = link ]; then follow_link && shown=$path; fi
  remember
  case $kind in
    file | hard | special) ;;
    *) say state "$kind" && refuse "file ($shown) is $kind, cannot continue" ;;
  esac
  set_attributes
  set_times
  finish path
}

be_directory() {
  if [ -n "$follow" ] && [ "$kind" = link ]; then follow_link && shown=$path; fi
  remember
  if [ "$kind" = absent ]; then
    if [ -n "$check" ]; then altered=1 && finish path; fi
    cd -- "$start" || exit 1
    made=$path
    make_folders "$path" || refuse "There was an issue creating $made as requested: ${e##*: }"
    name=. lost=
    set_times
    finish path
  fi
  [ "$kind" = directory ] || refuse "$shown already exists as a $(plain "$kind")"
  set_attributes
  set_times
  if [ -n "$recurse" ]; then set_tree && name=.; fi
  finish path
}
plain() { if [ "$1" = special ]; then echo file; else echo "$1"; fi; }

be_link() {
  if [ -z "$src" ] && [ -n "$follow" ] && [ "$kind" = link ] && [ -e "$name" ]; then
    read_link "$name" && src=$target
  fi
  if [ -z "$force" ] && [ -n "$src" ]; then
    base=. from=${path%/*}
    if [ "$kind" = directory ]; then base=$name from=$path; fi
    case $src in /*) from=$src ;; *) from=$from/$src ;; esac
    (cd -- "$base" && [ -e "$src" ]) || { say src "$src" &&
      refuse "src file does not exist, use 'force=yes' if you really want to create the link: $from"; }
  fi
  case $kind in
    link)
      if ! read_link "$name" || { [ -n "$src" ] && [ "$target" != "$src" ]; }; then altered=1 old_target=$target; fi ;;
    directory)
      [ -n "$force" ] || refuse "refusing to convert from directory to symlink for $shown"
      [ -z "$(ls -A -- "$name")" ] || refuse "the directory $shown is not empty, refusing to convert it" ;;
    absent) ;;
    *) [ -n "$force" ] || refuse "refusing to convert from $(plain "$kind") to symlink for $shown" ;;
  esac
  if [ "$kind" != link ]; then
    [ -n "$src" ] || fail "src is required for creating new symlinks"
    altered=1
  fi
  if [ -n "$altered" ] && [ -z "$check" ]; then
    [ -z "$lost" ] || refuse "Error while linking: No such file or directory"
    # A link of another user to a directory must not get the new link into that directory.
    t=./.muster.$unique
    if [ "$kind" = directory ]; then rmdir -- "$name" || exit 1; fi
    e=$(ln -sT -- "$src" "$t" 2>&1) || refuse "Error while linking: ${e##*: }"
    mv -fT -- "$t" "$name" || { rm -f -- "$t" && exit 1; }
    seen=
  fi
  if [ -n "$check" ] && [ ! -e "$name" ]; then finish dest; fi
  if [ -n "$owner$group$mode$mtime$atime" ] && { [ -z "$follow" ] || [ -e "$name" ]; }; then
    if [ -n "$follow" ]; then follow_link; fi
    set_attributes
    set_times
    cd -- "$home" && name=$origin seen=
  fi
  finish dest
}

be_hard() {
  case $src in '' | /*) ;; *) src=$start/$src ;; esac
  [ "$kind" = hard ] || [ -n "$src" ] || fail "src is required for creating new hardlinks"
  [ -z "$src" ] || [ -e "$src" ] || { say dest "$shown" && say src "$src" && fail "src does not exist"; }
  same=
  if [ -n "$src" ] && [ "$(stat -Lc %d:%i -- "$src")" = "$id" ]; then same=1; fi
  if [ "$kind" != absent ] && [ "$kind" != link ] && [ -n "$src" ] && [ -z "$same" ] && [ -z "$force" ]; then
    say dest "$shown" && say src "$src"
    case $kind in
      hard) fail "Cannot link, different hard link exists at destination" ;;
      directory) fail "Cannot link: different hard link exists at destination" ;;
      *) fail "Cannot link, file exists at destination" ;;
    esac
  fi
  [ -n "$same" ] || [ -z "$src" ] || altered=1
  if [ -n "$altered" ] && [ -z "$check" ]; then
    [ -z "$lost" ] || { say dest "$shown" && fail "Error while linking: No such file or directory"; }
    t=./.muster.$unique
    e=$(ln -T -- "$src" "$t" 2>&1) || { say dest "$shown" && fail "Error while linking: ${e##*: }"; }
    mv -fT -- "$t" "$name" || { rm -f -- "$t" && exit 1; }
    seen=
  fi
  if [ -n "$check" ] && [ ! -e "$name" ]; then finish dest; fi
  set_attributes
  set_times
  finish dest
}

be_touched() {
  if [ -n "$follow" ]; then follow_link; fi
  if [ "$kind" = absent ]; then
    altered=1
    [ -z "$check" ] || finish dest
    set -C
    { [ -z "$lost" ] && { true > "$name"; } 2> /dev/null; } || refuse "Error, could not touch target."
    set +C
    seen=
  fi
  set_attributes
  set_times
  if [ "$PWD/$name" != "$home/$origin" ]; then cd -- "$home" && name=$origin seen=; fi
  finish dest
}

be_absent() {
  if [ "$kind" != absent ]; then
    altered=1
    [ -z "$shows_diff" ] || [ "$kind" != directory ] || list_content
    if [ -z "$check" ]; then
      if [ "$kind" = directory ]; then
        e=$(rm -rf -- "$name" 2>&1) || fail "rmtree failed: ${e##*: }"
      else
        e=$(rm -f -- "$name" 2>&1) || refuse "Unlinking failed."
      fi
      seen=
    fi
  fi
  say state absent
  finish path
}

if [ -z "$state" ]; then
  case $kind in
    absent) if [ -n "$recurse" ]; then state=directory; else state=file; fi ;;
    special) state=file ;;
    *) state=$kind ;;
  esac
fi
remember
[ -z "$recurse" ] || [ "$state" = directory ] || refuse "recurse option requires state to be 'directory'"
case $state in
  link | hard) ;;
  *) [ -z "$src" ] || refuse "src option requires state to be 'link' or 'hard'" ;;
esac
case $state in
  file) be_file ;;
  directory) be_directory ;;
  link) be_link ;;
  hard) be_hard ;;
  touch) be_touched ;;
  absent) be_absent ;;
esac
