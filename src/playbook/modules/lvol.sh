needs lvs
units=$unit
case $unit in '' | %*) units=m ;; esac
run vgs --noheadings --nosuffix -o vg_name,size,free,vg_extent_size --units "$units" --separator ';' "$vg" || {
  [ "$state" != absent ] || finish
  say_run && fail "Volume group $vg does not exist."
}
IFS=';' read -r _ vg_size vg_free extent <<EOF
$out
EOF
run lvs -a --noheadings --nosuffix -o lv_name,size,lv_attr --units "$units" --separator ';' "$vg" || { say_run && fail "Failed to list the volumes of $vg"; }
line=$(printf '%s\n' "$out" | LV=$lv awk -F ';' '{ gsub(/^[ \[]*|\]/, "", $1) } $1 == ENVIRON["LV"] { print $2 ";" $3; exit }')
if [ "$state" = absent ]; then
  if [ -n "$line" ]; then
    [ "$force" = yes ] || fail "Sorry, no removal of logical volume $lv without force=true."
    change lvremove --force "$vg/$lv"
  fi
  finish
fi
case $unit in
  %*) option=-l size=$sign$number$unit ;;
  *) option=-L size=$sign$number$unit ;;
esac
if [ -z "$line" ]; then
  [ -n "$number" ] || fail "No size given."
  [ -z "$sign" ] || fail "Bad size specification of '$size' for creating LV"
  words=$opts list=$pvs
  eval "change lvcreate --yes -n \"\$lv\" \"\$option\" \"\$size\" $words \"\$vg\" $list"
  say msg ""
  finish
fi
now=${line%;*} attributes_now=${line#*;}

# Calculates with numbers that may have a fraction.
calculate() { awk "BEGIN { printf \"%.6f\", $1 }"; }
holds() { awk "BEGIN { exit !($1) }"; }
# LVM fails if a volume has the size already.
resize() {
  tool=$1
  shift
  [ "$resizefs" != yes ] || set -- --resizefs "$@"
  [ "$tool" != lvreduce ] || set -- --force "$@"
  if [ -n "$check" ]; then changed=1 && return; fi
  if run "$tool" "$@" "$option" "$size" "$vg/$lv"; then
    changed=1
  else
    case $err in *'matches existing size'*) ;; *) say_run && fail "Unable to resize $lv to $size: $err" ;; esac
  fi
}
if [ -n "$number" ]; then
  slack=0
  case $unit in
    %VG | %PVS) wanted=$(calculate "$vg_size * $number / 100") slack=$extent ;;
    %FREE) wanted=$(calculate "$vg_free * $number / 100") slack=$extent ;;
    *) wanted=$number ;;
  esac
  [ -z "$sign" ] || wanted=$(calculate "$now + $wanted")
  # A share is rounded down to whole extents.
  case $unit in %*) wanted=$(calculate "int($wanted / $extent) * $extent") ;; esac
  if holds "$wanted > $now"; then
    case $unit in
      %*)
        holds "$vg_free > 0" && { [ -n "$sign" ] || holds "$vg_free >= $wanted - $now"; } ||
          fail "Logical Volume $lv could not be extended. Not enough free space left ($(calculate "$wanted - $now")$units required / $vg_free$units available)" ;;
    esac
    resize lvextend
  elif [ "$shrink" != no ] && holds "$now > $wanted + $slack"; then
    holds "$wanted >= 1" || fail "Sorry, no shrinking of $lv to 0 permitted."
    [ "$force" = yes ] || fail "Sorry, no shrinking of $lv without force=true."
    resize lvreduce
  fi
fi
case $active:$attributes_now in
  no:????a*) change lvchange -an "$vg/$lv" ;;
  no:*) ;;
  *:????a*) ;;
  *) change lvchange -ay "$vg/$lv" ;;
esac
say vg "$vg" && say lv "$lv" && say size "$now"
finish
