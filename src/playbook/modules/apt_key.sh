needs apt-key
needs gpg
export APT_KEY_DONT_WARN_ON_DANGEROUS_USAGE=1
make_scratch
set -- apt-key
[ -z "$keyring" ] || set -- apt-key --keyring "$keyring"

if [ "$state" != absent ] && [ -z "$keyserver" ]; then
  case $data$file$url in
    '') fail "missing required arguments: data, file, keyserver or url" ;;
  esac
  if [ -n "$url" ]; then
    insecure=
    if has curl; then
      [ "$validate_certs" != no ] || insecure=-k
      run curl -fsSL $insecure -o "$scratch/key" -- "$url"
    else
      [ "$validate_certs" != no ] || insecure=--no-check-certificate
      run wget -q $insecure -O "$scratch/key" -- "$url"
    fi || fail "error getting key id from url: $url: $err"
  elif [ -n "$data" ]; then
    printf '%s\n' "$data" > "$scratch/key"
  else
    cat -- "$file" > "$scratch/key" || fail "cannot read $file"
  fi
  if [ -z "$id" ]; then
    run gpg --homedir "$scratch" --show-keys --with-colons "$scratch/key" || fail "Unable to extract the key from '$scratch/key': $err"
    id=$(printf '%s\n' "$out" | sed -n 's/^pub:[^:]*:[^:]*:[^:]*:\([^:]*\):.*/\1/p' | head -n 1)
  fi
fi
[ -n "$id" ] || fail "missing required arguments: id"
id=$(printf %s "${id#0x}" | tr -d ' ' | tr a-f A-F)
case $id in *[!0-9A-F]* | ???????) fail "Invalid key_id" ;; esac
say id "$id" && say fp "$id"
short=$(printf %s "$id" | tail -c 16)
is_known() {
  run "$@" adv --list-public-keys --keyid-format=long --with-colons || fail "Unable to list public keys: $err"
  printf '%s\n' "$out" | awk -F: -v id="$short" '($1 == "pub" || $1 == "sub") && substr($5, length($5) - length(id) + 1) == id { found = 1 } END { exit !found }'
}
if is_known "$@"; then known=1; else known=; fi
case ${state:-present}:$known in
  absent:1) change "$@" del "$id" ;;
  present:)
    if [ -n "$keyserver" ]; then
      change "$@" adv --no-tty --keyserver "$keyserver" --recv "$id"
    else
      change "$@" add "$scratch/key"
    fi
    if [ -z "$check" ]; then is_known "$@" || fail "apt-key did not return an error, but failed to add the key (check that the id is correct and *not* a subkey)"; fi ;;
esac
finish
