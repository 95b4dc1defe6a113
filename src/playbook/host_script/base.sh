LC_ALL=C
export LC_ALL
unset CDPATH
set -f
# Prints a record of the report.
say() { printf '%s=%s\0' "$1" "$2"; }
downloaded=
clean() { :; }
fail() { say msg "$1"; exit 1; }
# Ends a script that cannot write temporary files, and says why it cannot.
fail_without_space() {
  set -- "${TMPDIR:-/tmp}/.muster.$unique"
  rm -f -- "$1"
  why=$(printf x | tee -- "$1" 2>&1 > /dev/null)
  rm -f -- "$1"
  fail "cannot write to ${1%/*} on the host${why:+: ${why##*: }}"
}
# Makes a folder for the time of the script, and makes sure that a file in it can have content.
make_scratch() {
  scratch=$(mktemp -d 2> /dev/null) || fail_without_space
  trap 'rm -rf -- "$scratch"' EXIT
  { printf x > "$scratch/.space"; } 2> /dev/null || fail_without_space
}
# Sets `own_uid` to the number of the user, without a process.
find_uid() {
  [ -z "$own_uid" ] || return 0
  while read -r word own_uid _ && [ "$word" != Uid: ]; do :; done < /proc/self/status || own_uid=$(id -u)
}
own_uid=

# Takes the slashes off the end of $path, changes into its folder and sets `name` to ./NAME. From then on no change to the
# path leads elsewhere.
enter() {
  while case $path in ?*/) ;; *) false ;; esac; do path=${path%/}; done
  case $path in
    */*) folder=${path%/*} && folder=${folder:-/} ;;
    *) folder=. ;;
  esac
  name=./${path##*/}
  cd -P -- "$folder" 2> /dev/null
}

# Set by a script that knows that nothing has changed $name since look() looked at it.
seen=
see() { [ -n "$seen" ] || look "$1"; }

# Sets kind, id, user, group, bits, links, size and the time of the last change of a file. A link is not followed.
look() {
  kind=absent
  [ -e "$1" ] || [ -L "$1" ] || return 0
  set -- $(stat -c '%d:%i %u:%U %g:%G %a %h %s %.9Z %F' -- "$1")
  [ $# -ge 8 ] || return 0
  id=$1 of_user=$2 of_group=$3 bits=$4 links=$5 size=$6 changed_at=$7
  shift 7
  case $* in
    'regular file' | 'regular empty file') if [ "$links" = 1 ]; then kind=file; else kind=hard; fi ;;
    'symbolic link') kind=link ;;
    directory) kind=directory ;;
    *) kind=special ;;
  esac
}

# Sets `version` to what changes whenever the file at which look() has looked is written or replaced.
find_version() {
  case $kind in file | hard) version=$id:$size:$changed_at ;; *) version=$kind ;; esac
}

# Sets `target` to the target of a link.
read_link() { target=$(readlink -n -- "$1" && printf x) && target=${target%x}; }

# Follows $name to the end if it is a link, and sets path, name and kind. Any user could point a link of his own to a file
# of root.
follow_link() {
  look "$name"
  hops=0
  while [ "$kind" = link ]; do
    find_uid
    case ${of_user%%:*} in 0 | "$own_uid") ;; *) fail "$path is a link of another user" ;; esac
    hops=$((hops + 1))
    [ $hops -le 40 ] || fail "$path: too many levels of links"
    read_link "$name" || exit 1
    path=$target
    enter || { kind=absent && return 0; }
    path=${PWD%/}/${name#./}
    look "$name"
  done
}
