# Runs openssl with the passphrase, which only the environment of openssl has.
with_secret() { secret=$passphrase openssl "$@" < /dev/null 2> "$scratch/error"; }
failed_with() { fail "$1: $(tail -n 1 -- "$scratch/error")"; }

# Prints the key $1 without encryption, whatever its format.
open_key() {
  case $(format_of "$1") in
    raw)
      [ "$(wc -c < "$1")" = "$raw_size" ] || return 1
      { printf "$raw_head" && cat -- "$1"; } > "$scratch/raw"
      openssl pkey -inform DER -in "$scratch/raw" 2> "$scratch/error" ;;
    *) with_secret pkey -in "$1" -passin env:secret ;;
  esac
}

# The first bytes of an unencrypted key in DER, which a raw key lacks, and the size of the raw key.
raw_head= raw_size=0
case $type in
  X25519) raw_head='\060\056\002\001\000\060\005\006\003\053\145\156\004\042\004\040' raw_size=32 ;;
  Ed25519) raw_head='\060\056\002\001\000\060\005\006\003\053\145\160\004\042\004\040' raw_size=32 ;;
  X448) raw_head='\060\106\002\001\000\060\005\006\003\053\145\157\004\072\004\070' raw_size=56 ;;
  Ed448) raw_head='\060\107\002\001\000\060\005\006\003\053\145\161\004\073\004\071' raw_size=57 ;;
esac
[ "$format" != raw ] || [ "$raw_size" != 0 ] || fail "the format raw is for keys of the types X25519, X448, Ed25519 and Ed448"
wanted_format=$format
case $format in auto | auto_ignore) if [ "$raw_size" = 0 ]; then wanted_format=pkcs1; else wanted_format=pkcs8; fi ;; esac

format_of() {
  case $(head -n 1 -- "$1" | tr -d '\0') in
    '-----BEGIN PRIVATE KEY-----' | '-----BEGIN ENCRYPTED PRIVATE KEY-----') echo pkcs8 ;;
    '-----BEGIN '*) echo pkcs1 ;;
    *) echo raw ;;
  esac
}

# Sets `public` to the public key of $1. Reports whether the key can be read with the passphrase of the task.
read_key() {
  if grep -q ENCRYPTED -- "$1"; then has_secret=yes; else has_secret=; fi
  if [ -n "$passphrase" ]; then [ -n "$has_secret" ]; else [ -z "$has_secret" ]; fi || return 1
  open_key "$1" > "$scratch/open" && openssl pkey -in "$scratch/open" -pubout -out "$scratch/public" 2> "$scratch/error"
}

# Reports whether the key that was read has the type, the size and the curve of the task.
is_right() {
  about=$(openssl pkey -pubin -in "$scratch/public" -noout -text 2> /dev/null) || return 1
  bits=${about#*Public-Key: (} bits=${bits%%[!0-9]*}
  case $type:$about in
    RSA:*[Mm]odulus*) [ "$bits" = "$size" ] ;;
    DSA:*P:*) [ "$bits" = "$size" ] ;;
    ECC:*"ASN1 OID: $oid"*) true ;;
    Ed25519:ED25519* | Ed448:ED448* | X25519:X25519* | X448:X448*) true ;;
    *) false ;;
  esac
}
case $curve in secp256r1) oid=prime256v1 ;; secp192r1) oid=prime192v1 ;; *) oid=$curve ;; esac

make_key() {
  case $type in
    RSA) with_secret genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$size" -out "$scratch/new" ;;
    DSA)
      with_secret genpkey -genparam -algorithm DSA -pkeyopt "dsa_paramgen_bits:$size" -out "$scratch/parameters" &&
        with_secret genpkey -paramfile "$scratch/parameters" -out "$scratch/new" ;;
    ECC) with_secret genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$oid" -pkeyopt ec_param_enc:named_curve -out "$scratch/new" ;;
    *) with_secret genpkey -algorithm "$type" -out "$scratch/new" ;;
  esac || failed_with "cannot make the key"
}

# Writes the key without encryption in $1 into `$scratch/key`, in the format of the task and with its passphrase.
write_key() {
  if [ "$wanted_format" = raw ]; then
    [ -z "$passphrase" ] || fail "a raw key cannot have a passphrase"
    with_secret pkey -in "$1" -outform DER -out "$scratch/der" && tail -c "$raw_size" -- "$scratch/der" > "$scratch/key"
    return
  fi
  set -- pkey -in "$1" -out "$scratch/key"
  [ "$wanted_format" != pkcs1 ] || set -- "$@" -traditional
  [ -z "$passphrase" ] || set -- "$@" -aes256 -passout env:secret
  with_secret "$@"
}

end_if_absent
hint='To force regeneration, call the module with `regenerate` set to `full_idempotence` or `always`, or with `force=true`.'
[ "$force" != yes ] || regenerate=always
need=
if [ "$regenerate" = always ] || [ ! -e "$key" ]; then
  need=new
elif ! read_key "$key"; then
  [ "$regenerate" = full_idempotence ] ||
    fail "Unable to read the key. The key is protected with a another passphrase / no passphrase or broken. Will not proceed. $hint"
  need=new
elif [ "$regenerate" != never ] && ! is_right; then
  case $regenerate in *_idempotence) need=new ;; *) fail "Key has wrong type and/or size. Will not proceed. $hint" ;; esac
elif [ "$format" != auto_ignore ] && [ "$(format_of "$key")" != "$wanted_format" ]; then
  case $format_mismatch:$regenerate in
    convert:*) need=converted ;;
    *:never) ;;
    *_idempotence) need=new ;;
    *) fail "Key has wrong format. Will not proceed. $hint" ;;
  esac
fi
if [ -n "$need" ]; then
  changed=1
  if [ -z "$check" ]; then
    if [ "$need" = new ]; then make_key; else cat -- "$scratch/open" > "$scratch/new"; fi
    write_key "$scratch/new" || failed_with "cannot write the key"
    keep_copy "$key" "$file"
    draft=./.muster.$unique.tmp
    (umask 077 && set -C && cat -- "$scratch/key" > "$draft") || fail "cannot write $draft"
    [ ! -e "$key" ] || chown --reference="$key" -- "$draft"
    mv -fT -- "$draft" "$key" || { rm -f -- "$draft" && fail "cannot replace $file"; }
    openssl pkey -in "$scratch/new" -pubout -out "$scratch/public" 2> "$scratch/error" || failed_with "cannot read the key"
  fi
fi
if [ -z "$check" ] || [ -z "$need" ]; then say_fingerprint; fi
if [ -e "$key" ]; then
  set_attributes
  [ -z "$altered" ] || changed=1
  if [ "$return_content" = yes ] && { [ -z "$check" ] || [ -z "$need" ]; }; then
    if [ "$(format_of "$key")" = raw ]; then say privatekey "$(base64 -w 0 < "$key")"; else keep_content cat -- "$key" && say privatekey "$content"; fi
  fi
fi
finish
