file=$path
export user
if [ -f "$file" ]; then
  keep_content cat -- "$file"
  message="Add/update $user"
elif [ "$state" = absent ]; then
  say msg "$user not present"
  finish
else
  [ "$create" != no ] || fail "Destination $file does not exist"
  content='' message="Created $file and added $user"
  [ -z "$check" ] || message="Create $file"
fi
# The hash of the user, if there is one.
hash=$(printf %s "$content" | awk 'index($0, ENVIRON["user"] ":") == 1 { print substr($0, length(ENVIRON["user"]) + 2); exit }')

# Prints the hash of the password with the salt of the hash $1.
hash_as() {
  salt=${1#'$'*'$'} && salt=${salt%'$'*}
  case $1 in
    '$apr1$'*) set -- -apr1 ;;
    '$5$'*) set -- -5 ;;
    '$6$'*) set -- -6 ;;
    '{SHA}'*) printf '{SHA}%s\n' "$(printf %s "$password" | openssl dgst -sha1 -binary | base64)" && return ;;
    *) printf '%s\n' "$password" && return ;;
  esac
  printf '%s\n' "$password" | openssl passwd "$1" -salt "$salt" -stdin
}
# Prints a new hash of the password.
new_hash() {
  case ${hash_scheme:-apr_md5_crypt} in
    apr_md5_crypt) set -- -apr1 ;;
    sha256_crypt) set -- -5 ;;
    sha512_crypt) set -- -6 ;;
    ldap_sha1) hash_as '{SHA}' && return ;;
    plaintext) printf '%s\n' "$password" && return ;;
  esac
  printf '%s\n' "$password" | openssl passwd "$1" -stdin
}

if [ "$state" = absent ]; then
  if [ -z "$hash" ]; then
    message="$user not present"
  else
    message="Remove $user"
    content=$(printf %s "$content" | awk 'NF && index($0, ENVIRON["user"] ":") != 1' && printf x) && content=${content%x}
    replace_file "$file"
  fi
else
  needs openssl
  if [ -n "$hash" ] && [ "$hash" = "$(hash_as "$hash")" ]; then
    message="$user already present"
  else
    fresh=$(new_hash) && [ -n "$fresh" ] || fail "openssl cannot make a hash of the scheme $hash_scheme"
    export fresh
    content=$(printf %s "$content" | awk '
      index($0, ENVIRON["user"] ":") == 1 { if (!done++) print ENVIRON["user"] ":" ENVIRON["fresh"]; next }
      NF
      END { if (!done) print ENVIRON["user"] ":" ENVIRON["fresh"] }' && printf x) && content=${content%x}
    case $file in */*) [ -n "$check" ] || [ -d "${file%/*}" ] || must mkdir -p -- "${file%/*}" ;; esac
    replace_file "$file"
  fi
fi
if [ -e "$file" ]; then
  enter && set_attributes
  if [ -n "$altered" ]; then
    [ -z "$changed" ] || message="$message and "
    message="${message}ownership, perms or SE linux context changed" changed=1
  fi
fi
say msg "$message"
finish
