
# Completes the names of units and machines, which the store has, and those of hosts.
_muster_names() {
    _muster "$@"
    local line="${COMP_LINE:0:COMP_POINT}" word='' name names kept
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] || { word=${words[-1]}; unset 'words[-1]'; }
    [[ $word != -* ]] || return 0
    # It fails if a file follows. bash completes files where there is nothing else.
    names=$("${words[0]}" names -- "${words[@]:1}" 2>/dev/null) || { COMPREPLY=(); return 0; }
    [[ -n $names ]] || return 0
    # bash replaces only the text after the last character that breaks words.
    kept=${word%"${word##*["$COMP_WORDBREAKS"]}"}
    COMPREPLY=()
    while IFS= read -r name; do
        [[ $name != "$word"* ]] || COMPREPLY+=("${name#"$kept"}")
    done <<<"$names"
}
complete -F _muster_names -o bashdefault -o default muster
