zones=/usr/share/zoneinfo
if [ -n "$name" ]; then
  [ -f "$zones/$name" ] || fail "given timezone \"$name\" is not available"
  read_link /etc/localtime 2> /dev/null || target=
  now=${target#*zoneinfo/}
  if [ "$now" != "$name" ]; then
    changed=1
    if [ -z "$check" ]; then
      draft=/etc/.muster.$unique.tmp
      ln -sfn -- "$zones/$name" "$draft" && mv -fT -- "$draft" /etc/localtime || fail "cannot set /etc/localtime"
    fi
  fi
  if [ -f /etc/timezone ]; then
    content=$name$newline
    [ "$(cat /etc/timezone)" = "$name" ] || replace_file /etc/timezone
  fi
fi
if [ -n "$hwclock" ]; then
  needs timedatectl
  run timedatectl show -p LocalRTC --value
  case $hwclock:$out in
    UTC:yes) change timedatectl set-local-rtc 0 ;;
    local:no) change timedatectl set-local-rtc 1 ;;
  esac
fi
finish
