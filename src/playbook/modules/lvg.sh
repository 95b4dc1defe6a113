needs vgs
new= raw=
run vgs --noheadings -o vg_name,pv_count,lv_count --separator ';' || { say_run && fail "Failed executing vgs command."; }
held=$(printf '%s\n' "$out" | VG=$vg awk -F ';' '{ sub(/^ */, "") } $1 == ENVIRON["VG"] { print $3; exit }')
if [ "$state" = absent ]; then
  if [ -n "$held" ]; then
    [ "$held" = 0 ] || [ "$force" = yes ] || fail "Refuse to remove non-empty volume group $vg without force=true"
    change vgremove --force "$vg"
  fi
  finish
fi
needs pvs
run pvs --noheadings -o pv_name,vg_name --separator ';' || { say_run && fail "Failed executing pvs command."; }
known=$(printf '%s\n' "$out" | sed 's/^ *//')
list=$pvs
eval "set -- $list"
wanted=
for each; do
  [ -e "$each" ] || fail "Device $each not found."
  # LVM may list the target of a link.
  real=$(readlink -f -- "$each")
  line=$(printf '%s\n' "$known" | A=$each B=$real awk -F ';' '$1 == ENVIRON["A"] || $1 == ENVIRON["B"] { print; exit }')
  in=${line#*;}
  [ -z "$line" ] || [ -z "$in" ] || [ "$in" = "$vg" ] || fail "Device $each is already in $in volume group."
  wanted="$wanted$each$newline$real$newline"
  # A device that is in the group already stays as it is, and one that LVM knows needs no pvcreate.
  case $line in
    '') new="$new $(quote "$each")" raw="$raw $(quote "$each")" ;;
    *';') new="$new $(quote "$each")" ;;
  esac
done
eval "set -- $raw"
for each; do
  needs pvcreate
  words=$pv_options
  eval "change pvcreate $words -f \"\$each\""
done
if [ -z "$held" ]; then
  words=$vg_options
  eval "change vgcreate $words -s \"\$pesize\" \"\$vg\" $new"
  finish
fi
[ -z "$new" ] || eval "change vgextend \"\$vg\" $new"
if [ "$remove_extra_pvs" != no ]; then
  extra=$(printf '%s\n' "$known" | VG=$vg WANTED=$newline$wanted awk -F ';' '
    $2 == ENVIRON["VG"] && !index(ENVIRON["WANTED"], "\n" $1 "\n") { print $1 }')
  set --
  while IFS= read -r each; do [ -z "$each" ] || set -- "$@" "$each"; done <<EOF
$extra
EOF
  [ $# = 0 ] || change vgreduce --force "$vg" "$@"
fi
finish
