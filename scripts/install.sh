#!/usr/bin/env bash
# Installs the program, its man page and the completions of bash, zsh and fish.
#   scripts/install.sh PROGRAM PREFIX
set -euo pipefail

if [ $# != 2 ]; then
    echo "usage: scripts/install.sh PROGRAM PREFIX" >&2
    exit 2
fi
program=$1 prefix=$2
bin=$prefix/bin man=$prefix/share/man/man1
bash=$prefix/share/bash-completion/completions zsh=$prefix/share/zsh/site-functions fish=$prefix/share/fish/vendor_completions.d

mkdir -p "$bin" "$man" "$bash" "$zsh" "$fish"
# Under a temporary name first: a running epochtop keeps its file, and an interrupted copy never has the final name.
temporary=$(mktemp "$bin/.epochtop.XXXXXX")
trap 'rm -f "$temporary"' EXIT
cp "$program" "$temporary"
chmod 755 "$temporary"
mv -f "$temporary" "$bin/epochtop"
"$program" man >"$man/epochtop.1"
"$program" completions bash >"$bash/epochtop"
"$program" completions zsh >"$zsh/_epochtop"
"$program" completions fish >"$fish/epochtop.fish"
printf 'installed %s\n' "$bin/epochtop" "$man/epochtop.1" "$bash/epochtop" "$zsh/_epochtop" "$fish/epochtop.fish"
case ":$PATH:" in
*":$bin:"*) ;;
*) echo "$bin is not in PATH; add it: export PATH=\"$bin:\$PATH\"" ;;
esac
