#!/usr/bin/env bash
# What is to be known of a GPU, in under six minutes: scripts/measure_gpu.sh PROGRAM OUT [DEVICE]
#
# PROGRAM is a release build of wgrad, OUT a new folder, DEVICE gpu (the default), software or part of an adapter's name.
# OUT/report.md has the tables for people, OUT/results.json all figures. What fails or takes too long is named in the report, and
# the rest goes on. If python3 has torch with CUDA, PyTorch does the same steps: eagerly, compiled, and as a captured graph.
set -uo pipefail

if [ $# -lt 2 ]; then
    sed -n 's/^# \{0,1\}//p' "$0" | head -6 >&2
    exit 2
fi
program=$(realpath "$1")
out=$2
device=${3:-gpu}
scripts=$(cd "$(dirname "$0")" && pwd)
if [ -e "$out" ]; then
    echo "$out is there already; give a new folder" >&2
    exit 2
fi
mkdir -p "$out"
# Choices of earlier runs would hide what tuning takes.
export XDG_CACHE_HOME="$out/cache"
began=$SECONDS
LIMIT=${LIMIT:-350}
failed=0

# stage NAME SECONDS COMMAND...: runs a command for at most so long, its lines of JSON to OUT/NAME.jsonl.
stage() {
    local name=$1 limit=$2 left=$((LIMIT - SECONDS + began))
    shift 2
    [ "$left" -lt "$limit" ] && limit=$left
    if [ "$limit" -le 0 ]; then
        echo "- $name: left out, since $LIMIT s are over" >>"$out/notes.txt"
        failed=1
        return
    fi
    echo "$name" >&2
    timeout "$limit" "$@" >"$out/$name.jsonl" 2>"$out/$name.err"
    local status=$?
    if [ $status -ne 0 ]; then
        [ $status -eq 124 ] && echo "- $name: stopped after $limit s" >>"$out/notes.txt"
        [ $status -ne 124 ] && echo "- $name: $(tail -n 1 "$out/$name.err")" >>"$out/notes.txt"
        failed=1
    fi
}

# field LINE KEY: a value of a flat JSON object, numbers with four digits.
field() {
    local value
    value=$(sed -nE 's/.*"'"$2"'":("([^"]*)"|\[([^]]*)\]|([^][,}"]*)).*/\2\3\4/p' <<<"$1")
    if [[ $value =~ ^-?[0-9]+\.[0-9]+(e-?[0-9]+)?$ ]]; then
        LC_ALL=C printf '%.4g' "$value"
    else
        printf '%s' "${value//,/ x }"
    fi
}

# rows NAME KEY...: the lines of a stage as rows of a table.
rows() {
    local name=$1 line key
    shift
    echo
    printf '|'
    printf ' %s |' "$@"
    printf '\n|'
    printf -- '---|%.0s' "$@"
    echo
    [ -f "$out/$name.jsonl" ] || return 0
    while IFS= read -r line; do
        printf '|'
        for key in "$@"; do
            printf ' %s |' "$(field "$line" "$key")"
        done
        echo
    done <"$out/$name.jsonl"
}

bench=("$program" bench --device "$device" --no-verify --quiet --json)
stage adapters 20 "$program" adapters --json
stage verify 90 "$program" verify --device "$device" --quiet --json
stage steps_f32 60 "${bench[@]}" --seconds 1
stage steps_f16 40 "${bench[@]}" --seconds 1 --precision f16
stage steps_cpu 15 "$program" bench --device cpu --no-verify --quiet --json --seconds 1
stage profile 40 "${bench[@]}" --seconds 0.5 --profile --workload mnist --workload wide
# Small networks: whole steps by one dispatch beside their kernels one by one.
small=()
for width in 16 32 64 128 256; do
    small+=(--network "$width,$width,$width,10")
done
stage small_whole 30 "${bench[@]}" --seconds 0.3 --batch-size 64 "${small[@]}"
stage small_single 30 "${bench[@]}" --seconds 0.3 --batch-size 64 --single-kernels "${small[@]}"
# Products by shape: one layer between wide ones.
shapes=()
for width in 256 1024 4096; do
    shapes+=(--network "$width,$width,$width")
done
for batch in 64 1024; do
    stage "products_$batch" 30 "${bench[@]}" --seconds 0.3 --profile --batch-size "$batch" "${shapes[@]}"
done
stage tuned 90 "${bench[@]}" --seconds 1 --tune full --workload mnist --workload wide
if python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    stage torch 90 python3 "$scripts/measure_torch.py"
else
    echo "- torch: left out, since python3 has no torch with CUDA" >>"$out/notes.txt"
fi

{
    echo "# A GPU measured"
    echo
    echo "$(date -u +%F), $("$program" --version), \`scripts/measure_gpu.sh\` with the device \`$device\`, $((SECONDS - began)) s"
    echo
    echo "## Adapters"
    rows adapters name kind backend driver
    echo
    echo "## Verification"
    echo
    failures=$(grep -c '"failure":"' "$out/verify.jsonl")
    if [ -s "$out/verify.jsonl" ]; then
        tail -n 1 "$out/verify.jsonl"
    fi
    echo
    echo "Comparisons that failed: $failures"
    echo
    echo "## Training steps, f32 and f16, and on the CPU"
    for name in steps_f32 steps_f16 steps_cpu; do
        rows $name workload precision adapter step_ms samples_s gflops first_step_s peak_device_bytes
    done
    echo
    echo "## The same after --tune full"
    rows tuned workload precision step_ms samples_s gflops first_step_s
    echo
    echo "## Small networks, batches of 64: whole steps in one dispatch where they fit, then kernel by kernel"
    rows small_whole workload step_ms samples_s gflops
    rows small_single workload step_ms samples_s gflops
    echo
    echo "## Kernels of a step"
    grep '"event":"kernel"' "$out/profile.jsonl" >"$out/only_profile.jsonl" 2>/dev/null
    rows only_profile workload kernel sizes us gflops gb_s share
    echo
    echo "## Products by shape"
    best=$(cat "$out"/products_*.jsonl "$out/profile.jsonl" 2>/dev/null | sed -nE 's/.*"gflops":([0-9.]+).*/\1/p' | sort -g | tail -n 1)
    echo
    echo "The fastest product: ${best:-none} GFLOP/s"
    for batch in 64 1024; do
        grep '"kernel":"matmul' "$out/products_$batch.jsonl" >"$out/only_$batch.jsonl" 2>/dev/null
        rows "only_$batch" workload kernel sizes us gflops
    done
    if [ -f "$out/torch.jsonl" ]; then
        echo
        echo "## PyTorch, TF32 off"
        rows torch workload form step_ms gflops
    fi
    if [ -s "$out/notes.txt" ]; then
        echo
        echo "## What is missing"
        echo
        cat "$out/notes.txt"
    fi
} >"$out/report.md"

# One object: each stage's lines as an array.
{
    echo '{'
    first=1
    for file in "$out"/*.jsonl; do
        name=$(basename "$file" .jsonl)
        case $name in only_*) continue ;; esac
        [ $first -eq 1 ] || echo ','
        first=0
        # A stage that was stopped may end in the middle of a line.
        printf '"%s": [%s]' "$name" "$(grep -E '^\{.*\}$' "$file" | paste -sd, -)"
    done
    echo
    echo '}'
} >"$out/results.json"
rm -rf "$out/cache" "$out"/only_*.jsonl
echo "$out/report.md and $out/results.json" >&2
exit $failed
