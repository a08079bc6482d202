#!/usr/bin/env bash
# Saves every page of a run as an SVG screenshot at 120x40, and the overview also at 80x24 and 200x60.
#   scripts/screenshots.sh RUN DIR [--theme NAME] [--runs DIR]
# RUN is the name or directory of a run; "" selects the newest. EPOCHTOP selects another binary than the one built here.
set -euo pipefail

if [ $# -lt 2 ] || [ -z "$2" ]; then
    echo "usage: scripts/screenshots.sh RUN DIR [options of epochtop view]" >&2
    exit 2
fi
run=$1 dir=$2
shift 2

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
epochtop=${EPOCHTOP-}
if [ -z "$epochtop" ]; then
    # The viewer is sufficient and builds without libtorch; an existing full build is used if there is one.
    epochtop=${CARGO_TARGET_DIR:-$root/target}/release/epochtop
    [ -x "$epochtop" ] || cargo build --release --no-default-features --manifest-path "$root/Cargo.toml"
fi

# The error for an unknown page lists the available pages.
pages=$("$epochtop" view --page '?' 2>&1 | sed -n 's/.*available pages: //p' | tr -d ',') || true
if [ -z "$pages" ]; then
    echo "$epochtop does not list its pages; it may be older than this script." >&2
    exit 1
fi

mkdir -p "$dir"
draw() {
    "$epochtop" view ${run:+"$run"} --page "$1" --size "$2" --screenshot "$dir/$3.svg" --force "${@:4}"
    echo "$dir/$3.svg"
}
for page in $pages; do
    draw "$page" 120x40 "$page" "$@"
done
draw overview 80x24 overview-80x24 "$@"
draw overview 200x60 overview-200x60 "$@"
