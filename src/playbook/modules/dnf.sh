if has dnf; then manager=dnf; elif has yum; then manager=yum; else needs dnf; fi
needs rpm

# Adds to the quoted options of the task.
options=
add() { for each; do options="$options $(quote "$each")"; done; }
add_each() {
  option=$1 these=$2
  eval "set -- $these"
  for word; do add "$option$word"; done
}
add_each --enablerepo= "$enablerepo"
add_each --disablerepo= "$disablerepo"
add_each --exclude= "$exclude"
add_each --enableplugin= "$enable_plugin"
add_each --disableplugin= "$disable_plugin"
[ "$disable_gpg_check" != yes ] || add --nogpgcheck
[ -z "$releasever" ] || add "--releasever=$releasever"
[ -z "$conf_file" ] || add -c "$conf_file"
[ -z "$installroot" ] || [ "$installroot" = / ] || add "--installroot=$installroot"
[ -z "$disable_excludes" ] || add "--disableexcludes=$disable_excludes"
[ "$security" != yes ] || add --security
[ "$bugfix" != yes ] || add --bugfix
[ "$skip_broken" != yes ] || add --skip-broken
[ "$cacheonly" != yes ] || add -C
[ "$sslverify" != no ] || add --setopt=sslverify=false
[ "$install_weak_deps" != no ] || add --setopt=install_weak_deps=False
[ "$download_only" != yes ] || add --downloadonly
if [ "$manager" = dnf ]; then
  [ "$allowerasing" = no ] || erasing=--allowerasing
  if [ "$nobest" = yes ] || [ "$best" = no ]; then add --nobest; elif [ "$best" = yes ]; then add --best; fi
fi

# Waits for another package manager, for as long as `lock_timeout` says.
wait_for_lock() {
  end=$(($(date +%s) + ${lock_timeout:-30}))
  while holder=$(cat /var/run/yum.pid /var/cache/dnf/*.pid 2> /dev/null | head -n 1) &&
    [ -n "$holder" ] && kill -0 "$holder" 2> /dev/null; do
    [ "$(date +%s)" -lt "$end" ] || fail "$manager lockfile is held by another process"
    sleep 1
  done
}

# Runs the manager with the options of the task. In a check it only says what it would do.
act() {
  wait_for_lock
  eval "set -- \"\$@\" $options"
  if [ -n "$check" ]; then set -- --assumeno "$@"; else set -- -y "$@"; fi
  run "$manager" "$@"
  case $out$err in
    *'Nothing to do'* | *'No packages marked for removal'* | *'No Packages marked for removal'*) [ "$rc" != 0 ] || return 0 ;;
  esac
  case $out$err in
    *'Operation aborted'* | *'Exiting on user command'*) if [ -n "$check" ]; then rc=0; fi ;;
  esac
  if [ "$rc" != 0 ]; then
    lost=$(printf '%s\n' "$out$newline$err" | sed -n 's/^\(No match for argument\|Unable to find a match\): *//p' | head -n 1)
    say rc "$rc" && say results:lines "$out"
    [ -z "$lost" ] || { say failures:lines "No package $lost available." && fail "Failed to install some of the specified packages"; }
    fail "${err:-$out}"
  fi
  changed=1
  results=$results$out$newline
}
end() {
  say rc 0 && say results:lines "$results"
  [ -n "$changed" ] || say msg "Nothing to do"
  finish
}
results=

# Reports whether a package, a capability or a package file is installed.
is_installed() {
  case $1 in
    @* | *://*) return 1 ;;
    */*.rpm | *.rpm)
      wanted=$(rpm -qp --qf '%{NAME}-%{VERSION}-%{RELEASE}' -- "$1" 2> /dev/null) || return 1
      rpm -q -- "$wanted" > /dev/null 2>&1 ;;
    *[*?[]*) return 1 ;;
    *)
      rpm -q -- "$1" > /dev/null 2>&1 || rpm -q --whatprovides -- "$1" > /dev/null 2>&1 ;;
  esac
}

case $state in installed | '') if [ "$autoremove" = yes ]; then state=absent; else state=present; fi ;; removed) state=absent ;; esac
if [ -n "$list" ]; then
  case $list in
    repos | repositories) set -- repolist ;;
    installed | available | updates | extras) set -- list "$list" ;;
    -*) fail "cannot list $list" ;;
    *) set -- list "$list" ;;
  esac
  eval "set -- \"\$@\" $options"
  run "$manager" -q "$@" || [ "$rc" = 1 ] || fail "${err:-$out}"
  say results:lines "$out"
  finish
fi
if [ "$update_cache" = yes ]; then
  wait_for_lock
  eval "set -- $options"
  [ -n "$check" ] || run "$manager" -q makecache "$@" || fail "Failed to update the cache: ${err:-$out}"
  if [ -z "$name" ]; then say msg "Cache updated" && say rc 0 && finish; fi
fi
names=$name
eval "set -- $names"
kept=
for each; do
  case $state in
    present) if is_installed "$each"; then results="${results}Installed: $each$newline" && continue; fi ;;
    absent) case $each in @* | *[*?[]*) ;; *) is_installed "$each" || continue ;; esac ;;
  esac
  kept="$kept $(quote "$each")"
done
if [ -z "$kept" ]; then
  if [ "$state" = absent ] && [ "$autoremove" = yes ]; then act autoremove; fi
  end
fi
eval "set -- $kept"
case $state in
  absent)
    [ "$autoremove" = yes ] || add --setopt=clean_requirements_on_remove=False
    act remove "$@" ;;
  latest)
    if [ "$*" = '*' ]; then
      # shellcheck disable=SC2086
      act upgrade $erasing
    else
      fresh= old=
      for each; do
        quoted=$(quote "$each")
        case $each in
          *'*'* | *'?'*) old="$old $quoted" ;;
          *) if is_installed "$each"; then old="$old $quoted"; else fresh="$fresh $quoted"; fi ;;
        esac
      done
      if [ -n "$fresh" ] && [ "$update_only" != yes ]; then eval "act install $erasing $fresh"; fi
      [ -z "$old" ] || eval "act upgrade $erasing $old"
    fi ;;
  *)
    # shellcheck disable=SC2086
    act install $erasing "$@" ;;
esac
end
