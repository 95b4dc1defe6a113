git=${executable:-git}
needs "$git"
version=${version:-HEAD} remote=${remote:-origin}
dest=${dest%/}
[ -z "$umask" ] || umask "$umask"
ssh="ssh -o BatchMode=yes"
if [ "$accept_hostkey" = yes ]; then
  ssh="$ssh -o StrictHostKeyChecking=no"
elif [ "$accept_newhostkey" = yes ]; then
  ssh="$ssh -o StrictHostKeyChecking=accept-new"
fi
[ -z "$key_file" ] || ssh="$ssh -i $(quote "$key_file") -o IdentitiesOnly=yes"
export GIT_SSH_COMMAND="$ssh${ssh_opts:+ $ssh_opts}" GIT_TERMINAL_PROMPT=0

# Prints the branch that HEAD stands for in a clone: the one that is checked out, or else that of the remote.
branch_of_head() {
  "$git" -C "$dest" symbolic-ref -q --short HEAD 2> /dev/null && return
  "$git" -C "$dest" symbolic-ref -q "refs/remotes/$remote/HEAD" 2> /dev/null | sed "s|^refs/remotes/$remote/||"
}
# Prints the commit of the version in the remote $1.
find_remote() {
  case $version in
    HEAD)
      [ -z "$before" ] || [ "$bare" = yes ] || head=$(branch_of_head)
      ask "$1" "${head:+refs/heads/}${head:-HEAD}" ;;
    *)
      case $version in *[!0-9a-f]*) ;; ????????????????????????????????????????) printf %s "$version" && return ;; esac
      found=$(ask "$1" "refs/heads/$version") || return
      [ -n "$found" ] || found=$(ask "$1" "refs/tags/$version^{}") || return
      [ -n "$found" ] || found=$(ask "$1" "refs/tags/$version") || return
      printf %s "${found:-$version}" ;;
  esac
}
ask() {
  listed=$("$git" ls-remote -- "$1" "$2" 2>&1 < /dev/null) || { printf '%s\n' "$listed" >&2 && return 1; }
  printf %s "${listed%%[!0-9a-f]*}"
}
commit_of() { "$git" -C "$dest" rev-parse --verify -q "$1^{commit}" 2> /dev/null; }
in_dest() { must "$git" -C "$dest" "$@"; }

end() {
  say before:optional "$before" && say after:optional "$after"
  [ -z "$url_changed" ] || say remote_url_changed:flag 1
  finish
}
verify() {
  [ "$verify_commit" = yes ] || return 0
  failed="Failed to verify GPG signature of commit/tag \"$version\""
  if "$git" -C "$dest" show-ref -q --verify -- "refs/tags/$version"; then
    in_dest verify-tag -- "$version"
  else
    in_dest verify-commit -- "$version"
  fi
  failed=
}
update_submodules() {
  [ "$recursive" != no ] && [ "$bare" != yes ] && [ -f "$dest/.gitmodules" ] || return 0
  held=$("$git" -C "$dest" submodule status --recursive 2> /dev/null)
  in_dest submodule sync
  set -- submodule update --init --recursive
  [ "$track_submodules" != yes ] || set -- "$@" --remote
  [ "$force" != yes ] || set -- "$@" --force
  [ -z "$depth" ] || set -- "$@" --depth "$depth"
  in_dest "$@"
  [ "$held" = "$("$git" -C "$dest" submodule status --recursive 2> /dev/null)" ] || changed=1
}
# Brings the files to the version, which is fetched.
switch() {
  [ "$bare" != yes ] || return 0
  failed="Failed to checkout $version"
  branch=$version
  [ "$version" != HEAD ] || branch=$(branch_of_head)
  if [ -n "$branch" ] && "$git" -C "$dest" show-ref -q --verify -- "refs/remotes/$remote/$branch"; then
    in_dest checkout -q --force -B "$branch" "refs/remotes/$remote/$branch" --
  else
    in_dest checkout -q --force "$version" --
  fi
  failed=
}
fetch() {
  set -- fetch -q --force
  [ -z "$depth" ] || set -- "$@" --depth "$depth"
  if [ "$bare" = yes ]; then
    set -- "$@" "$remote" '+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*'
  elif [ -n "$depth" ]; then
    # A shallow fetch gets one version.
    case $version in
      HEAD) set -- "$@" "$remote" ;;
      *)
        if [ -n "$(ask "$repo" "refs/heads/$version")" ]; then
          set -- "$@" "$remote" "+refs/heads/$version:refs/remotes/$remote/$version"
        elif [ -n "$(ask "$repo" "refs/tags/$version")" ]; then
          set -- "$@" "$remote" "+refs/tags/$version:refs/tags/$version"
        else
          set -- "$@" "$remote" "$version"
        fi ;;
    esac
  else
    set -- "$@" --tags "$remote" "+refs/heads/*:refs/remotes/$remote/*"
  fi
  [ -z "$refspec" ] || set -- "$@" "$refspec"
  failed="Failed to download remote objects and refs"
  in_dest "$@"
  if [ "$bare" != yes ] && [ "$version" = HEAD ]; then run "$git" -C "$dest" remote set-head "$remote" --auto; fi
  failed=
}

before= url_changed= head=
if [ "$bare" = yes ]; then marker=$dest/HEAD; else marker=$dest/.git; fi
if [ -z "$dest" ] || [ ! -e "$marker" ]; then
  run find_remote "$repo" || fail "Failed to reach $repo: $err"
  after=$out
  changed=1
  if [ -n "$check" ] || [ "$clone" = no ]; then end; fi
  mkdir -p -- "$(dirname -- "$dest")" || exit 1
  set -- clone -q --origin "$remote"
  [ "$bare" != yes ] || set -- "$@" --bare
  [ "$recursive" = no ] || [ "$bare" = yes ] || set -- "$@" --recursive
  [ -z "$reference" ] || set -- "$@" --reference "$reference"
  [ -z "$separate_git_dir" ] || set -- "$@" --separate-git-dir "$separate_git_dir"
  if [ -n "$depth" ]; then
    set -- "$@" --depth "$depth" --no-single-branch
  fi
  case $version in
    HEAD) ;;
    *)
      if [ -n "$(ask "$repo" "refs/heads/$version")$(ask "$repo" "refs/tags/$version")" ]; then
        set -- "$@" --branch "$version"
        [ "$single_branch" != yes ] || set -- "$@" --single-branch
      fi ;;
  esac
  must "$git" "$@" -- "$repo" "$dest"
  if [ -n "$refspec" ] || { [ -n "$depth" ] && [ -z "$(commit_of "$version")" ]; }; then fetch; fi
  verify
  case $version in HEAD) ;; *) switch ;; esac
  update_submodules
  after=$(commit_of HEAD)
  end
fi

before=$(commit_of HEAD)
after=$before
mods=
if [ "$bare" != yes ] && [ -n "$("$git" -C "$dest" status --porcelain 2> /dev/null | grep -v '^??')" ]; then mods=1; fi
if [ -n "$mods" ]; then
  [ "$force" = yes ] || { say before "$before" && fail "Local modifications exist in the destination: $dest (force=no)."; }
  changed=1
  [ -n "$check" ] || in_dest reset -q --hard HEAD
fi
url=$("$git" -C "$dest" config --get "remote.$remote.url")
if [ "$url" != "$repo" ]; then
  url_changed=1 changed=1
  if [ -z "$check" ]; then
    if [ -n "$url" ]; then in_dest remote set-url "$remote" "$repo"; else in_dest remote add "$remote" "$repo"; fi
  fi
fi
[ "$update" != no ] || end
run find_remote "$repo" || fail "Failed to reach $repo: $err"
wanted=$out
if [ "$wanted" = "$before" ] && [ -z "$refspec" ]; then
  [ -n "$check" ] || { verify && update_submodules; }
  end
fi
if [ -n "$check" ]; then
  if [ -n "$wanted" ]; then after=$wanted; fi
  changed=1
  end
fi
# A commit that is here already needs no connection.
case $version in "$wanted") [ -n "$(commit_of "$version")" ] || fetch ;; *) fetch ;; esac
verify
switch
update_submodules
after=$(commit_of HEAD)
[ "$before" = "$after" ] || changed=1
end
