# The places of the configuration on different systems.
for each in /etc/nagios/nagios.cfg /etc/nagios3/nagios.cfg /etc/nagios2/nagios.cfg /usr/local/etc/nagios/nagios.cfg \
  /usr/local/groundwork/nagios/etc/nagios.cfg /omd/sites/oppy/tmp/nagios/nagios.cfg /usr/local/nagios/etc/nagios.cfg \
  /usr/local/nagios/nagios.cfg /opt/nagios/etc/nagios.cfg /opt/nagios/nagios.cfg /etc/icinga/icinga.cfg \
  /usr/local/icinga/etc/icinga.cfg; do
  if [ -z "$cmdfile" ] && [ -e "$each" ]; then
    cmdfile=$(sed -n '/^command_file/{s/^[^=]*=[[:space:]]*//; s/[[:space:]]*$//; p; q;}' "$each")
  fi
done
[ -n "$cmdfile" ] || fail "unable to locate nagios.cfg"
changed=1
[ -z "$check" ] || finish
say cmdfile "$cmdfile"
[ -e "$cmdfile" ] || fail "nagios command file does not exist"
[ -p "$cmdfile" ] || fail "nagios command file is not a fifo file"
sent=
eval "set -- $commands"
for each; do
  line="[$(date +%s)] $each"
  printf '%s\n' "$line" > "$cmdfile" || fail "unable to write to nagios command file"
  sent=$sent$line$newline
done
say nagios_commands:lines "$sent"
finish
