export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical
needs apt-get
needs dpkg-query

# Runs apt-get, and again while another process holds a lock, for as long as `lock_timeout` says. Newer versions of apt-get
# wait for the lock of dpkg themselves, but not for that of the lists.
apt() {
  end=$(($(date +%s) + ${lock_timeout:-60}))
  while ! run apt-get -o "DPkg::Lock::Timeout=${lock_timeout:-60}" "$@"; do
    case $err in
      *"Could not get lock"* | *"Unable to lock"* | *"is another process using it"*) ;;
      *) return 1 ;;
    esac
    [ "$(date +%s)" -lt "$end" ] || return 1
    sleep 1
  done
}

cache_time() {
  stamp=/var/lib/apt/periodic/update-success-stamp
  [ -e "$stamp" ] || stamp=/var/lib/apt/lists
  stat -c %Y -- "$stamp" 2> /dev/null || echo 0
}
update_lists() {
  cached=$(cache_time)
  if [ -n "$cache_valid_time" ] && [ "$cache_valid_time" != 0 ]; then
    [ $((cached + cache_valid_time)) -lt "$(date +%s)" ] || return 0
  fi
  updated=1
  [ -z "$check" ] || return 0
  tries=0 delay=1
  until apt -q update; do
    tries=$((tries + 1))
    [ $tries -lt "${update_cache_retries:-5}" ] || fail "Failed to update apt cache after $tries retries: ${err:-unknown reason}"
    sleep $delay
    delay=$((delay * 2))
    [ $delay -le "${update_cache_retry_max_delay:-12}" ] || delay=${update_cache_retry_max_delay:-12}
  done
}

# Ends with what apt-get printed, and what the lists are.
end() {
  [ -z "$cache_used" ] || { say cache_update_time:number "$(cache_time)" && say cache_updated:flag "$updated"; }
  [ -z "$ran" ] || { say stdout "$out" && say stderr "$err"; }
  # What apt-get is about to do, between its preparations and its work.
  [ -z "$ran" ] || [ -z "$shows_diff" ] || say diff_prepared "$(printf '%s\n' "$out" | awk '
    started { print }
    /^Reading state information\.\.\./ { started = 1 }
    /^[0-9]+ (packages )?upgraded/ { exit }')"
  finish
}

# Says to the scripts of packages, by an exit code, whether they may start services: an administrator's program says so too.
set_policy() {
  [ -n "$policy_rc_d" ] && [ -z "$check" ] || return 0
  policy=${DPKG_ROOT-}/usr/sbin/policy-rc.d
  trap 'restore_policy; [ -z "$scratch" ] || rm -rf -- "$scratch"' EXIT
  trap 'exit 1' HUP INT TERM
  if [ -e "$policy" ]; then
    kept_policy=$policy.$unique
    mv -f -- "$policy" "$kept_policy" || { kept_policy= && fail "Fail to move $policy"; }
  fi
  made_policy=1
  printf '#!/bin/sh\nexit %d\n' "$policy_rc_d" > "$policy" && chmod 755 -- "$policy" ||
    fail "Failed to create or chmod $policy"
}
restore_policy() {
  if [ -n "$kept_policy" ]; then mv -f -- "$kept_policy" "$policy"; elif [ -n "$made_policy" ]; then rm -f -- "$policy"; fi
  kept_policy= made_policy=
}

# Runs apt-get with the options of the task, and sets `changed` if it did something or would. $1 names it for a failure.
act() {
  ran=1 what=$1
  shift
  list=$dpkg_options
  set -- -q -y "$@"
  options=
  eval "for each in ${list:-force-confdef force-confold}; do options=\"\$options \$each\"; done"
  for each in $options; do set -- -o "Dpkg::Options::=--${each#--}" "$@"; done
  [ -z "$check" ] || set -- --simulate "$@"
  [ "$force" != yes ] || set -- --allow-downgrades --allow-remove-essential --allow-change-held-packages "$@"
  [ "$allow_unauthenticated" != yes ] || set -- --allow-unauthenticated "$@"
  [ "$allow_downgrade" != yes ] || set -- --allow-downgrades "$@"
  [ "$allow_change_held_packages" != yes ] || set -- --allow-change-held-packages "$@"
  [ "$fail_on_autoremove" != yes ] || set -- --no-remove "$@"
  [ "$autoremove" != yes ] || set -- --auto-remove "$@"
  [ "$purge" != yes ] || set -- --purge "$@"
  [ -z "$default_release" ] || set -- -t "$default_release" "$@"
  case $install_recommends in
    yes) set -- -o APT::Install-Recommends=yes "$@" ;;
    no) set -- -o APT::Install-Recommends=no "$@" ;;
  esac
  set_policy
  is_done=1
  apt "$@" || is_done=
  restore_policy
  if [ -z "$is_done" ]; then
    lost=$(printf '%s\n' "$err" | sed -n 's/^E: Unable to locate package //p' | head -n 1)
    [ -z "$lost" ] || fail "No package matching '$lost' is available"
    say_run && fail "'apt-get $what' failed: $err"
  fi
  if ! printf '%s\n' "$out" | grep -q '^0 upgraded, 0 newly installed, \(0 downgraded, \)\?\(0 reinstalled, \)\?0 to remove'; then
    changed=1
  fi
}

# Sets `held` to the state of a package: `installed`, `configured` (only its files are left) or nothing, and `version`.
look_up() {
  held= version=
  while IFS=' ' read -r a b; do
    case $a in
      ?i*) held=installed version=$b ;;
      ?[cHFWt]*) [ -n "$held" ] || held=configured ;;
    esac
  done <<EOF
$(dpkg-query -W -f '${db:Status-Abbrev} ${Version}\n' -- "$1" 2> /dev/null | sed 's/^\(..\). */\1 /; s/^\(..\) */\1 /')
EOF
}
# Reports whether an installed package provides the virtual package $1.
is_provided() {
  provided=${provided:-$(dpkg-query -W -f '${db:Status-Abbrev} ${Provides}\n' 2> /dev/null | sed -n 's/^.i. *//p' | tr ',' '\n' | sed 's/^ *//; s/ .*//')}
  printf '%s\n' "$provided" | grep -qxF -- "$1"
}

# Prints the names that a name stands for: a name with * or ? stands for those that it matches.
expand() {
  case $1 in
    *=* | */*) printf '%s\n' "$1" ;;
    *[*?]* | *\[*)
      if [ "$state" = absent ]; then
        dpkg-query -W -f '${Package}\n'
      else
        apt-cache pkgnames
      fi | while IFS= read -r each; do
        # shellcheck disable=SC2254
        case $each in $1) printf '%s\n' "$each" ;; esac
      done ;;
    *) printf '%s\n' "$1" ;;
  esac
}

# Reports whether the package of a task is as it says, without asking apt-get.
is_present() {
  case $1 in
    *=*)
      look_up "${1%%=*}"
      pattern=${1#*=}
      # shellcheck disable=SC2254
      [ "$held" = installed ] && case $version in $pattern) true ;; *) false ;; esac ;;
    */* | ^*) false ;;
    *)
      look_up "$1"
      [ "$held" = installed ] || { [ -z "$held" ] && is_provided "$1"; } ;;
  esac
}

install() {
  list=$name
  eval "set -- $list"
  picked=
  for each; do
    found=$(expand "$each")
    [ -n "$found" ] || fail "No package(s) matching '$each' available"
    for one in $found; do
      if [ "$state" != latest ] && is_present "$one"; then continue; fi
      if [ "$only_upgrade" = yes ]; then
        look_up "${one%%[=/]*}"
        [ "$held" = installed ] || continue
      fi
      picked="$picked $one"
    done
  done
  [ -n "$picked" ] || end
  # shellcheck disable=SC2086
  set -- $picked
  [ "$only_upgrade" != yes ] || set -- --only-upgrade "$@"
  act "install$picked" install "$@"
  end
}

remove() {
  list=$name
  eval "set -- $list"
  picked=
  for each; do
    for one in $(expand "${each%%=*}"); do
      look_up "$one"
      case $held:$purge in installed:* | configured:yes) picked="$picked $one" ;; esac
    done
  done
  [ -n "$picked" ] || end
  changed=1
  # shellcheck disable=SC2086
  act "remove$picked" remove $picked
  end
}

install_deb() {
  case $deb in
    *://*)
      make_scratch
      file=$scratch/package.deb
      if has curl; then run curl -fsSL -o "$file" -- "$deb"; else run wget -q -O "$file" -- "$deb"; fi ||
        fail "Failure downloading $deb: $err"
      # apt-get reads as another user.
      chmod 755 "$scratch" && chmod 644 "$file" ;;
    *)
      case $deb in /*) file=$deb ;; *) file=$PWD/$deb ;; esac
      [ -e "$file" ] || fail "Unable to install package: Could not find $deb" ;;
  esac
  run dpkg-deb -f "$file" Package && package=$out && run dpkg-deb -f "$file" Version && new=$out ||
    fail "Unable to install package: $err"
  look_up "$package"
  if [ "$held" = installed ]; then
    [ "$version" != "$new" ] || [ "$force" = yes ] || end
    if dpkg --compare-versions "$version" gt "$new" && [ "$allow_downgrade$force" != yes ]; then
      fail "A later version is already installed"
    fi
  fi
  act "install $deb" install "$file"
  end
}

case $state in installed | '') state=present ;; removed) state=absent ;; esac
case $upgrade in True) upgrade=yes ;; False | no) upgrade= ;; esac
ran= updated= cache_used= provided= kept_policy= made_policy= scratch=
[ "$name$deb$upgrade$update_cache$cache_valid_time" = '' ] || cache_used=1
if [ "$update_cache" = yes ] || { [ -z "$update_cache" ] && [ "${cache_valid_time:-0}" != 0 ]; }; then update_lists; fi
case " $name " in *" '*' "*) [ "$state" != latest ] || { name= upgrade=${upgrade:-yes}; } ;; esac
case $upgrade in
  yes | safe)
    act upgrade upgrade --with-new-pkgs
    say msg "$out"
    end ;;
  full | dist)
    act dist-upgrade dist-upgrade
    say msg "$out"
    end ;;
esac
if [ -n "$deb" ]; then
  [ "$state" = present ] || fail "deb only supports state=present"
  install_deb
fi
if [ -n "$name" ]; then
  case $state in
    absent) remove ;;
    build-dep)
      list=$name
      eval "set -- $list"
      act "build-dep $*" build-dep "$@"
      end ;;
    fixed)
      list=$name
      eval "set -- $list"
      act "install --fix-broken $*" install --fix-broken "$@"
      end ;;
    *) install ;;
  esac
fi
if [ "$autoremove" = yes ]; then act autoremove autoremove; fi
if [ "$autoclean" = yes ]; then
  set -- -q -y
  [ -z "$check" ] || set -- "$@" --simulate
  apt "$@" autoclean || fail "'apt-get autoclean' failed: $err"
  ran=1
  case $out in *'Del '*) changed=1 ;; esac
fi
if [ "$clean" = yes ]; then
  [ -z "$(find /var/cache/apt/archives -name '*.deb' 2> /dev/null | head -n 1)" ] || changed=1
  [ -n "$check" ] || apt clean || fail "apt-get clean failed: $err"
fi
[ -z "$updated" ] || changed=1
end
