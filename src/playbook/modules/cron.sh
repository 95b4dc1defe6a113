if [ -z "$file" ]; then
  needs crontab
  set -- crontab
  # Only root names a user.
  [ -z "$user" ] || [ "$user" = "$(id -un)" ] || set -- crontab -u "$user"
fi
read_table() {
  if [ -n "$file" ]; then
    [ ! -f "$file" ] || cat -- "$file"
  else
    # 1 may mean that there are no jobs.
    "$@" -l 2> /dev/null < /dev/null || [ $? = 1 ]
  fi
}
# Prints the table with the job or variable as the task says.
edit() {
  NAME=$name LINE=$line AFTER=$insertafter BEFORE=$insertbefore awk -v env="$env" -v state="$state" '
    function variable(text) { sub(/^[ \t]+/, "", text); return match(text, /^[A-Za-z_][A-Za-z_0-9]*[ \t]*=/) ? substr(text, 1, match(text, /[ \t]*=/) - 1) : "" }
    BEGIN { line = ENVIRON["LINE"]; mark = "#Ansible: " ENVIRON["NAME"]; after = ENVIRON["AFTER"]; before = ENVIRON["BEFORE"] }
    { text[++n] = $0 }
    END {
      for (i = 1; i <= n; i++) {
        if (env == "yes" && variable(text[i]) == ENVIRON["NAME"]) {
          drop[i] = 1
          if (!at) at = i
        }
        if (env != "yes" && text[i] == mark) {
          drop[i] = drop[i + 1] = 1
          if (!at) at = i
        }
        if (env == "yes" && (after != "" && variable(text[i]) == after)) beside = i + 1
        if (env == "yes" && (before != "" && variable(text[i]) == before)) beside = i
      }
      if (env == "yes" && after before != "" && !at && !beside && state != "absent") exit 3
      if (!at) at = env == "yes" ? (beside ? beside : 1) : n + 1
      for (i = 1; i <= n + 1; i++) {
        if (i == at && state != "absent") {
          if (env != "yes") print mark
          print line
        }
        if (i <= n && !drop[i]) print text[i]
      }
    }'
}
keep_content read_table "$@" || fail "Unable to read crontab"
before=$content
content=$(printf %s "$before" | edit && printf x) || fail "Variable named '$insertafter$insertbefore' not found."
content=${content%x}
save_backup() {
  [ "$backup" = yes ] && [ -z "$check" ] && [ "$content" != "$before" ] || return 0
  kept=$(mktemp "${TMPDIR:-/tmp}/crontabXXXXXX") && printf %s "$before" > "$kept" && say backup_file "$kept"
}
save_backup
say jobs:lines "$(printf %s "$content" | sed -n 's/^#Ansible: //p')"
say envs:lines "$(printf %s "$content" | sed -n 's/^[ \t]*\([A-Za-z_][A-Za-z_0-9]*\)[ \t]*=.*/\1/p')"
if [ "$content" = "$before" ]; then
  finish
elif [ -n "$file" ] && [ -z "$content" ]; then
  changed=1
  [ -n "$check" ] || rm -f -- "$file" || exit 1
  say state absent
elif [ -n "$file" ]; then
  replace_file "$file" 0644
else
  changed=1
  [ -n "$check" ] || e=$(printf %s "$content" | "$@" - 2>&1) || fail "Failed to install new cronfile: $e"
fi
finish
