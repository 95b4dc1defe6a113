# The shell's own messages go into a pipe, where it reads them: they say that a signal killed a script. Two more pipes take
# the output of programs that may leave processes behind. A pipe is a here-document that is opened again for writing.
exec 4>&2 5<<x 6<<x 7<<x

x

x

x
[ -p /proc/self/fd/5 ] && [ -p /proc/self/fd/6 ] && [ -p /proc/self/fd/7 ] || exit 97
read -r _ <&5 && read -r _ <&6 && read -r _ <&7 || exit 97
{ :; } 8>/proc/self/fd/5 9>/proc/self/fd/6 2>/proc/self/fd/7 || exit 97
exec 2>/proc/self/fd/7

# Sets `muster_exit` to the exit status $1, or to the name of the signal that killed the script.
muster_set_exit() {
  muster_exit=$1
  [ "$1" -gt 128 ] || return 0
  echo "$2" >&2
  while IFS= read -r muster_line <&7 && [ "$muster_line" != "$2" ]; do muster_exit=$(kill -l "$1"); done
}
# Ends the output of a script: the exit first, then the end of each stream.
muster_end() {
  muster_set_exit "$1" "$2"
  echo "$2" >&4
  printf '%s %s\n%s\n' "$2" "$muster_exit" "$2"
}
# The same when the pipes have no writer any more.
muster_end_pipes() {
  muster_set_exit "$1" "$2"
  printf '%s %s\n' "$2" "$muster_exit"
  wait
  echo "$2" >&4
  echo "$2"
}
