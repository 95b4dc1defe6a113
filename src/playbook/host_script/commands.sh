PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin
changed=
has() { command -v "$1" > /dev/null 2>&1; }
needs() { has "$1" || fail "Failed to find required executable \"$1\" in paths: $PATH"; }
newline='
'

# Keeps a copy of the file $1 beside it if the task asks for that, except in a check. The result names it after the path $2.
keep_copy() {
  [ "$backup" = yes ] && [ -e "$1" ] && [ -z "$check" ] || return 0
  copy=.$unique.$(date +%Y-%m-%d@%H:%M:%S)~
  cp -p -- "$1" "$1$copy" || fail "Could not make backup of $2"
  say backup_file "$2$copy"
}

# Prints a word as a shell reads it.
quote() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }

# Runs a command without stdin. Sets `out`, `err` and `rc`.
run() {
  [ -n "$captured" ] || open_captured
  out=$("$@" < /dev/null 2> "$captured" 9>&-)
  rc=$?
  err=
  [ ! -s "$captured" ] || err=$(cat -- "$captured")
  return $rc
}
# Opens a file for what commands print to stderr. It has no name, so that it does not outlive the script.
open_captured() {
  captured=${TMPDIR:-/tmp}/.muster.$unique
  (umask 077 && set -C && printf x > "$captured") 2> /dev/null && exec 9<> "$captured" && rm -f -- "$captured" ||
    fail_without_space
  captured=/proc/self/fd/9
}
captured=
say_run() { say rc "$rc" && say stdout "$out" && say stderr "$err"; }

# Runs a command that changes the host, except in a check. If the command fails, the script does.
change() {
  changed=1
  [ -z "$check" ] || return 0
  must "$@"
}
must() {
  run "$@" && return
  say_run
  fail "${failed:-${err:-${out:-$1 failed}}}"
}

# Shows a difference: the header and the text before, then those after.
show() {
  [ -n "$shows_diff" ] || return 0
  say diff_before_header "$1" && say diff_before "$2" && say diff_after_header "$3" && say diff_after "$4"
}

# Ends with the result.
finish() {
  [ -z "$changed" ] || say changed 1
  exit 0
}

# Gives the file $1 the text in `content`, except in a check. The file keeps its mode and owner, or a new file gets the mode
# $2. The text is written beside the old file first, so that no process reads half of it.
replace_file() {
  if [ -f "$1" ] && printf %s "$content" | cmp -s -- - "$1"; then return; fi
  changed=1
  [ -z "$check" ] || return 0
  case $1 in */*) draft=${1%/*}/.muster.$unique.tmp ;; *) draft=.muster.$unique.tmp ;; esac
  rm -f -- "$draft"
  (umask 077 && set -C && printf %s "$content" > "$draft") || fail "cannot write $draft"
  if [ -e "$1" ]; then
    chown --reference="$1" -- "$draft" && chmod --reference="$1" -- "$draft"
  else
    chmod -- "${2:-0644}" "$draft"
  fi && mv -fT -- "$draft" "$1" || { rm -f -- "$draft" && fail "cannot replace $1"; }
}
# Sets `content` to the whole output of a command, with the newlines at its end.
keep_content() { content=$("$@" && printf x) && content=${content%x}; }
