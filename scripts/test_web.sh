#!/usr/bin/env bash
# Builds the page that trains in a browser, and tests it with Chromium on its software adapter.
#
#     scripts/test_web.sh [--wgrad PROGRAM] [--shots FOLDER] …
#
# On Debian it installs what `scripts/build_web.sh` needs where that is missing, and Chromium: 170 MB and 130 MB to download, 1.05 GB and
# 0.36 GB on disk.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=()
if ! command -v chromium >/dev/null; then packages+=(chromium fonts-dejavu-core); fi
kind=wasm32-unknown-unknown
if ! [ -d "$(rustc --print target-libdir --target "$kind")" ] && ! [ -x /usr/bin/rust-lld ]; then
    packages+=(rustc-web cargo-web rust-web-src rust-web-llvm lld-22)
fi
if [ "${#packages[@]}" -gt 0 ]; then
    sudo=""
    [ "$(id -u)" -eq 0 ] || sudo="sudo"
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
    $sudo apt-get clean
fi
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
scripts/build_web.sh "$out"
python3 web/test/test_page.py "$out" "$@"
