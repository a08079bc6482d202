#!/usr/bin/env bash
# Runs one stage of `make test` and prints its name and duration.
#   scripts/stage.sh NAME COMMAND...
set -u
name=$1
shift
echo "── $name"
start=$SECONDS
"$@"
status=$?
[ $status = 0 ] && echo "── $name: $((SECONDS - start)) s" || echo "── $name: FAILED after $((SECONDS - start)) s" >&2
exit $status
