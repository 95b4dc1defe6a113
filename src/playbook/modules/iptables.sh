table=${table:-filter}
bring() {
  tool=$1
  needs "$tool"
  shift
  set -- "$tool" -t "$table"
  [ -z "$wait" ] || set -- "$@" -w "$wait"
  if [ "$flush" = yes ]; then
    change "$@" -F ${chain:+"$chain"}
    return
  fi
  if [ -n "$policy" ]; then
    must "$@" -L "$chain" -n
    now=${out%%"$newline"*} now=${now##*"(policy "} now=${now%%[ )]*}
    if [ "$now" != "$policy" ]; then change "$@" -P "$chain" "$policy"; fi
    return
  fi
  if run "$@" -L "$chain" -n; then has_chain=1; else has_chain=; fi
  if [ "$chain_management" = yes ] && [ -z "$rule" ]; then
    if [ "$state" = absent ]; then
      [ -z "$has_chain" ] || change "$@" -X "$chain"
    else
      [ -n "$has_chain" ] || change "$@" -N "$chain"
    fi
    return
  fi
  if [ -z "$has_chain" ] && [ "$chain_management" = yes ] && [ "$state" != absent ]; then change "$@" -N "$chain"; fi
  eval "run \"\$@\" -C \"\$chain\" $rule"
  case $state:$rc in
    absent:0) eval "change \"\$@\" -D \"\$chain\" $rule" ;;
    absent:*) ;;
    *:0) ;;
    *)
      if [ "$action" = insert ]; then
        eval "change \"\$@\" -I \"\$chain\" ${rule_num:+\"\$rule_num\"} $rule"
      else
        eval "change \"\$@\" -A \"\$chain\" $rule"
      fi ;;
  esac
}
case $ip_version in
  ipv6) bring ip6tables ;;
  both) bring iptables && bring ip6tables ;;
  *) bring iptables ;;
esac
finish
