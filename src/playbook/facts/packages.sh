# Prints what packages.rs reads: sections of lines, as facts.sh prints them. The variable mark precedes this script.
PATH=${PATH:-/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
exec 2> /dev/null
list() { printf '\n%s%s\n' "$mark" "$1"; shift; timeout -s KILL 60 "$@" < /dev/null | head -c 2097152; }
if command -v dpkg-query > /dev/null; then
  list architecture dpkg --print-architecture
  list dpkg dpkg-query -W -f '${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${Section}\n'
elif command -v rpm > /dev/null; then
  list rpm rpm -qa --qf '%{NAME}\t%{VERSION}\t%{RELEASE}\t%{EPOCH}\t%{ARCH}\n'
fi
exit 0
