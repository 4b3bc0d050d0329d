#!/usr/bin/env bash
# Builds the page that trains in a browser into web/dist: files for any host. `scripts/test_web.sh` tests it.
#
#     scripts/build_web.sh [FOLDER]
#
# Needs Rust with the target wasm32-unknown-unknown (`rustup target add wasm32-unknown-unknown`), or Debian's compiler, which builds the
# standard library for it: `apt-get install --no-install-recommends rustc-web cargo-web rust-web-src rust-web-llvm lld-22`, 170 MB to
# download and 1.05 GB on disk. With `wasm-opt` (of binaryen) the program becomes smaller.
set -euo pipefail
cd "$(dirname "$0")/.."
out="$(realpath -m "${1:-web/dist}")"
target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
cd web
# Profiles of tests have no say here.
for name in $(compgen -e CARGO_PROFILE_ || true); do unset "$name"; done
export CARGO_INCREMENTAL=0 RUSTFLAGS="-C target-feature=+simd128"

echo "== JavaScript between the page and its program"
CARGO_TARGET_DIR="$target/web-bindings" RUSTFLAGS="" cargo build --locked --quiet --manifest-path bindings/Cargo.toml

echo "== the program as WebAssembly"
kind=wasm32-unknown-unknown
if [ -d "$(rustc --print target-libdir --target "$kind")" ]; then
    CARGO_TARGET_DIR="$target/web" cargo build --locked --quiet --release --target "$kind"
else
    if ! [ -x /usr/bin/rust-lld ] || ! [ -d "/usr/lib/rustlib/src/rust/library/std" ]; then
        echo "error: no Rust for $kind: run \`rustup target add $kind\`, or install Debian's packages, which this script names" >&2
        exit 1
    fi
    # The standard library is built with the program, which is a feature of nightly compilers otherwise.
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=/usr/bin/rust-lld \
        CARGO_TARGET_DIR="$target/web" /usr/bin/cargo build --locked --quiet --release -Zbuild-std=std,panic_abort --target "$kind"
fi

rm -rf "$out"
mkdir -p "$out/examples"
"$target/web-bindings/debug/wgrad-web-bindings" "$target/web/$kind/release/wgrad_web.wasm" "$out"
if command -v wasm-opt >/dev/null; then
    wasm-opt -O3 --all-features "$out/wgrad_bg.wasm" -o "$out/wgrad_bg.wasm"
fi
cp page/* "$out"
cp ../examples/datasets/*.csv "$out/examples"
echo "$out: $(du -sh "$out" | cut -f1), the program $(gzip -9c "$out/wgrad_bg.wasm" | wc -c) bytes compressed"
