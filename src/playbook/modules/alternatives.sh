tool=
for each in update-alternatives alternatives; do if [ -z "$tool" ] && has "$each"; then tool=$each; fi; done
[ -n "$tool" ] || needs update-alternatives
if run "$tool" --query "$name"; then
  chosen=$(printf '%s\n' "$out" | sed -n 's/^Value: //p')
  mode_now=$(printf '%s\n' "$out" | sed -n 's/^Status: //p')
  held_link=$(printf '%s\n' "$out" | sed -n 's/^Link: //p' | head -n 1)
  known=$(printf '%s\n' "$out" | sed -n 's/^Alternative: //p')
  held_priority=$(printf '%s\n' "$out" | awk -v path="$path" '/^Alternative: / { own = substr($0, 14) == path } own && /^Priority: / { print $2; exit }')
else
  # The program of Red Hat has no --query.
  run "$tool" --display "$name"
  chosen=$(printf '%s\n' "$out" | sed -n 's/^ link currently points to //p')
  mode_now=$(printf '%s\n' "$out" | sed -n 's/^.* - status is \(auto\|manual\).*/\1/p')
  known=$(printf '%s\n' "$out" | sed -n 's/^\(.*\) - .*priority [0-9].*/\1/p')
  held_priority=$(printf '%s\n' "$out" | sed -n "s|^$path - .*priority \([0-9]*\).*|\1|p" | head -n 1)
  held_link=
fi
case $newline$known$newline in *"$newline$path$newline"*) is_known=1 ;; *) is_known= ;; esac
state=${state:-selected}
if [ "$state" = absent ]; then
  [ -z "$is_known" ] || change "$tool" --remove "$name" "$path"
  finish
fi
if [ -z "$is_known" ] || { [ -n "$priority" ] && [ -n "$held_priority" ] && [ "$priority" != "$held_priority" ]; }; then
  [ -e "$path" ] || fail "Specified path $path does not exist"
  link=${link:-$held_link}
  [ -n "$link" ] || fail "Needed to install the alternative, but unable to do so as we are missing the link"
  change "$tool" --install "$link" "$name" "$path" "${priority:-50}"
fi
case $state in
  selected) if [ "$chosen" != "$path" ]; then change "$tool" --set "$name" "$path"; fi ;;
  auto) if [ "$mode_now" != auto ]; then change "$tool" --auto "$name"; fi ;;
  present) ;;
esac
finish
