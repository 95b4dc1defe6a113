d=$(mktemp -d "${TMPDIR:-/tmp}/muster-job.XXXXXXXX") || exit
# The script must not end because nothing reads its output any more.
trap '' HUP PIPE
cat >"$d/in"
printf '%s' "$script" >"$d/script"
setsid timeout -k 5 "$limit" sh -c 'sh "$0/script" <"$0/in" >"$0/out" 2>"$0/err"; echo $? >"$0/code"' "$d" \
    </dev/null >/dev/null 2>&1 &
echo begun
wait $!
code=1
if [ -s "$d/code" ]; then
    read -r code <"$d/code"
    echo ended
    cat "$d/out"
    cat "$d/err" >&2
fi
rm -rf "$d"
exit "$code"
