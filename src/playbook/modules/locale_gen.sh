needs locale-gen
file=/etc/locale.gen
[ -f "$file" ] || fail "/etc/locale.gen is missing. Is the package \"locales\" installed?"
edit() {
  awk -v wanted="$wanted" -v state="$state" '
    { text = $0; off = sub(/^[ \t]*#[ \t]*/, "", text); split(text, words, /[ \t]+/) }
    words[1] != wanted || words[2] == "" { print; next }
    { seen = 1 }
    state == "absent" { print (off ? $0 : "# " $0); next }
    { print text }
    END { exit !seen }' "$file"
}
eval "set -- $name"
for wanted; do
  if ! keep_content edit; then
    [ "$state" = absent ] && continue
    [ -f /usr/share/i18n/SUPPORTED ] && line=$(awk -v wanted="$wanted" '$1 == wanted' /usr/share/i18n/SUPPORTED) && [ -n "$line" ] ||
      fail "The locales you have entered are not available on your system: $wanted"
    keep_content cat -- "$file"
    content=$content$line$newline
  fi
  replace_file "$file"
done
# A line may be there although its locale was never made.
if [ -z "$changed" ] && [ "$state" != absent ] && has locale; then
  made=$(locale -a | tr 'A-Z' 'a-z' | tr -d -)
  for wanted; do
    case $newline$made$newline in *"$newline$(printf %s "$wanted" | tr 'A-Z' 'a-z' | tr -d -)$newline"*) ;; *) changed=1 ;; esac
  done
fi
[ -z "$changed" ] || [ -n "$check" ] || must locale-gen
finish
