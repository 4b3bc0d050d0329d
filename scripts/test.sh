#!/usr/bin/env bash
# Runs all tests. They need a Vulkan, Metal or DX12 adapter: where there is none, a software adapter is
# installed first (Debian, Ubuntu, Fedora, Arch), and where that is not possible the script says so and fails.
set -euo pipefail
cd "$(dirname "$0")/.."

has_adapter() {
    "${CARGO_TARGET_DIR:-target}/debug/wgrad" adapters 2>/dev/null |
        grep -qE '\((discrete GPU|integrated GPU|virtual GPU|software adapter|other adapter), (Vulkan|Metal|Dx12)'
}

# Builds the program too.
cargo test --locked --no-run "$@"
if ! has_adapter; then
    echo "no adapter found: installing a software adapter (mesa-vulkan-drivers)" >&2
    sudo=""
    [ "$(id -u)" -eq 0 ] || sudo="sudo"
    if command -v apt-get >/dev/null; then
        $sudo apt-get update -qq
        $sudo apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 >&2
    elif command -v dnf >/dev/null; then
        $sudo dnf install -y mesa-vulkan-drivers vulkan-loader >&2
    elif command -v pacman >/dev/null; then
        $sudo pacman -Sy --noconfirm vulkan-swrast vulkan-icd-loader >&2
    fi
fi
if ! has_adapter; then
    echo "error: no adapter; install a Vulkan driver (Linux: lavapipe in mesa-vulkan-drivers) and try again" >&2
    exit 1
fi

# A test that needs an adapter fails without one instead of passing by.
export REQUIRE_GPU=1

# Cargo's lines are shown as they come, and counted.
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
status=0
cargo test --locked "$@" | tee "$log" || status=$?
awk -v seconds="$SECONDS" '
    /^test result: / {
        suites += 1
        for (i = 1; i < NF; i++) {
            word = $(i + 1)
            sub(/;.*/, "", word)
            if (word == "passed") passed += $i
            if (word == "failed") failed += $i
            if (word == "ignored") ignored += $i
        }
    }
    END {
        printf "all in all: %d tests run in %d programs, %d passed, %d failed, %d ignored, %d seconds\n",
            passed + failed, suites, passed, failed, ignored, seconds
    }' "$log"
# The outcome of `cargo test`, which also fails where a test program does not compile or crashes.
exit "$status"
