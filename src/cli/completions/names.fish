# The names of units and machines, which the store has.
complete -c muster -a '(set -l words (commandline -opc); $words[1] names -- $words[2..] 2>/dev/null)'
