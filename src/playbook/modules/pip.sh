[ -z "$umask" ] || umask "$umask"
if [ -n "$chdir" ]; then cd -- "$chdir" || exit 1; fi
log=
if [ -n "$virtualenv" ]; then
  case $virtualenv in /*) ;; *) virtualenv=$PWD/$virtualenv ;; esac
  if [ ! -e "$virtualenv/bin/activate" ]; then
    eval "set -- ${maker:-virtualenv}"
    needs "$1"
    case $* in
      *venv*) [ -z "$virtualenv_python" ] || case $1 in *virtualenv*) set -- "$@" "-p$virtualenv_python" ;; *) fail "virtualenv_python should not be used when using the venv module or pyvenv as virtualenv_command" ;; esac ;;
    esac
    [ "$virtualenv_site_packages" != yes ] || set -- "$@" --system-site-packages
    change "$@" "$virtualenv"
    log=$out
    [ -z "$check" ] || finish
  fi
  set -- "$virtualenv/bin/pip"
  [ -x "$1" ] || set -- "$virtualenv/bin/python" -m pip
elif [ -n "$executable" ]; then
  set -- "$executable"
else
  for each in pip3 pip; do if has "$each"; then break; fi; done
  set -- "$each"
  if ! has "$each"; then
    python3 -m pip --version > /dev/null 2>&1 || fail "Unable to find any of pip3, pip to use.  pip needs to be installed."
    set -- python3 -m pip
  fi
fi
needs "$1"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
[ "$break_system_packages" != yes ] || export PIP_BREAK_SYSTEM_PACKAGES=1
say virtualenv:optional "$virtualenv"
state=${state:-present}
flat() { printf %s "${1%%\[*}" | tr 'A-Z_.' 'a-z--'; }

installed() {
  run "$@" list --format=freeze || run "$@" freeze || fail "${err:-$out}"
  printf '%s\n' "$out" | sed 's/ @ .*/==/' | awk -F == '{ name = tolower($1); gsub(/[-_.]+/, "-", name); print name "==" $2 }'
}
before=$(installed "$@")
# Keeps the packages that pip has to look at.
picked=
names=$name
consider() {
  case $1 in
    *://* | */* | *' @ '*) found=unknown ;;
    *[\<\>~!]* | *===*) found=unknown ;;
    *==*) found=missing wanted=$(flat "${1%%==*}")==${1#*==} ;;
    *) found=missing wanted=$(flat "$1")== ;;
  esac
  if [ "$found" = missing ]; then
    case $1 in *==*) wanted=$newline$wanted$newline ;; *) wanted=$newline$wanted ;; esac
    case $newline$before$newline in *"$wanted"*) found=there ;; esac
  fi
  case $state:$found in present:there | absent:missing) return 1 ;; esac
}
command=
for each; do command="$command $(quote "$each")"; done
eval "set -- $names"
for each; do if consider "$each"; then picked="$picked $(quote "$each")"; fi; done
if [ -z "$picked$requirements" ]; then
  say stdout "$log" && say stderr ''
  finish
fi
if [ "$state" = absent ]; then
  options="uninstall -y"
else
  options=install
  [ "$state" != latest ] || options="$options -U"
  [ "$state" != forcereinstall ] || options="$options -U --force-reinstall"
fi
[ "$editable" != yes ] || [ "$state" = absent ] || picked=$(eval "set -- $picked"; for each; do printf ' -e %s' "$(quote "$each")"; done)
[ -z "$requirements" ] || picked="$picked -r $(quote "$requirements")"
if [ -n "$check" ]; then
  if [ "$state" = latest ] || { [ -n "$requirements" ] && [ "$state" = present ]; }; then
    eval "run $command $options --dry-run $extra $picked" || fail "${err:-$out}"
    case $out in *'Would install'*) changed=1 ;; esac
  else
    changed=1
  fi
  finish
fi
say cmd "$(eval "set -- $command $options $extra $picked"; printf %s "$*")"
eval "run $command $options $extra $picked" || { say_run && fail "${err:-$out}"; }
case $out in *'Successfully installed'* | *'Successfully uninstalled'*) changed=1 ;; esac
say stdout "$log$out" && say stderr "$err"
finish
