needs "$program"
# Sets `found` to what the program says about a container or an image, or to nothing.
look_for() {
  if run "$program" "$1" inspect "$2"; then
    found=$out
    return
  fi
  found=
  case $err in
    *'o such container'* | *'o such image'* | *'o such object'* | *'image not known'*) ;;
    *) say_run && fail "${err:-$program $1 inspect failed}" ;;
  esac
}
look_for container "$name"
say container "$found"
if [ -n "$image" ]; then
  look_for image "$image"
  before=$found
  if [ "$pulls" = always ] || { [ "$pulls" = missing ] && [ -z "$found" ]; }; then
    if [ -n "$check" ]; then
      [ -n "$found" ] || say pulled 1
    else
      eval "set -- $pull_options"
      run "$program" image pull "$@" "$image" || { say_run && fail "Can't pull image $image: $err"; }
      look_for image "$image"
      [ "$found" = "$before" ] || say pulled 1
    fi
  fi
  say image "$found"
fi
