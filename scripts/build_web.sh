#!/usr/bin/env bash
# Builds the page that trains in a browser into web/dist: files for any host. `scripts/test_web.sh` tests it.
#
#     scripts/build_web.sh [FOLDER]
#
# Needs Rust with the target wasm32-unknown-unknown (`rustup target add wasm32-unknown-unknown`), or Debian's compiler, which builds the
# standard library for it: `apt-get install --no-install-recommends rustc-web cargo-web rust-web-src rust-web-llvm lld-22`, 170 MB to
# download and 1.05 GB on disk. Beside the files that a host should send compressed it writes them as `.gz`, and as `.br` if there is
# `brotli` or Node.js.
set -euo pipefail
cd "$(dirname "$0")/.."
out="$(realpath -m "${1:-web/dist}")"
target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
cd web
# Profiles of tests have no say here.
for name in $(compgen -e CARGO_PROFILE_ || true); do unset "$name"; done
# Functions are inlined less than is usual: most of the program runs once, and what runs often says that it wants to be inlined.
export CARGO_INCREMENTAL=0
export RUSTFLAGS="-C target-feature=+simd128 -C llvm-args=-inline-threshold=20 -C llvm-args=-inlinehint-threshold=40"

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
cp page/* "$out"
cp ../examples/datasets/*.csv "$out/examples"

echo "== compressed files"
pack_brotli() {
    if command -v brotli >/dev/null; then
        brotli --force --quality=11 --lgwin=24 --output="$1.br" "$1"
    elif command -v node >/dev/null; then
        node -e '
            const [fs, zlib] = [require("fs"), require("zlib")];
            const { BROTLI_PARAM_QUALITY: quality, BROTLI_PARAM_LGWIN: window } = zlib.constants;
            fs.writeFileSync(process.argv[1] + ".br", zlib.brotliCompressSync(fs.readFileSync(process.argv[1]), { params: { [quality]: 11, [window]: 24 } }));
        ' "$1"
    fi
}
for file in "$out"/*.{html,css,js,wasm} "$out"/examples/*.csv; do
    gzip -9 --keep --force --no-name "$file"
    pack_brotli "$file"
done
bytes() { cat "$@" | wc -c; }
echo "$out: page and program $(bytes "$out"/*.{html,css,js,wasm}) bytes, with gzip $(bytes "$out"/*.gz)$(
    ! [ -f "$out/wgrad_bg.wasm.br" ] || echo ", with brotli $(bytes "$out"/*.br)")"
