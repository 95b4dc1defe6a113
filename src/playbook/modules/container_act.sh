needs "$program"
# Runs the program with the variables of the container in its environment.
with_environment() {
  set -- "$program" "$@"
  [ -z "$environment" ] || eval "export $environment"
  exec "$@"
}
eval "set -- $steps"
for step; do
  eval "set -- $step"
  if run with_environment "$@"; then continue; fi
  case "$1 $2 $err" in
    # The old one removed itself when it ended.
    'container rm '*'o such container'* | 'container rm '*'already in progress'*) ;;
    *) say_run && fail "${err:-${out:-$program $1 $2 failed}}" ;;
  esac
done
say_run
run "$program" container inspect "$name" && say container "$out"
finish
