#!/bin/sh
# Stands in for a Python interpreter with pip. What it does is told by the files beside the link it is called by.
here=$(dirname "$0")
echo "$@" >>"$here/calls"
if [ -e "$here/stderr" ]; then
    cat "$here/stderr" >&2
    exit 1
fi
while [ $# -gt 0 ]; do
    if [ "$1" = --dest ]; then destination=$2; fi
    shift
done
cp "$here/wheel" "$destination/package-1.0-py3-none-any.whl"
