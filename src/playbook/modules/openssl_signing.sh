# Functions for what a private key signs. A passphrase is only in the environment of openssl.
# Runs openssl with the passphrase $1.
sign_with() {
  secret=$1
  shift
  secret=$secret openssl "$@" < /dev/null 2> "$scratch/error"
}
# Sets `private` to the file of a private key: the content $1, or the path $2.
find_key() {
  if [ -n "$1" ]; then
    private=$scratch/private$3
    (umask 077 && printf '%s\n' "$1" > "$private") || exit 1
  else
    private=$(absolute "$2")
    [ -e "$private" ] || fail "The private key file $2 does not exist"
  fi
}
why() { tail -n 1 -- "$scratch/error"; }

# Reports whether two texts of openssl have the same lines and lists. The order of lists means nothing.
is_same_text() { [ "$(tokens "$1")" = "$(tokens "$2")" ]; }
tokens() { tr ',' '\n' < "$1" | sed 's/^[[:space:]]*//; s/[[:space:]]*$//' | sort; }

# Puts the text in `content` into the file, and gives the file what the task says. The result gets the text under the name $1.
settle() {
  if [ -n "$need" ]; then
    changed=1
    keep_copy "$key" "$file"
    replace_file "$key" "$(printf %o $((0666 & ~0$(umask))))"
  fi
  if [ "$return_content" = yes ]; then
    [ -n "$need" ] || keep_content cat -- "$key"
    say "$1" "$content"
  fi
  if [ -e "$key" ]; then
    set_attributes
    [ -z "$altered" ] || changed=1
  fi
}
