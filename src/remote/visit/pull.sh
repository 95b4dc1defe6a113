# Pulls images before the services that need them start. A pull is a service of systemd, so it goes on after the visit. Its
# last words are in a file, with a second file if it succeeded. A pull whose service is gone without that file has failed.
m_pull='podman pull --quiet "$@" >"$0" 2>&1 && : >"$0.done"; rm -f -- "$0.auth"'
# Sets `m_image` to what the host has of the image $2: `there`, `pulls` or `failed`, with the reason in `m_why`. It begins the pull
# $1 unless that is under way. The other arguments are those of systemd-run. The file `m_login` has the login to the registry, if
# it needs one.
m_find_image() {
  m_words=$m_run/pulls/$1 m_service=muster-pull-$1.service m_name=$2 m_image=there m_why=; shift 2
  case $m_found in *" $m_service "*) return ;; esac
  if [ -e "$m_words" ] && m_is_pulled; then m_image=pulls; return; fi
  if [ -z "$m_stuck" ]; then
    timeout 5 podman image exists "$m_name" >/dev/null 2>&1
    m_code=$?
    # The renewal of a lease does not wait for all images.
    [ $m_code -ne 124 ] || m_stuck=y
  fi
  [ -z "$m_stuck" ] || { m_image=failed m_why="podman did not answer within 5 s"; return; }
  # A Podman that cannot tell says why when the service starts. One that has pulled the image may know it by another name.
  if [ $m_code -ne 1 ] || [ -e "$m_words.done" ]; then
    m_found="$m_found$m_service "
    rm -f -- "$m_words" "$m_words.done" "$m_words.auth"
    return
  fi
  if [ -e "$m_words" ]; then
    m_image=failed
    while IFS= read -r m_line || [ -n "$m_line" ]; do [ -z "$m_line" ] || m_why=$m_line; done <"$m_words"
    m_why=${m_why#Error: } m_why=${m_why:-"its service ended within 30 min and said nothing"}
    rm -f -- "$m_words" "$m_words.auth"
    return
  fi
  m_image=pulls
  mkdir -p "$m_run/pulls" && { [ -z "$m_login" ] || cp -- "$m_login" "$m_words.auth"; } && : >"$m_words" || { m_image=failed m_why="cannot write to $m_run: is /run full?"; return; }
  m_out=$(timeout 5 systemd-run --quiet --collect --unit="$m_service" --description="Pull of $m_name for muster" \
    --property=RuntimeMaxSec=1800 "$@" 2>&1) && return
  # Another command may have begun the same pull just now.
  m_is_pulled || { m_image=failed m_why=${m_out:-"systemd-run failed"}; rm -f -- "$m_words" "$m_words.auth"; }
}
m_is_pulled() {
  case $(systemctl is-active "$m_service" 2>/dev/null) in active|activating|reloading|deactivating) ;; *) return 1 ;; esac
}
# Reports whether the image of the service $1 is there, and says so if it is not.
m_has_image() {
  m_u=$1; shift
  m_find_image "$@"
  case $m_image in
    there) return ;;
    pulls) m_say pulls "$m_u" ;;
    *) m_say said load "$m_u" "cannot pull $m_name: $m_why" ;;
  esac
  return 1
}
m_login= m_stuck= m_found=' '
