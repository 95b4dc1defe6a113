root=/etc/apt
added= removed=
# Prints the lines of a file without those of the repository. If $2 is set, the first one that is a comment stays as a line.
edit() {
  LINE=$line awk -v keep="$2" '
    BEGIN { line = ENVIRON["LINE"] }
    {
      text = $0
      off = sub(/^[ \t]*#+[ \t]*/, "", text)
      sub(/[ \t]+#.*$/, "", text)
      count = split(text, words)
      flat = words[1]
      for (i = 2; i <= count; i++) flat = flat " " words[i]
    }
    flat != line { print; next }
    keep && !done { print line; done = 1; next }
    off { print }
  ' "$1"
}
set +f
set -- "$root"/sources.list "$root"/sources.list.d/*.list
set -f
there=
for each; do
  [ -f "$each" ] || continue
  lines=$(LINE=$line awk '{ sub(/[ \t]+#.*$/, ""); $1 = $1 } $0 == ENVIRON["LINE"] { n++ } END { print n + 0 }' "$each")
  off=$(LINE=$line awk 'sub(/^[ \t]*#+[ \t]*/, "") { $1 = $1; if ($0 == ENVIRON["LINE"]) n++ } END { print n + 0 }' "$each")
  if [ "$state" = absent ]; then
    [ "$lines" -gt 0 ] || continue
    removed=$removed$each$newline changed=1
    [ -z "$check" ] || continue
    keep_content edit "$each" ''
    case $each in
      */sources.list.d/*) if [ -z "$content" ]; then rm -f -- "$each" || exit 1; continue; fi ;;
    esac
    replace_file "$each"
  elif [ "$lines" -gt 0 ]; then
    there=1
  elif [ "$off" -gt 0 ]; then
    there=1 added=$added$each$newline changed=1
    keep_content edit "$each" 1
    replace_file "$each"
  fi
done
if [ "$state" = present ] && [ -z "$there" ]; then
  changed=1 added=$added$file$newline
  content= from=/dev/null
  [ ! -f "$file" ] || { from=$file && keep_content cat -- "$file"; }
  show "$from" "$content" "$file" "$content$line$newline"
  content=$content$line$newline
  replace_file "$file"
fi
if [ "$state" = present ] && [ -f "$file" ] && [ -n "$mode" ]; then
  path=$file
  enter || exit 1
  set_attributes
  [ -z "$altered" ] || changed=1
fi
say sources_added:lines "$added" && say sources_removed:lines "$removed"
if [ -n "$changed" ] && [ "$update_cache" != no ] && [ -z "$check" ]; then
  end=$(($(date +%s) + ${lock_timeout:-60}))
  tries=0 delay=1
  until run apt-get -q update; do
    case $err in
      *"Could not get lock"* | *"Unable to lock"*)
        [ "$(date +%s)" -lt "$end" ] || fail "Failed to update apt cache: $err" ;;
      *)
        tries=$((tries + 1))
        [ $tries -lt "${update_cache_retries:-5}" ] || fail "Failed to update apt cache after $tries retries: $err" ;;
    esac
    sleep $delay
    delay=$((delay * 2))
    [ $delay -le "${update_cache_retry_max_delay:-12}" ] || delay=${update_cache_retry_max_delay:-12}
  done
fi
finish
