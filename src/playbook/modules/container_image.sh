needs "$program"
# Sets `id` and `image` to those of an image, or to nothing.
look_at() {
  id='' image=
  if run "$program" image inspect "$1"; then
    image=$out
    run "$program" image inspect --format '{{.Id}}' "$1" && id=$out
  fi
}
actions=
note_action() { actions=$actions$1$newline; }
if [ "$force" = yes ]; then force_source=yes force_absent=yes force_tag=yes; fi
look_at "$ref"
before=$id
if [ "$state" = absent ]; then
  if [ -n "$before" ]; then
    note_action "Removed image $ref"
    set -- image rm
    [ "$force_absent" != yes ] || set -- "$@" --force
    change "$program" "$@" "$ref"
  fi
  say actions:lines "$actions" && say image '[]'
  finish
fi
if [ -z "$before" ] || [ "$force_source" = yes ]; then
  case $source in
    build)
      [ -d "$folder" ] || fail "Requested build path $folder could not be found or you do not have access."
      note_action "Built image $ref from $folder"
      eval "set -- $build_options"
      change "$program" build --tag "$ref" "$@" "$folder" ;;
    load)
      [ -f "$load_path" ] || fail "Error loading image $ref - no such file $load_path"
      note_action "Loaded image $ref from $load_path"
      change "$program" image load --input "$load_path" ;;
    pull)
      note_action "Pulled image $ref"
      eval "set -- $pull_options"
      change "$program" pull "$@" "$ref" ;;
    local) [ -n "$before" ] || fail "Cannot find the image $ref locally." ;;
  esac
  if [ -z "$check" ]; then
    look_at "$ref"
    [ -n "$id" ] || fail "The archive or the directory did not contain the image $ref"
    [ "$id" != "$before" ] || changed=
  fi
fi
if [ -n "$new_ref" ]; then
  ours=$id shown=$image
  look_at "$new_ref"
  if [ -z "$id" ] || { [ "$force_tag" = yes ] && [ "$id" != "$ours" ]; }; then
    note_action "Tagged image $ref to $new_ref"
    change "$program" image tag "$ref" "$new_ref"
  fi
  image=$shown
fi
say actions:lines "$actions" && say image "${image:-[]}"
finish
