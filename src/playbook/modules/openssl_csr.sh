end_if_absent
find_key "$privatekey_content" "$privatekey_path"
set --
printf '[req]\ndistinguished_name=dn\nstring_mask=utf8only\nutf8=yes\n[dn]\n[ext]\n%s' "$extensions" > "$scratch/config"
[ -z "$extensions" ] || set -- -reqexts ext
sign_with "$privatekey_passphrase" req -new -batch -utf8 "-$digest" -key "$private" -passin env:secret -config "$scratch/config" "$@" \
  -subj "$subject" -out "$scratch/new" || fail "cannot make the request: $(why)"
! grep -qi 'skipping unknown' -- "$scratch/error" || fail "the subject has an unknown field: $(why)"

describe_request() { openssl req -in "$1" -noout -text -reqopt no_sigdump -nameopt multiline,utf8,-esc_msb > "$2" 2> /dev/null; }
subject_of() { openssl req -in "$1" -noout -subject -nameopt RFC2253 2> /dev/null; }
need=
if [ "$force" = yes ] || [ ! -f "$key" ] || ! describe_request "$key" "$scratch/old.txt" ||
  ! openssl req -in "$key" -noout -verify > /dev/null 2> "$scratch/error" || grep -q failure -- "$scratch/error"; then
  need=1
else
  describe_request "$scratch/new" "$scratch/new.txt"
  is_same_text "$scratch/old.txt" "$scratch/new.txt" || need=1
  if [ -n "$is_ordered" ] && [ "$(subject_of "$key")" != "$(subject_of "$scratch/new")" ]; then need=1; fi
fi
keep_content cat -- "$scratch/new"
settle csr
finish
