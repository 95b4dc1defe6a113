fields='%f %u:%U %g:%G %s %i %d %h %b %o %t %T %X %Y %Z %.9X %.9Y %.9Z'

# Prints the records of files: $1 is the folder, $2 the fields of stat(1). All files are looked at together, unless one
# vanishes meanwhile.
each='
root=$1 fields=$2
shift 2
put() {
  rest=${1#"$root"/} level=1
  while case $rest in */*) ;; *) false ;; esac; do rest=${rest#*/} level=$((level + 1)); done
  printf "%s\0" "path=$1" "level=$level" "stat=$2"
}
s=$(stat -c "$fields" -- "$@" 2> /dev/null)
if [ "$(printf "%s\n" "$s" | wc -l)" = $# ]; then
  printf "%s\n" "$s" | while IFS= read -r line; do put "$1" "$line" && shift; done
else
  for f; do line=$(stat -c "$fields" -- "$f" 2> /dev/null) && put "$f" "$line"; done
fi
'

look_into() {
  root=$1
  if [ ! -d "$root" ]; then say skipped "$root" && return; fi
  while case $root in ?*/) ;; *) false ;; esac; do root=${root%/}; done
  case $root in -*) root=./$root ;; esac
  find $follow "${root%/}/" -maxdepth "$depth" ! -path "${root%/}/" -exec sh -c "$each" sh "${root%/}" "$fields" {} + 2> /dev/null
}

say now "$(date +%s)"
everything
exit 0
