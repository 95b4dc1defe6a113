_muster() {
    local muster=$words[1]
    local -a muster_words=("${(@)words[2,CURRENT-1]}")
    _muster_options "$@"
}

# Completes the names of units and machines, which the store has.
_muster_names() {
    local -a names=(${(f)"$($muster names -- "${(@)muster_words}" 2>/dev/null)"})
    compadd -a names || _default
}

