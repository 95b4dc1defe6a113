make_scratch
expanded=$scratch/expanded excluded=$scratch/excluded paths=$scratch/paths targets=$scratch/targets missing=$scratch/missing
true > "$targets" && true > "$missing" || exit 1

# Prints the paths, each one with a NUL after it. Those with wildcards become the paths that match.
expand() {
  for p; do
    case $p in -*) p=./$p ;; esac
    case $p in
      *[*?]*) (IFS= && set +f && for match in $p; do if [ -e "$match" ] || [ -L "$match" ]; then printf '%s\0' "$match"; fi; done) ;;
      *) printf '%s\0' "$p" ;;
    esac
  done
}
has_wildcards() {
  for p; do case $p in *[*?]*) return 0 ;; esac; done
  return 1
}
# Prints a list as quoted words.
quoted() { sed -z "s/'/'\\\\''/g; s/^/'/; s/\$/'/" -- "$1" | tr '\0' ' '; }
lines() { tr '\0' '\n' < "$1"; }

with_paths expand > "$expanded"
with_excluded expand > "$excluded"
say expanded_paths:lines "$(lines "$expanded")" && say expanded_exclude_paths:lines "$(lines "$excluded")"
sort -zu -o "$scratch/sorted" -- "$expanded" && sort -zu -o "$excluded" -- "$excluded"
comm -z -23 -- "$scratch/sorted" "$excluded" > "$paths"
[ -s "$paths" ] || fail 'Error, no source paths were found'
eval "set -- $(quoted "$paths")"
first=$1
must_archive=$force_archive
if with_paths has_wildcards || [ -d "$first" ] || [ $# -gt 1 ]; then must_archive=yes; fi
if [ -z "$dest" ]; then
  [ "$must_archive" != yes ] || fail 'Error, must specify "dest" when archiving multiple files or trees'
  dest=$first.$format
fi

# The folder that all paths share. Of a sorted list the first and the last one show it.
for p; do last=$p; done
root=${first%"${first##*/}"}
while case $last in "$root"*) false ;; esac; do root=${root%/} && root=${root%"${root##*/}"}; done
say dest "$dest" && say arcroot "$root"

for p; do
  if [ "$remove" = yes ] && [ -d "$p" ]; then
    case $dest in "${p%/}"/*) fail 'Error, created archive can not be contained in source paths when remove=true' ;; esac
  fi
  if [ -e "$p" ] || [ -L "$p" ]; then printf '%s\0' "$p" >> "$targets"; else printf '%s\0' "$p" >> "$missing"; fi
done
say missing:lines "$(lines "$missing")"

case $dest in /*) place=$dest ;; *) place=$PWD/$dest ;; esac
draft=${place%/*}/.muster.$unique.$format

# Reports whether a name is left out. A pattern for a zip archive is for the whole path, as in Ansible.
is_left_out() {
  if [ "$format" = zip ]; then subject=$1; else subject=${1#"$root"}; fi
  with_patterns matches
}
matches() {
  for pattern; do case $subject in $pattern) return 0 ;; esac; done
  return 1
}
with_patterns() { eval "\"\$@\" $exclusion_patterns"; }

# Lists everything that is packed.
find_members() {
  eval "set -- $(quoted "$targets")"
  for target; do
    if [ -d "$target" ]; then find "${target%/}/" -mindepth 1 -print0 || fail "cannot read $target"; else printf '%s\0' "$target"; fi
  done > "$scratch/all"
  eval "set -- $(quoted "$scratch/all")"
  for p; do
    case $p in "$dest" | "$draft") continue ;; esac
    [ -z "$exclusion_patterns" ] || ! is_left_out "$p" || continue
    printf '%s\0' "$p" >&3
    printf '%s\0' "${p#"$root"}"
  done 3> "$scratch/archived" > "$scratch/members"
}

pack() {
  case $format in
    zip)
      needs zip
      (cd -- "${root:-.}" && xargs -0 zip -q -X "$draft" -- < "$scratch/members") ;;
    *)
      case $format in gz) set -- --gzip && needs gzip ;; bz2) set -- --bzip2 && needs bzip2 ;; xz) set -- --xz && needs xz ;; tar) set -- ;; esac
      (cd -- "${root:-.}" && tar --create "$@" --force-local --no-recursion --null --files-from="$scratch/members" --file="$draft") ;;
  esac
}
compressor() { case $format in gz) echo gzip ;; bz2) echo bzip2 ;; xz) echo xz ;; esac; }
squeeze() {
  program=$(compressor)
  needs "$program"
  "$program" -c < "$first" > "$draft"
}

# Prints what an archive has, in one order: names, times and the like, as Ansible compares them.
contents() {
  case $format in
    zip) if has unzip; then unzip -lv "$1" | sed 1d; else cat -- "$1"; fi ;;
    *) tar --list --verbose --full-time --numeric-owner --force-local --file="$1" 2> /dev/null | sed 's/\(:[0-9][0-9]\)\.[0-9]*/\1/' | sort ;;
  esac
}
is_same() {
  [ -f "$place" ] || return 1
  if [ "$must_archive" = yes ] || [ "$format" = tar ] || [ "$format" = zip ]; then
    contents "$place" > "$scratch/old" && contents "$draft" > "$scratch/new"
    cmp -s -- "$scratch/old" "$scratch/new"
  else
    program=$(compressor)
    "$program" -dc < "$place" 2> /dev/null | cmp -s -- - "$first"
  fi
}

# Puts the new archive into its place unless the old one has the same.
settle() {
  if is_same; then
    rm -f -- "$draft"
    return
  fi
  changed=1
  if [ -e "$place" ]; then chown --reference="$place" -- "$draft" && chmod --reference="$place" -- "$draft"; else chmod -- "$(printf %o $((0666 & ~0$(umask))))" "$draft"; fi &&
    mv -fT -- "$draft" "$place" || { rm -f -- "$draft" && fail "cannot replace $dest"; }
}

remove_sources() {
  eval "set -- $(quoted "$targets")"
  for p; do
    [ ! -d "$p" ] || { rm -rf -- "${p%/}" || fail "cannot remove $p"; }
  done
  xargs -0 rm -f -- < "$scratch/archived" 2> /dev/null
  changed=1
}

state=absent
if [ ! -s "$targets" ]; then
  if [ -e "$place" ]; then
    case $dest in *.[tT][aA][rR] | *.[tT][aA][rR].gz | *.[tT][aA][rR].bz2 | *.[tT][aA][rR].xz | *.tgz | *.tbz2 | *.zip) state=archive ;; *) state=compress ;; esac
  fi
elif [ -n "$check" ]; then
  if [ "$must_archive" = yes ] || [ ! -e "$place" ]; then changed=1; fi
else
  trap 'rm -rf -- "$scratch" "$draft"' EXIT
  if [ "$must_archive" = yes ] || [ "$format" = tar ] || [ "$format" = zip ]; then
    find_members
    (umask 077 && pack) || fail "Error when writing $format archive at $dest"
    state=archive
    if [ -s "$missing" ]; then state=incomplete; fi
  else
    cp -- "$paths" "$scratch/archived"
    (umask 077 && squeeze) || fail "Unable to write to compressed file: $dest"
    state=compress
  fi
  settle
  say archived:lines "$(lines "$scratch/archived")"
  [ "$remove" != yes ] || remove_sources
fi
say dest_state "$state"
if [ -e "$place" ]; then
  path=$place
  enter && set_attributes || exit 1
  [ -z "$altered" ] || changed=1
  describe "$name"
fi
finish
