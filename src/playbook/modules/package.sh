# Brings each package to its state with a simple package manager. The arguments are how the manager installs; `query` and
# `removal` are how it looks for a package and removes it.
by_other() {
  [ "$update_cache" != yes ] || [ -n "$check" ] || must $refresh
  picked=
  each_name=$name
  verb=$*
  eval "set -- $each_name"
  for each; do
    present=
    # shellcheck disable=SC2086
    if run $query "$each"; then present=1; fi
    case $state:$present in
      absent:1 | removed:1 | latest:* | present: | installed: | :) picked="$picked $each" ;;
    esac
  done
  [ -n "$picked" ] || finish
  case $state in absent | removed) verb=$removal ;; esac
  before=$(snapshot)
  # shellcheck disable=SC2086
  change $verb $picked
  if [ "$state" = latest ] && [ -z "$check" ] && [ "$before" = "$(snapshot)" ]; then changed=; fi
  [ -n "$check" ] || say_run
  finish
}
snapshot() { run $versions && printf '%s\n' "$out"; }

case $use in
  auto | '')
    for use in apt-get dnf yum zypper pacman apk none; do if has "$use"; then break; fi; done ;;
esac
case $use in
  apt | apt-get) by_apt ;;
  dnf | dnf5 | yum) by_dnf ;;
  zypper)
    refresh='zypper --non-interactive refresh' query='rpm -q --whatprovides --' removal='zypper --non-interactive remove --'
    versions='rpm -qa'
    by_other zypper --non-interactive install -- ;;
  pacman)
    refresh='pacman -Sy --noconfirm' query='pacman -Q --' removal='pacman -R --noconfirm --' versions='pacman -Q'
    by_other pacman -S --noconfirm --needed -- ;;
  apk)
    refresh='apk update' query='apk info -e' removal='apk del' versions='apk info -v'
    by_other apk add ;;
  *) fail "Could not detect which package manager to use. Try gathering facts or setting the \"use\" option." ;;
esac
