file=${configfile:-/etc/selinux/config}
[ -f "$file" ] || fail "Unable to find file $file: SELinux is not installed"
held=$(sed -n 's/^SELINUX=//p' "$file" | tail -n 1)
held_policy=$(sed -n 's/^SELINUXTYPE=//p' "$file" | tail -n 1)
if [ -z "$policy" ]; then
  [ "$state" = disabled ] || [ -n "$held_policy" ] || fail "Policy is required if state is not 'disabled'"
  policy=$held_policy
fi
[ "$policy" = "$held_policy" ] || [ -d "/etc/selinux/$policy" ] || fail "Policy $policy does not exist in /etc/selinux/"
say configfile "$file" && say policy "$policy" && say state "$state"
edit() {
  STATE=$state POLICY=$policy awk '
    /^SELINUX=/ { print "SELINUX=" ENVIRON["STATE"]; mode = 1; next }
    /^SELINUXTYPE=/ && ENVIRON["POLICY"] != "" { print "SELINUXTYPE=" ENVIRON["POLICY"]; type = 1; next }
    { print }
    END {
      if (!mode) print "SELINUX=" ENVIRON["STATE"]
      if (!type && ENVIRON["POLICY"] != "") print "SELINUXTYPE=" ENVIRON["POLICY"]
    }' "$file"
}
keep_content edit
replace_file "$file"
now=$(getenforce 2> /dev/null | tr 'A-Z' 'a-z')
reboot=
case $state:$now in
  enforcing:permissive) change setenforce 1 ;;
  permissive:enforcing) change setenforce 0 ;;
  disabled:enforcing) change setenforce 0 && reboot=1 ;;
  disabled:disabled | disabled: | enforcing:enforcing | permissive:permissive) ;;
  *) reboot=1 ;;
esac
say reboot_required:flag "$reboot"
say msg ''
finish
