#!/bin/sh
echo "$0" | sed "s|.*/||"
echo "args: $*"
echo err >&2
pwd
exit ${1:-0}
