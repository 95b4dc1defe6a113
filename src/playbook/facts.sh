# Prints what facts.rs reads: sections of lines. The variables mark, fact_path and limit (in seconds) precede this script.
# A section is the mark with its name, then its lines. A process costs more than what most commands do, so nothing starts
# one that the shell can do without.
section() { printf '\n%s%s\n' "$mark" "$1"; }
# The environment is read before this script changes it. Newlines in a value become \001.
section env
env -0 2> /dev/null | tr '\n\000' '\001\n'
PATH=${PATH:-/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
exec 2> /dev/null

has() { command -v "$1" > /dev/null; }
# Runs a command for at most so many seconds. A process that waits for a file server ends only by KILL.
if has timeout; then
  within() { timeout -s KILL "$@" < /dev/null; }
else
  within() { shift; "$@" < /dev/null; }
fi
# Runs a command that asks the kernel or files of the host only.
run() { section "$1"; shift; "$@" < /dev/null; }
# Runs a command that may wait for others.
ask() { section "$1"; shift; within "$limit" "$@"; }
file() { for f; do if [ -f "$f" ] && [ -r "$f" ]; then section "$f"; head -c 65536 "$f"; fi; done; }
# Prints the first line of each file.
line() {
  for f; do
    if { read -r v || [ -n "$v" ]; } < "$f"; then section "$f"; printf '%s\n' "$v"; fi
  done
}

line /proc/sys/kernel/ostype /proc/sys/kernel/hostname /proc/sys/kernel/osrelease /proc/sys/kernel/version \
  /proc/sys/crypto/fips_enabled /proc/loadavg /proc/uptime /proc/cmdline /proc/1/comm /var/lib/dbus/machine-id \
  /etc/machine-id /run/systemd/container /proc/xen/capabilities /sys/fs/selinux/enforce /sys/fs/selinux/policyvers
for k in bios_date bios_vendor bios_version board_asset_tag board_name board_serial board_vendor board_version \
  chassis_asset_tag chassis_serial chassis_type chassis_vendor chassis_version product_family product_name \
  product_serial product_uuid product_version sys_vendor; do
  line "/sys/devices/virtual/dmi/id/$k"
done
file /etc/*[-_]release /etc/*[-_]version /etc/coreos/update.conf /etc/resolv.conf /proc/meminfo \
  /proc/1/cgroup /etc/selinux/config
[ -e /etc/os-release ] || file /usr/lib/os-release
section exists
for p in /bin/opkg /dev/.run/systemd /dev/.systemd /dev/kvm /.dockerenv /.dockerinit /etc/arch-release /etc/dinit.d \
  /etc/init /etc/init.d /etc/vmware-release /proc/bc /proc/lve /proc/vz /proc/xen /run/ostree-booted \
  /run/systemd/system /sbin/apk /sbin/openrc /sys/devices/virtual/dmi/id/product_name /sys/fs/selinux/enforce \
  /sys/kernel/security/apparmor /usr/bin/apt-get /usr/bin/dnf-3 /usr/bin/dnf5 /usr/bin/emerge /usr/bin/pacman \
  /usr/bin/rpm-ostree /usr/bin/swupd /usr/bin/xbps-install /usr/bin/yum /usr/bin/zypper /usr/sbin/urpmi; do
  if [ -e "$p" ]; then echo "$p"; fi
done
section commands
for c in systemctl initctl; do if has "$c"; then echo "$c"; fi; done

run machine uname -m
run bits getconf LONG_BIT
run processors nproc
run init readlink /sbin/init
run product readlink -f /etc/products.d/baseproduct
for p in /usr/bin/dnf /usr/bin/microdnf; do
  if [ -e "$p" ]; then run dnf readlink -f "$p"; break; fi
done
if [ -e /usr/bin/rpm ] && [ -e /usr/bin/apt-get ]; then ask apt_rpm rpm -q --whatprovides /usr/bin/apt-get; fi
run root stat -c %d:%i / /proc/1/root/.
stat -f -c %T /
# The name of the host's first address, as gethostbyaddr(3) gives it. A name server may be slow.
read -r host < /proc/sys/kernel/hostname
addresses=$(within "$limit" getent ahosts "$host")
if [ -n "$addresses" ]; then ask names getent hosts "${addresses%% *}"; else ask names hostname -f; fi
run status grep -E '^(Uid|Gid|VxID):' /proc/self/status
ask user id -un
user=$(id -u)
ask passwd getent passwd "$user" || grep "^[^:]*:[^:]*:$user:" /etc/passwd
now=$(date '+%Y %m %d %H %M %S %A %w %W %s %N %Z %z')
run date echo "$now"
section zones
for d in 01-01 07-01; do date -d "${now%% *}-$d 00:00" '+%Z %z'; done
section cpu
grep -E '^(processor|Processor|vendor_id|Vendor|model name|cpu|physical id|core id|cpu cores|siblings|machine)[[:space:]]*:' \
  /proc/cpuinfo | head -c 1048576
run flags grep -m 1 '^flags' /proc/cpuinfo
run modules grep -E '^(kvm|vboxdrv|virtio) ' /proc/modules
section container
if [ -r /proc/1/environ ]; then tr '\000' '\n' < /proc/1/environ | grep '^container='; fi
for p in /usr/bin/python3 "$(command -v python3)" /usr/libexec/platform-python; do
  if [ -x "$p" ]; then run python echo "$p"; within "$limit" "$p" -V 2>&1; break; fi
done
if has lsb_release; then ask lsb lsb_release -a; fi
if has capsh; then run capsh capsh --print; fi
if has systemctl; then run systemd systemctl --version; fi
if has vgs && [ "$user" = 0 ]; then
  for c in vgs lvs pvs; do ask "$c" "$c" --noheadings --nosuffix --units g --separator ,; done
fi

section net
for d in /sys/class/net/*; do
  [ -d "$d" ] || continue
  n=${d##*/}
  for k in address mtu operstate type flags speed bridge/bridge_id bridge/stp_state bonding/slaves bonding/mode \
    bonding/miimon bonding/lacp_rate bonding/primary bonding/all_slaves_active bonding_slave/perm_hwaddr; do
    if { read -r v || [ -n "$v" ]; } < "$d/$k"; then echo "$n $k $v"; fi
  done
  for b in "$d"/brif/*; do if [ -e "$b" ]; then echo "$n brif ${b##*/}"; fi; done
  if [ -d "$d/bridge" ]; then echo "$n bridge"; fi
  if [ -e "$d/device" ]; then echo "$n device $(readlink "$d/device")"; fi
  if [ -e "$d/device/driver/module" ]; then echo "$n module $(readlink "$d/device/driver/module")"; fi
done | head -c 1048576
if has ip; then
  run address ip -o address show | head -c 1048576
  run route4 ip -4 route get 8.8.8.8
  run route6 ip -6 route get 2404:6800:400a:800::1012
  section local_routes
  { ip -4 route show table local; ip -6 route show table local; } | head -c 65536
fi

# Prints the sizes of a file system. One whose server does not answer must not hold up the rest: a process in a FUSE
# file system may not even end by KILL, and after one server that did not answer no other one is asked.
sizes() {
  within='within 2'
  case $2 in
    btrfs | ext[234] | overlay | tmpfs | vfat | xfs) within= ;;
    autofs | afs | fuse | fuse.* | lustre) return ;;
    9p | ceph | cifs | gfs2 | gluster* | nfs* | ocfs2 | smb*) if [ -n "$silent" ] || ! has timeout; then return; fi ;;
  esac
  $within stat -f -c '%s %S %b %a %c %d' -- "$(printf %b "$1")"
  if [ $? = 137 ]; then silent=1; fi
}
silent=
section mounts
while read -r device point type options dump check; do
  case $device in /* | *:/*) ;; *) continue ;; esac
  [ "$type" != none ] || continue
  printf '%s %s %s %s %s %s\n' "$device" "$point" "$type" "$options" "$dump" "$check"
  sizes "$point" "$type"
done < /proc/mounts | head -c 524288
section binds
while read -r _ _ _ root point _; do
  if [ "$root" != / ]; then echo "$point"; fi
done < /proc/self/mountinfo | head -c 524288
ask uuids lsblk --list --noheadings --paths --output NAME,UUID --exclude 2

for d in /etc/ssh /etc/openssh /etc; do
  for k in dsa rsa ecdsa ed25519; do line "$d/ssh_host_${k}_key.pub"; done
done
for f in "$fact_path"/*.fact; do
  [ -f "$f" ] || continue
  if [ -x "$f" ]; then
    section "script $f"
    { within 60 "$f"; printf '\nrc=%s\n' "$?"; } | head -c 262144
  elif [ -r "$f" ]; then
    run "facts $f" head -c 262144 "$f"
  fi
done
exit 0
