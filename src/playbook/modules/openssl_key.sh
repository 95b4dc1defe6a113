needs openssl
file=$path
enter || fail "The directory ${file%/*} does not exist or the file is not a directory"
say filename "$file"
key=$name
make_scratch
# Prints a path of the task, which is relative to where the script began.
absolute() { case $1 in '' | /*) printf %s "$1" ;; *) printf %s "$OLDPWD/$1" ;; esac; }

# Removes the key and ends, if it is to be absent.
end_if_absent() {
  [ "$state" = absent ] || return 0
  [ -e "$key" ] || [ -L "$key" ] || finish
  changed=1
  keep_copy "$key" "$file"
  [ -n "$check" ] || rm -f -- "$key" || fail "cannot remove $file"
  finish
}

# Says the hashes of the public key.
say_fingerprint() {
  openssl pkey -pubin -in "$scratch/public" -outform DER -out "$scratch/der" 2> "$scratch/error" || return 0
  for algorithm in md5 sha1 sha224 sha256 sha384 sha512; do
    digits=$(openssl dgst "-$algorithm" -c "$scratch/der" 2> /dev/null) && say "fingerprint_$algorithm" "${digits##*= }"
  done
}

