if [ -n "$check" ]; then say skipped 1 && say msg "remote module (uri) does not support check mode" && finish; fi
if [ -n "$creates" ] && [ -e "$creates" ]; then say stdout "skipped, since '$creates' exists" && finish; fi
if [ -n "$removes" ] && [ ! -e "$removes" ]; then say stdout "skipped, since '$removes' does not exist" && finish; fi
make_scratch
body=
if [ -n "$has_body" ]; then
  cat > "$scratch/request" && body=$scratch/request
elif [ -n "$src" ]; then
  body=$src
  [ -r "$src" ] || fail "Unable to open source file $src"
fi
: > "$scratch/headers"
: > "$scratch/content"
started=$(date +%s)
if has curl; then
  set -- curl -q -sS -K "$scratch/config" -D "$scratch/headers" -o "$scratch/content" --max-time "$timeout"
  [ -z "$body" ] || set -- "$@" --data-binary "@$body"
  (umask 077 && printf %s "$for_curl" > "$scratch/config") || exit 1
  run "$@" -w '%{http_code} %{num_redirects} %{url_effective}'
  case $rc in 0 | 18 | 22 | 23) ;; *) out="-1 0 $url" why=${err#curl: } ;; esac
  status=${out%% *} redirects=${out#* } final=${redirects#* } redirects=${redirects%% *}
elif has wget; then
  [ -z "$unix_socket" ] || only_curl='a socket'
  [ -z "$only_curl" ] || fail "wget cannot send $only_curl: install curl on the host"
  (umask 077 && printf %s "$for_wget" > "$scratch/config") || exit 1
  set -- wget -q -S --config="$scratch/config" -O "$scratch/content" --tries=1 --timeout="$timeout" --method="$method"
  [ -z "$body" ] || set -- "$@" --body-file="$body"
  run "$@" -- "$url"
  printf '%s\n' "$err" | sed -n 's/^  //p' > "$scratch/headers"
  status=$(sed -n 's|^HTTP/[0-9.]* \([0-9]*\).*|\1|p' "$scratch/headers" | tail -n 1)
  redirects=$(grep -c '^[Ll]ocation:' "$scratch/headers")
  final=$(sed -n 's/^[Ll]ocation: *\([^ ]*\).*/\1/p' "$scratch/headers" | tail -n 1)
  final=${final:-$url}
  [ -n "$status" ] || { status=-1 && why=$(printf '%s\n' "$err" | grep -v '^  ' | tail -n 1); }
else
  fail "Failed to find required executable \"curl\" or \"wget\""
fi
[ "$status" != 000 ] || status=-1
say status:number "$status"
say url "$final"
if [ "$redirects" = 0 ]; then say redirected:flag 0; else say redirected:flag 1; fi
say elapsed:number $(($(date +%s) - started))
refused=1
for each in $accepted; do if [ "$each" = "$status" ]; then refused=; fi; done
size=$(stat -c %s "$scratch/content")
if [ -n "$refused" ]; then
  list=$(printf '%s' "$accepted" | sed 's/ /, /g')
  if [ "$status" = -1 ]; then
    why="Request failed: <urlopen error $why>"
  else
    line=$(grep '^HTTP/' "$scratch/headers" | tail -n 1 | tr -d '\r')
    why="HTTP Error $status: ${line#* * }"
  fi
  say msg "Status code was $status and not [$list]: $why"
  say refused:flag 1
else
  say msg "OK ($size bytes)"
fi
if [ -n "$dest" ] && [ -z "$refused" ]; then
  if [ -d "$dest" ]; then
    base=${final%%[?#]*}
    base=${base##*/}
    dest=${dest%/}/${base:-index.html}
  fi
  path=$dest
  enter || fail "Destination directory of $dest does not exist"
  if [ ! -f "$name" ] || ! cmp -s -- "$scratch/content" "$name"; then
    draft=./.muster.$unique.tmp
    rm -f -- "$draft"
    (umask 077 && set -C && cat -- "$scratch/content" > "$draft") || fail "cannot write $dest"
    if [ -f "$name" ]; then
      chown --reference="$name" -- "$draft" && chmod --reference="$name" -- "$draft"
    else
      chmod -- "$(printf '%o' $((0666 & ~0$(umask))))" "$draft"
    fi && mv -fT -- "$draft" "$name" || { rm -f -- "$draft" && fail "cannot replace $dest"; }
    changed=1
  fi
  set_attributes
  [ -z "$altered" ] || changed=1
  say path "$dest"
  describe "$name"
fi
[ -z "$changed" ] || say changed 1
[ "$return_content" != yes ] || say returned:flag 1
say headers "$(cat -- "$scratch/headers")"
say content ''
if [ "$return_content" = yes ] || [ -n "$refused" ] || grep -qi '^content-type:.*json' "$scratch/headers"; then
  cat -- "$scratch/content"
fi
exit 0
