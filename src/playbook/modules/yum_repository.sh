[ -d "$reposdir" ] || fail "Repo directory '$reposdir' does not exist."
target=$reposdir/$file.repo
old=
if [ -f "$target" ]; then keep_content cat -- "$target" && old=$content; fi

# Prints the section of a text as the module writes it: the options in the order of their names.
own_section() {
  printf %s "$1" | SECTION="[$repo]" awk '
    /^\[/ { inside = $0 == ENVIRON["SECTION"]; found = found || inside; next }
    !inside || /^[#;]/ || /^[ \t]*$/ { next }
    /^[ \t]/ { sub(/^[ \t]+/, ""); values[count] = values[count] "\n\t" $0; next }
    {
      at = match($0, /[=:]/)
      key = substr($0, 1, at - 1)
      value = substr($0, at + 1)
      gsub(/^[ \t]+|[ \t]+$/, "", key)
      gsub(/^[ \t]+|[ \t]+$/, "", value)
      count++
      keys[count] = tolower(key)
      values[count] = value
    }
    END {
      if (!found) exit
      for (i = 1; i <= count; i++)
        for (j = i; j > 1 && keys[j - 1] > keys[j]; j--) {
          key = keys[j]; keys[j] = keys[j - 1]; keys[j - 1] = key
          value = values[j]; values[j] = values[j - 1]; values[j - 1] = value
        }
      print ENVIRON["SECTION"]
      for (i = 1; i <= count; i++) print keys[i] " = " values[i]
      print ""
    }'
}

# Removes the section, and adds the new one at the end. Other sections and their comments stay as they are.
edit() {
  printf %s "$old" | SECTION="[$repo]" TEXT=$text awk '
    /^\[/ { inside = $0 == ENVIRON["SECTION"] }
    !inside { print; last = $0; any = 1 }
    END {
      if (any && last != "" && ENVIRON["TEXT"] != "") print ""
      printf "%s", ENVIRON["TEXT"]
    }'
}
keep_content own_section "$old"
if [ "$content" != "$text" ]; then
  changed=1
  keep_content edit
  show "$target" "$old" "$target" "$content"
  case $newline$content in
    *"$newline["*) replace_file "$target" 0644 ;;
    *) [ -n "$check" ] || rm -f -- "$target" || exit 1 ;;
  esac
fi
if [ -n "$text" ] && [ -f "$target" ]; then
  path=$target
  enter || exit 1
  set_attributes
  [ -z "$altered" ] || changed=1
fi
finish
