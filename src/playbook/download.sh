# Gets a URL into a private directory, and sets `source` to the file.
command -v curl > /dev/null || fail "get_url needs curl on the host"
make_scratch
clean() { rm -rf -- "$scratch"; }
trap clean EXIT
trap 'exit 1' HUP INT TERM
curl_with() {
  printf '%s\nurl = "%s"\n' "$options" "$1" | {
    shift
    curl -K - -w '%{http_code}' "$@" 2> "$scratch/error"
  }
}
existing=$d
if [ -d "$d" ]; then existing=${d%/}/$n; fi
[ -d "${existing%/*}" ] || fail "Destination ${existing%/*} does not exist"

# A list of hashes: lines HASH NAME, or NAME in brackets, or one hash alone.
case $wanted in
  *://*)
    list=$wanted wanted=
    curl_with "$list_url" -o "$scratch/list" > /dev/null || fail "Request failed: $(cat "$scratch/error")"
    while read -r sum file rest; do
      case $file in
        '') [ "$(wc -l < "$scratch/list")" -gt 1 ] || wanted=$sum ;;
        "($n)") wanted=${rest#= } ;;
      esac
      file=${file#\*}
      [ "${file#./}" != "$n" ] || wanted=$sum
      [ -z "$wanted" ] || break
    done < "$scratch/list"
    [ -n "$wanted" ] || fail "Unable to find a checksum for file '$n' in '$list'" ;;
esac

set --
if [ -f "$existing" ]; then
  s=$(sha1sum < "$existing") && say checksum_dest "${s%% *}"
  if [ -n "$wanted" ] && [ -z "$forced" ]; then
    s=$("${algorithm}sum" < "$existing")
    if [ "${s%% *}" = "$wanted" ]; then
      path=$existing
      enter || exit 1
      set_attributes
      if [ -n "$altered" ]; then say changed 1 && say msg "file already exists but file attributes changed"; fi
      say msg "file already exists"
      say dest "$path"
      describe "$name"
      exit 0
    fi
  elif [ -z "$forced" ] && case $quoted_url in http*) ;; *) false ;; esac; then
    # The server need not send what is not newer. Without a server curl would give an empty file then.
    set -- -z "$(date -u -d "@$(stat -Lc %Y -- "$existing")" '+%Y%m%d %H:%M:%S GMT')"
  fi
fi
if [ -n "$check" ]; then set -- "$@" -I; fi
code=$(curl_with "$quoted_url" -o "$scratch/file" "$@") || fail "Request failed: $(cat "$scratch/error")"
say status_code "$code"
case $code in
  200 | 000 | 226) ;;
  304)
    say dest "$existing"
    say msg "HTTP Error 304: Not Modified"
    exit 0 ;;
  *) say dest "$existing" && fail "Request failed" ;;
esac
if [ -n "$check" ]; then
  say changed 1
  say dest "$existing"
  exit 0
fi
: >> "$scratch/file"
if [ -n "$wanted" ]; then
  s=$("${algorithm}sum" < "$scratch/file")
  [ "${s%% *}" = "$wanted" ] || fail "The checksum for $scratch/file did not match $wanted; it was ${s%% *}."
fi
s=$(sha1sum < "$scratch/file") && say checksum_src "${s%% *}"
downloaded=$scratch/file
