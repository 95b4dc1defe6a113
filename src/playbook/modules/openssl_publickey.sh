end_if_absent
with_secret() { secret=$privatekey_passphrase openssl "$@" < /dev/null 2> "$scratch/error"; }
if [ -n "$privatekey_content" ]; then
  private=$scratch/private
  (umask 077 && printf '%s\n' "$privatekey_content" > "$private") || exit 1
else
  private=$(absolute "$privatekey_path")
  # As in Ansible, a check may come before the private key.
  if [ ! -e "$private" ]; then
    [ -z "$check" ] || { changed=1 && finish; }
    fail "The private key $privatekey_path does not exist"
  fi
fi
(umask 077 && with_secret pkey -in "$private" -passin env:secret -out "$scratch/open") &&
  with_secret pkey -in "$scratch/open" -pubout -out "$scratch/public" ||
  fail "cannot read the private key: $(tail -n 1 -- "$scratch/error")"
if [ "$format" = OpenSSH ]; then
  case $(openssl pkey -pubin -in "$scratch/public" -noout -text 2> /dev/null) in
    ED25519*)
      # Not each version of ssh-keygen reads such a key. The number of the key is at the end of its DER.
      with_secret pkey -pubin -in "$scratch/public" -outform DER -out "$scratch/der" || exit 1
      content="ssh-ed25519 $({ printf '\000\000\000\013ssh-ed25519\000\000\000\040' && tail -c 32 "$scratch/der"; } | base64 -w 0)" ;;
    *)
      needs ssh-keygen
      # Each version of ssh-keygen reads keys of RSA and ECC in the traditional format.
      (umask 077 && with_secret pkey -in "$scratch/open" -traditional -out "$scratch/old") && run ssh-keygen -y -f "$scratch/old" ||
        fail "cannot write the key for OpenSSH: $err"
      content=$out ;;
  esac
else
  keep_content cat -- "$scratch/public"
fi
if [ "$force" = yes ] || [ ! -f "$key" ] || ! printf %s "$content" | cmp -s -- - "$key"; then
  changed=1
  keep_copy "$key" "$file"
  replace_file "$key" 0644
fi
say_fingerprint
if [ -e "$key" ]; then
  set_attributes
  [ -z "$altered" ] || changed=1
fi
[ "$return_content" != yes ] || say publickey "$content"
finish
