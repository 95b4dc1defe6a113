needs rpm
gpg=
for each in gpg gpg2; do if [ -z "$gpg" ] && has "$each"; then gpg=$each; fi; done
[ -n "$gpg" ] || needs gpg2
make_scratch
file=
case $key in
  *://*)
    needs curl
    set -- -sSfL
    [ "$validate_certs" != no ] || set -- "$@" -k
    run curl "$@" -o "$scratch/key" -- "$key" || fail "failed to fetch key at $key , error was: $err"
    grep -q -e '-----BEGIN PGP PUBLIC KEY BLOCK-----' "$scratch/key" || fail "Not a public key: $key"
    file=$scratch/key id= ;;
  *)
    if [ -z "$id" ]; then
      [ -f "$key" ] || fail "Not a valid key $key"
      file=$key
    fi ;;
esac
look_at() { run "$gpg" --no-tty --batch --with-colons --fixed-list-mode "$@" || fail "$err"; }
if [ -n "$file" ]; then
  look_at "$file"
  id=$(printf '%s\n' "$out" | awk -F: '$1 == "pub" { print $5; exit }')
  [ -n "$id" ] || fail "Unexpected gpg output"
fi
is_imported() {
  run rpm -q gpg-pubkey || return 1
  rpm -q gpg-pubkey --qf '%{description}\n' 2> /dev/null | "$gpg" --no-tty --batch --with-colons --fixed-list-mode - 2> /dev/null |
    awk -F: -v id="$id" 'index($5, id) { found = 1 } END { exit !found }'
}
if [ "$state" = present ]; then
  if is_imported; then finish; fi
  [ -n "$file" ] || fail "When importing a key, a valid file must be given"
  if [ -n "$fingerprint" ]; then
    look_at --import --import-options show-only --dry-run "$file"
    there=$(printf '%s\n' "$out" | awk -F: '$1 == "fpr" { print $10 }')
    eval "set -- $fingerprint"
    for each; do
      printf '%s\n' "$there" | grep -qxF -e "$each" || fail "The specified fingerprint, '$each', does not match any key fingerprints in '$there'"
    done
  fi
  change rpm --import "$file"
elif is_imported; then
  short=$(printf %s "$id" | tail -c 8 | tr 'A-Z' 'a-z')
  change rpm --erase --allmatches "gpg-pubkey-$short"
fi
finish
