file=/etc/apt/sources.list.d/$slug.sources
say dest "$file"
if [ "$state" = absent ]; then
  for each in "$file" "/etc/apt/keyrings/$slug.asc" "/etc/apt/keyrings/$slug.gpg"; do
    [ -e "$each" ] || continue
    changed=1
    [ -n "$check" ] || rm -f -- "$each" || exit 1
  done
  say key_filename "/etc/apt/keyrings/$slug.gpg"
  finish
fi

# Moves a key into its place. $1 is a file with it.
put_key() {
  extension=gpg
  if grep -q -e '-----BEGIN PGP PUBLIC KEY BLOCK-----' "$1"; then extension=asc; fi
  key=/etc/apt/keyrings/$slug.$extension
  if ! cmp -s -- "$1" "$key"; then
    changed=1
    if [ -z "$check" ]; then
      mkdir -p /etc/apt/keyrings || exit 1
      draft=/etc/apt/keyrings/.muster.$unique.tmp
      cp -- "$1" "$draft" && chmod 0644 "$draft" && mv -fT -- "$draft" "$key" || fail "cannot write $key"
    fi
  fi
  signed="Signed-By: $key$newline"
}

signed= key=
case $signed_by in
  '') ;;
  *://*)
    make_scratch
    if has curl; then run curl -fsSL -o "$scratch/key" -- "$signed_by"; else run wget -q -O "$scratch/key" -- "$signed_by"; fi ||
      fail "Could not fetch signed_by key: $err"
    put_key "$scratch/key" ;;
  *'-----BEGIN PGP PUBLIC KEY BLOCK-----'*)
    signed=$(printf '%s\n' "$signed_by" | sed 's/^[ \t]*$/./; s/^/ /')
    signed="Signed-By:$newline$signed$newline" ;;
  *"$newline"*) fail "signed_by must be a key, a path, a fingerprint or a URL" ;;
  *) signed="Signed-By: $signed_by$newline" ;;
esac
content=$before$signed$after
say repo "$content" && say key_filename "$key"
replace_file "$file" 0644
if [ -n "$mode" ] && [ -f "$file" ]; then
  path=$file
  enter && set_attributes
  [ -z "$altered" ] || changed=1
fi
finish
