end_if_absent
moment() { case $1 in *Z) echo "$1" ;; *) date -u -d "@$((now + $1))" +%Y%m%d%H%M%SZ ;; esac; }
now=$(date +%s)
begin=$(moment "$not_before") && end=$(moment "$not_after") || fail "cannot compute the times $not_before and $not_after"

if [ "$provider" = selfsigned ]; then
  find_key "$privatekey_content" "$privatekey_path"
  passphrase=$privatekey_passphrase
else
  find_key "$ownca_privatekey_content" "$ownca_privatekey_path" .ca
  passphrase=$ownca_privatekey_passphrase
  if [ -n "$ownca_content" ]; then
    printf '%s\n' "$ownca_content" > "$scratch/ca"
  else
    cat -- "$(absolute "$ownca_path")" > "$scratch/ca" 2> /dev/null || fail "The CA certificate file $ownca_path does not exist"
  fi
fi
request=$scratch/request
if [ -n "$csr_content" ]; then
  printf '%s\n' "$csr_content" > "$request"
elif [ -n "$csr_path" ]; then
  cat -- "$(absolute "$csr_path")" > "$request" 2> /dev/null ||
    fail "The certificate signing request file $csr_path does not exist"
else
  printf '[req]\ndistinguished_name=dn\n[dn]\n' > "$scratch/empty"
  sign_with "$passphrase" req -new -batch -key "$private" -passin env:secret -config "$scratch/empty" -subj / -out "$request" ||
    fail "cannot make the request: $(why)"
fi

# Makes the certificate with the extensions of the request. All that openssl writes besides is in the folder of the script.
cat > "$scratch/config" <<END
[ca]
default_ca=own
[own]
database=$scratch/index
new_certs_dir=$scratch
rand_serial=yes
unique_subject=no
copy_extensions=copyall
email_in_dn=yes
policy=any
x509_extensions=extensions
[any]
commonName=optional
[extensions]
END
[ -z "$has_identifier" ] || echo 'subjectKeyIdentifier=hash' >> "$scratch/config"
[ -z "$names_authority" ] || echo 'authorityKeyIdentifier=keyid' >> "$scratch/config"
true > "$scratch/index"
if [ "$provider" = selfsigned ]; then set -- -selfsign; else set -- -cert "$scratch/ca"; fi
sign_with "$passphrase" ca -batch -notext -utf8 -preserveDN -config "$scratch/config" -md "$digest" -startdate "$begin" -enddate "$end" \
  -keyfile "$private" -passin env:secret -in "$request" -out "$scratch/new" "$@" > "$scratch/said" ||
  fail "cannot make the certificate: $(grep -v '^Using configuration\|^$' "$scratch/error" "$scratch/said" -h | tail -n 1)"

hidden=no_serial,no_sigdump,no_validity
[ "$ignore_timestamps" != no ] || hidden=no_serial,no_sigdump
describe_certificate() { openssl x509 -in "$1" -noout -text -certopt "$hidden" -nameopt multiline,utf8,-esc_msb > "$2" 2> /dev/null; }
# Reports whether the key of the task signed the certificate that is there.
is_signed() {
  if [ "$provider" = selfsigned ]; then set -- "$key"; else set -- "$scratch/ca"; fi
  case $(openssl verify -no_check_time -partial_chain -CAfile "$1" "$key" 2>&1) in
    *'signature failure'* | *'unable to get'*) return 1 ;;
  esac
}
public_key() { openssl x509 -in "$1" -noout -pubkey 2> /dev/null; }
# Reports whether the certificate belongs to the private key, which an authority does not need.
fits_key() {
  [ "$provider" = ownca ] && [ -n "$privatekey_content$privatekey_path" ] || return 0
  find_key "$privatekey_content" "$privatekey_path"
  [ "$(public_key "$1")" = "$(sign_with "$privatekey_passphrase" pkey -in "$private" -passin env:secret -pubout)" ]
}
fits_key "$scratch/new" || fail 'the private key does not belong to the request'
need=
if [ "$force" = yes ] || [ ! -f "$key" ] || ! describe_certificate "$key" "$scratch/old.txt" || ! is_signed; then
  need=1
else
  describe_certificate "$scratch/new" "$scratch/new.txt"
  is_same_text "$scratch/old.txt" "$scratch/new.txt" || need=1
fi
keep_content cat -- "$scratch/new"
shown=$scratch/new
[ -n "$need" ] || shown=$key
for field in startdate:notBefore enddate:notAfter; do
  date=$(openssl x509 -in "$shown" -noout "-${field%:*}") && date=$(date -u -d "${date#*=}" +%Y%m%d%H%M%SZ) && say "${field#*:}" "$date"
done
serial=$(openssl x509 -in "$shown" -noout -serial) && say serial "${serial#*=}"
settle certificate
finish
