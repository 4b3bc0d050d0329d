#!/usr/bin/env bash
# Gives arbitrary inputs to the readers and writers of files, with libFuzzer and the stable compiler:
#   scripts/fuzz.sh [TARGET|all] [SECONDS]      every target, 15 seconds each, unless it is said otherwise
#   scripts/fuzz.sh minimize TARGET             keeps of all inputs in fuzz/corpus and of the new ones few that reach all
# FUZZ_SEED=1 makes a run repeat itself: the gate uses it, so that a change fails for what it changed. Without it each run tries others.
# A finding ends it with an error and names the input that led there. Needs a C++ compiler; on Linux only.
set -euo pipefail
cd "$(dirname "$0")/.."
target="$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz"
cd fuzz

all="csv arrays columns xlsx files model checkpoint config text onnx"
host="$(rustc -vV | sed -n 's/^host: //p')"

if ! command -v c++ >/dev/null && ! command -v clang++ >/dev/null; then
    echo "error: libFuzzer needs a C++ compiler (Debian, Ubuntu: apt-get install g++)" >&2
    exit 1
fi

# Counters at branches, and the operands of comparisons, for libFuzzer. With --target they are not in build scripts.
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags+=" -Cllvm-args=-sanitizer-coverage-trace-compares"
flags+=" --cfg fuzzing -Cdebug-assertions=yes -Coverflow-checks=yes"
RUSTFLAGS="$flags" CARGO_TARGET_DIR="$target" cargo build --locked --release --target "$host" --bins >&2
bin="$(cd "$target/$host/release" && pwd)"

# The inputs' files stay in memory where that is possible.
[ -d /dev/shm ] && export TMPDIR=/dev/shm
# Two threads that wait for one another tell libFuzzer nothing.
export RAYON_NUM_THREADS=1
# Where it was matters, not the way there through libFuzzer.
export RUST_BACKTRACE="${RUST_BACKTRACE:-0}"
max_len() { case "$1" in onnx | text) echo 512 ;; columns | xlsx) echo 16384 ;; *) echo 8192 ;; esac; }
options() {
    echo "-timeout=5 -rss_limit_mb=1024 -max_len=$(max_len "$1") -dict=dictionary.txt -print_final_stats=1 -seed=${FUZZ_SEED:-0}"
}

if [ "${1:-all}" = minimize ]; then
    name="$2"
    small="$(mktemp -d)"
    mkdir -p "$target/corpus/$name"
    # Branches alone count, not how often they are taken: there would be thousands of inputs.
    # shellcheck disable=SC2046
    "$bin/$name" $(options "$name") -set_cover_merge=1 -use_counters=0 "$small" "$target/corpus/$name" "corpus/$name"
    # Those that were written by hand, and findings, stay.
    find "corpus/$name" -type f ! -name 'seed-*' ! -name 'found-*' -delete
    mv "$small"/* "corpus/$name"
    exit
fi

[ "${1:-all}" = all ] || all="$1"
for name in $all; do
    echo "== fuzzing $name" >&2
    mkdir -p "$target/corpus/$name" "$target/artifacts/$name"
    # New inputs go to the first folder; those that are kept are read from the second.
    # shellcheck disable=SC2046
    "$bin/$name" $(options "$name") -max_total_time="${2:-15}" \
        -artifact_prefix="$target/artifacts/$name/" "$target/corpus/$name" "corpus/$name" \
        > "$target/$name.log" 2>&1 || { tail -n 60 "$target/$name.log" >&2; exit 1; }
    grep -E "^#[0-9]+.*DONE|^stat::(number_of_executed_units|average_exec)" "$target/$name.log" >&2
done
