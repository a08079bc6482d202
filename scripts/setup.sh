#!/usr/bin/env bash
# Prepares a fresh clone, so that `cargo build` works and the training data is available. It can be run repeatedly and
# only does what is missing. With --check it only reports.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1-}" in
'' | --check) ;;
*)
    echo "usage: scripts/setup.sh [--check]" >&2
    exit 2
    ;;
esac

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "The trainer is supported on Linux x86-64 only; this is $(uname -sm)." >&2
    echo "The viewer can be built here without libtorch: cargo build --no-default-features" >&2
    exit 1
fi

# Collect everything that is missing and report it at once.
missing=()
need() { missing+=("$1"$'\n'"    $2"); }

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo "
if command -v apt-get >/dev/null; then
    install="${sudo}apt-get install -y" cxx=g++ pip=python3-pip
elif command -v dnf >/dev/null; then
    install="${sudo}dnf install -y" cxx=gcc-c++ pip=python3-pip
elif command -v pacman >/dev/null; then
    install="${sudo}pacman -S --needed" cxx=gcc pip=python-pip
else
    install="install with your package manager:" cxx=g++ pip=python3-pip
fi

PATH="$PATH:$HOME/.cargo/bin" # rustup installs Cargo there; only new shells have it in PATH
want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! have=$(cargo --version 2>/dev/null); then
    need "cargo, Rust $want or newer" "curl --proto '=https' -sSf https://sh.rustup.rs | sh"
elif have=${have#cargo } && have=${have%% *} && [ "$(printf '%s\n' "$want" "$have" | sort -V | head -n 1)" != "$want" ]; then
    need "Rust $want or newer; this is $have" "rustup update stable"
fi

# The compiler may be installed without its standard library, so compile a test program.
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
printf '#include <optional>\nint main() { std::optional<int> zero(0); return *zero; }\n' >"$probe/probe.cpp"
compiles() { "$1" -std=c++17 "$probe/probe.cpp" -o "$probe/probe" >/dev/null 2>&1; }
if ! compiles "${CXX:-c++}"; then
    other=""
    for candidate in g++ clang++; do
        if compiles "$candidate"; then other=$candidate && break; fi
    done
    if [ -n "$other" ]; then
        need "a C++17 compiler named ${CXX:-c++} ($other works)" "export CXX=$other"
    else
        need "a C++17 compiler (tried ${CXX:-c++}, g++, clang++)" "$install $cxx"
    fi
elif ! command -v cc >/dev/null; then
    need "cc, which Rust uses as linker" "$install $cxx"
fi

# pip is only needed to download libtorch.
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
    need "python3, 3.8 or newer" "$install ${pip%-pip} $pip"
elif [ -z "${LIBTORCH-}" ] && [ ! -e .deps/libtorch/lib/libtorch_cpu.so ] &&
    ! python3 -c 'import sys, importlib.util as i; sys.exit(not (i.find_spec("pip") or i.find_spec("torch")))'; then
    need "pip for $(command -v python3)" "$install $pip"
fi

if [ ${#missing[@]} -gt 0 ]; then
    echo "Missing:" >&2
    printf '  %s\n' "${missing[@]}" >&2
    exit 1
fi

rm -rf "$probe"
exec python3 -B scripts/fetch "$@"
