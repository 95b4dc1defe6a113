# The shell's own messages go into a pipe, where it reads them: they say that a signal killed a script. Two more pipes take
# the output of programs that may leave processes behind, in a shell that cannot find such processes. A pipe is a
# here-document that is opened again for writing.
exec 4>&2 5<<x 6<<x 7<<x

x

x

x
[ -p /proc/self/fd/5 ] && [ -p /proc/self/fd/6 ] && [ -p /proc/self/fd/7 ] || exit 97
read -r _ <&5 && read -r _ <&6 && read -r _ <&7 || exit 97
{ :; } 8>/proc/self/fd/5 9>/proc/self/fd/6 2>/proc/self/fd/7 || exit 97

# Sets `muster_newest` to the number of the newest process, and `muster_now` to the seconds since the host has started.
muster_count() {
  read -r _ _ _ _ muster_newest </proc/loadavg && read -r muster_now _ </proc/uptime && muster_now=${muster_now%.*}
}
# Begins with a program: every process that it starts gets a greater number than `muster_first`.
muster_begin() { muster_count && muster_first=$muster_newest muster_start=$muster_now; }
# Reports whether the host gives numbers to processes in turn, and the shell is root's, which sees the files of each of them.
# A program may then print to the channel itself.
muster_finds_processes() {
  [ /proc/self -ef /proc/$$ ] && [ -O /proc/1/fd ] && [ -p /proc/self/fd/1 ] && [ -p /proc/self/fd/4 ] || return
  { :; } 8>/proc/self/fd/1 9>/proc/self/fd/4 || return
  for muster_round in 1 2; do
    muster_begin || return
    : &
    wait && muster_count && [ "$muster_first" -lt $! ] && [ $! -le "$muster_newest" ] || return
  done
}
muster_finds=
if muster_finds_processes 2>/dev/null; then muster_finds=1; fi
exec 2>/proc/self/fd/7

# Reports whether no process that the program has started may print to the channel. A process that starts another one after
# the shell has looked at it is no gap: the newer process is counted in the next round.
muster_is_quiet() {
  muster_seen=$muster_first
  until muster_count && [ "$muster_newest" = "$muster_seen" ]; do
    [ "$muster_newest" -gt "$muster_seen" ] || return
    while [ "$muster_seen" -lt "$muster_newest" ]; do
      muster_seen=$((muster_seen + 1))
      [ ! -e /proc/$muster_seen ] || muster_is_elsewhere /proc/$muster_seen || [ ! -e /proc/$muster_seen ] || return
    done
  done
}
# Reports whether all files of the process in the folder $1 are others than the channel, and stay the same meanwhile. A
# process that hides its files may have the channel.
muster_is_elsewhere() {
  muster_process=$1
  set -- "$1"/fd/*
  muster_files=$*
  for muster_file; do
    [ -e "$muster_file" ] && ! [ "$muster_file" -ef /proc/self/fd/1 ] && ! [ "$muster_file" -ef /proc/self/fd/4 ] || return
  done
  set -- "$muster_process"/fd/*
  [ "$*" = "$muster_files" ]
}
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
# The same for a program that printed to the channel. A process that has just been started may need a moment to open other
# files. If it prints on, the shell leaves the channel to it, and also after two seconds: the numbers might begin again.
muster_end_program() {
  muster_set_exit "$1" "$2"
  printf '%s %s\n' "$2" "$muster_exit"
  for muster_pause in 0.001 0.01 0.05 0.1 0.2 0; do
    muster_count && [ $((muster_now - muster_start)) -lt 2 ] || exit
    if muster_is_quiet; then break; fi
    [ "$muster_pause" != 0 ] && sleep "$muster_pause" 2>/dev/null
  done || exit
  echo "$2" >&4
  echo "$2"
}
