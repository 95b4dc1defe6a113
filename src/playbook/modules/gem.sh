if [ -n "$executable" ]; then
  gem() { $executable "$@"; }
else
  needs gem
  gem() { command gem "$@"; }
fi
if [ -n "$install_dir" ]; then
  GEM_HOME=$install_dir
  export GEM_HOME
fi
must gem --version
major=${out%%.*} rest=${out#*.}
minor=${rest%%.*} patch=${rest#*.}
number=$((${major%%[!0-9]*} * 10000 + ${minor%%[!0-9]*} * 100 + ${patch%%[!0-9]*}))
norc_option=
[ "$norc" = no ] || [ "$number" -lt 20502 ] || norc_option=--norc

# Sets `versions` to those of the package, one in a line.
find_versions() {
  must gem query $norc_option "$@" -n "^$name\$"
  versions=$(printf '%s\n' "$out" | sed -n 's/^[^ ]* *(\(default: \)\{0,1\}\(.*\))$/\2/p' | sed 's/, /\n/g' | sed 's/ .*//')
}
is_there() {
  find_versions
  if [ -n "$version" ]; then printf '%s\n' "$versions" | grep -Fxq -e "$version"; else [ -n "$versions" ]; fi
}
if [ "$state" = latest ]; then
  if [ -n "$repository" ]; then find_versions --remote --source "$repository"; else find_versions --remote; fi
  version=${versions%%"$newline"*}
fi
say name "$name"
say state "${state:-present}"
[ -z "$version" ] || say version "$version"
if [ "$state" = absent ]; then
  is_there || finish
  set -- uninstall $norc_option
  [ -z "$install_dir" ] || set -- "$@" --install-dir "$install_dir"
  [ -z "$bindir" ] || set -- "$@" --bindir "$bindir"
  if [ -n "$version" ]; then set -- "$@" --version "$version"; else set -- "$@" --all; fi
  set -- "$@" --executable
  [ "$force" != yes ] || set -- "$@" --force
  change gem "$@" "$name"
  [ -n "$check" ] || ! is_there || fail "Failed to uninstall gem '$name': it is still present after 'gem uninstall'. This usually happens with default or system gems provided by the OS, which cannot be removed with the gem command."
  finish
fi
is_there && finish
set -- install $norc_option
[ -z "$version" ] || set -- "$@" --version "$version"
[ -z "$repository" ] || set -- "$@" --source "$repository"
[ "$include_dependencies" != no ] || set -- "$@" --ignore-dependencies
if [ "$user_install" = no ]; then set -- "$@" --no-user-install; else set -- "$@" --user-install; fi
[ -z "$install_dir" ] || set -- "$@" --install-dir "$install_dir"
[ -z "$bindir" ] || set -- "$@" --bindir "$bindir"
[ "$pre_release" != yes ] || set -- "$@" --pre
if [ "$include_doc" != yes ]; then
  if [ "$number" -lt 20000 ]; then set -- "$@" --no-rdoc --no-ri; else set -- "$@" --no-document; fi
fi
[ "$env_shebang" != yes ] || set -- "$@" --env-shebang
[ "$force" != yes ] || set -- "$@" --force
set -- "$@" "${gem_source:-$name}"
[ -z "$build_flags" ] || set -- "$@" -- "$build_flags"
change gem "$@"
finish
