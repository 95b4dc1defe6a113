if [ -n "$creates" ] && { [ -e "$creates" ] || [ -L "$creates" ]; }; then
  cat > /dev/null
  say skipped "skipped, since $creates exists"
  exit 0
fi
[ -d "$dest" ] || fail "dest '$dest' must be an existing dir"
say dest "$dest"
make_scratch
trap 'exit 1' HUP INT TERM
if [ -n "$source" ]; then
  [ -e "$source" ] || fail "Source '$source' does not exist"
  [ -r "$source" ] || fail "Source '$source' not readable"
  case $source in /*) archive=$source ;; *) archive=$PWD/$source ;; esac
  say src "$source"
else
  archive=$scratch/source
  cat > "$archive" || exit 1
fi
[ -s "$archive" ] || fail "Invalid archive '$archive', the file is 0 bytes"
cd -- "$dest" || exit 1
home=$PWD

# The first bytes say what the archive is.
case $(head -c 6 < "$archive" | od -An -tx1 | tr -d ' \n') in
  504b*) handler=ZipArchive ;;
  1f8b*) handler=TgzArchive ;;
  425a68*) handler=TarBzipArchive ;;
  fd377a585a00*) handler=TarXzArchive ;;
  28b52ffd*) handler=TarZstdArchive ;;
  *) handler=TarArchive ;;
esac
say handler "$handler"

# Runs tar with the options of the task.
run_tar() {
  what=$1
  set -- "$@" --force-local -f "$archive"
  if [ -n "$keep_newer" ] && [ "$what" = --extract ]; then set -- "$@" --keep-newer-files; fi
  with_options with_tar_excludes with_included tar "$@"
}

# Unpacks the archive into the current directory with unzip and the options of the task.
run_zip() { with_options zip_files -qq -o; }
zip_files() { with_included with_zip_excludes unzip "$@" "$archive"; }

# Reports whether the archive is unpacked already.
is_same_tar() {
  run_tar --diff 2>&1 | {
    while IFS= read -r line; do
      case $line in
        *": Uid differs") [ "$(id -u)" != 0 ] || [ -n "$owner" ] || exit 1 ;;
        *": Gid differs") [ "$(id -u)" != 0 ] || [ -n "$group" ] || exit 1 ;;
        *": Mode differs") [ -n "$mode" ] || exit 1 ;;
        *": Mod time differs" | *": Warning: Cannot stat: "* | *": Symlink differs" | *": Contents differ" | \
          *": Size differs" | *": Not linked to "* | *": File type differs") exit 1 ;;
      esac
    done
    exit 0
  }
}
is_same_zip() {
  mkdir "$scratch/files" && (cd "$scratch/files" && run_zip) > /dev/null 2>&1 || return 1
  [ -z "$(cd "$scratch/files" && find . -type f -exec sh -c '
    home=$1 && shift
    for f; do
      [ -f "$home/$f" ] && [ "$(sha256sum < "$f")" = "$(sha256sum < "$home/$f")" ] || echo odd
    done' sh "$home" {} +)" ]
}

case $handler in
  ZipArchive)
    program=unzip
    list() { unzip -Z1 "$archive"; }
    is_same() { is_same_zip; }
    unpack() { run_zip; } ;;
  *)
    program=tar
    list() { run_tar --list --quoting-style=literal --show-transformed-names; }
    is_same() { is_same_tar; }
    unpack() { run_tar --extract; } ;;
esac
command -v "$program" > /dev/null || fail "Unable to find required '$program' binary in the path"
files=$(list 2> /dev/null) && [ -n "$files" ] || fail "Failed to find handler for \"$archive\". Make sure the required command to extract the file is installed."
if [ -n "$check" ] && [ "$handler" != ZipArchive ]; then
  # As in Ansible.
  say skipped "remote module (unarchive) does not support check mode when using gtar"
  exit 0
fi
if ! is_same; then
  say changed 1
  [ -z "$check" ] || exit 0
  e=$(unpack 2>&1) || fail "failed to unpack $archive to $dest: ${e##*: }"
fi
if [ -n "$owner$group$mode" ] && [ -z "$check" ]; then
  while IFS= read -r file; do
    path=$home/$file
    if enter; then set_attributes; fi
    case $file in
      */*) path=$home/${file%%/*} && if enter; then set_attributes; fi ;;
    esac
  done << LIST
$files
LIST
  [ -z "$altered" ] || say changed 1
fi
[ -z "$list_files" ] || while IFS= read -r file; do say file "$file"; done << LIST
$files
LIST
