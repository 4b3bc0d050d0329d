#!/usr/bin/env bash
# Trains over MPI with 1, 2 and 4 ranks, on the CPU and on the software adapter, and checks what is promised: the weights of one
# rank within 1e-5, the same bits in each run, one reader of the table on a machine, resumed runs, the end of all ranks when one dies, and
# refusals.
#
#     scripts/test_mpi.sh            builds the program with the feature `mpi`
#     scripts/test_mpi.sh PROGRAM    takes this one
#     DEVICES=cpu scripts/test_mpi.sh
#
# Needs mpirun, and to build an MPI with its headers and libclang (Debian: libopenmpi-dev openmpi-bin libclang-dev), and python3.
set -euo pipefail
cd "$(dirname "$0")/.."

program="${1:-}"
if [ -z "$program" ]; then
    cargo build --locked --features mpi --bin wgrad --target-dir "${CARGO_TARGET_DIR:-target}/mpi"
    program="${CARGO_TARGET_DIR:-target}/mpi/debug/wgrad"
fi
program="$(realpath "$program")"
devices="${DEVICES:-cpu software}"

# Containers often run everything as root.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# One thread each: ranks share the cores of one machine here.
export RAYON_NUM_THREADS=1
export NODEVICE_SELECT=1

folder="$(mktemp -d)"
launcher=""
end() {
    # A launcher that is left over would write on into the folder.
    [ -z "$launcher" ] || kill "$launcher" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap end EXIT
cd "$folder"
# Temporary files of the program, of which nothing may be left.
mkdir temporary

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# A table of two classes and six columns.
awk 'BEGIN {
    srand(7)
    print "a,b,c,d,e,f,kind"
    for (i = 0; i < 403; i++) {
        sum = 0
        for (j = 0; j < 6; j++) { x[j] = rand() * 2 - 1; sum += x[j] * (j % 3 - 1) }
        printf "%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%s\n", x[0], x[1], x[2], x[3], x[4], x[5], (sum + x[0] * x[1] > 0 ? "yes" : "no")
    }
}' >table.csv

# Prints the largest difference of two models, relative to the weight or to 1.
cat >difference.py <<'PYTHON'
import json, struct, sys

def weights(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    out = {}
    for name, it in header.items():
        if name != "__metadata__" and it["dtype"] == "F32":
            first, last = it["data_offsets"]
            part = data[8 + length + first : 8 + length + last]
            out[name] = struct.unpack(f"<{len(part) // 4}f", part)
    return out

one, other = weights(sys.argv[1]), weights(sys.argv[2])
assert one.keys() == other.keys() and one, "other tensors"
worst = 0.0
for name, values in one.items():
    assert len(values) == len(other[name])
    for a, b in zip(values, other[name]):
        difference = abs(a - b) / max(1.0, abs(a))
        # Written so that NaN fails.
        if not difference <= worst:
            worst = difference
print(worst)
sys.exit(0 if worst <= 1e-5 else 1)
PYTHON

ranks() {
    local count="$1"
    shift
    mpirun --oversubscribe -n "$count" env TMPDIR="$folder/temporary" "$program" "$@"
}
nothing_left() {
    [ -z "$(ls temporary)" ] || fail "$1 leaves $(ls temporary)"
}

layers="dense(24), batch_norm, tanh, dropout(0.1), dense(24), tanh, dense(2)"
settings=(train table.csv --target kind --layers "$layers" --optimizer sgd --momentum 0.9 --seed 3 --no-report)
usual=(--lr 0.02 --batch-size 32 --epochs 4)

for device in $devices; do
    echo "== $device"
    "$program" "${settings[@]}" "${usual[@]}" --device "$device" --out "$device-1" --quiet
    for count in 2 4; do
        ranks "$count" "${settings[@]}" "${usual[@]}" --device "$device" --out "$device-$count" --quiet
        worst="$(python3 difference.py "$device-1/model.safetensors" "$device-$count/model.safetensors")" ||
            fail "$count ranks on $device differ from one by $worst"
        echo "$count ranks: at most $worst from one rank"
        ranks "$count" "${settings[@]}" "${usual[@]}" --device "$device" --out "$device-$count-again" --quiet
        cmp "$device-$count/model.safetensors" "$device-$count-again/model.safetensors" ||
            fail "another run of $count ranks on $device has other bits"
    done
done

echo "== one reader of the table"
# Beyond 4 MiB the other ranks leave the rows in the file of the first one.
awk 'BEGIN {
    srand(8)
    print "a,b,c,d,e,f,y"
    for (i = 0; i < 90000; i++) {
        sum = 0
        for (j = 0; j < 6; j++) { x = rand() * 2 - 1; sum += x * (j % 3 - 1); printf "%.4f,", x }
        printf "%.4f\n", sum
    }
}' >large.csv
large=(--target y --hidden 8 --optimizer sgd --lr 0.02 --batch-size 4500 --epochs 2 --seed 3 --device cpu --no-report --quiet)
"$program" train large.csv "${large[@]}" --out large-1
ranks 2 train large.csv "${large[@]}" --out large-2
worst="$(python3 difference.py large-1/model.safetensors large-2/model.safetensors)" ||
    fail "2 ranks with rows in a file differ from one by $worst"
# Only the first rank gets standard input, so the others have their rows from it.
ranks 2 train - "${large[@]}" --out large-input <large.csv
cmp large-2/model.safetensors large-input/model.safetensors || fail "rows of standard input give other bits"
# The first rank, too, has its rows in a file.
ranks 2 train large.csv "${large[@]}" --host-memory 8MiB --table-cache cache --out large-stored
cmp large-2/model.safetensors large-stored/model.safetensors || fail "rows beyond the memory give other bits"
ranks 2 train large.csv "${large[@]}" --host-memory 8MiB --table-cache cache --out large-cached
cmp large-2/model.safetensors large-cached/model.safetensors || fail "rows of the cache give other bits"
[ "$(ls cache | wc -l)" -eq 1 ] || fail "the cache has $(ls cache)"
ranks 2 train large.csv "${large[@]}" --valid table-of-rows.csv --out large-valid 2>said && fail "a missing table of validation rows is no error"
grep -q "table-of-rows.csv" said || fail "the missing table is not named: $(cat said)"
head -n 3000 large.csv >table-of-rows.csv
ranks 2 train large.csv "${large[@]}" --valid table-of-rows.csv --out large-valid
ranks 2 train large.csv "${large[@]}" --init large-2/model.safetensors --out large-init
nothing_left "a run"

echo "== resumed runs"
long=("${settings[@]}" --lr 0.02 --batch-size 32 --device cpu --checkpoint-every 1)
ranks 2 "${long[@]}" --epochs 12 --out whole --quiet
ranks 2 "${long[@]}" --epochs 5 --out part --quiet
cp -r part part-of-four
ranks 2 resume part --epochs 12 --quiet
cmp whole/model.safetensors part/model.safetensors || fail "a resumed run has other bits"
ranks 4 resume part-of-four --epochs 12 --no-report >said 2>&1
grep -q "4 ranks train together, and 2 ranks did" said || fail "another number of ranks is not told: $(cat said)"
worst="$(python3 difference.py whole/model.safetensors part-of-four/model.safetensors)" ||
    fail "a run resumed on four ranks differs by $worst"

echo "== a rank that dies"
# Long enough to be killed in between: what is left is resumed.
dying=("${settings[@]}" --lr 0.02 --batch-size 32 --device cpu --epochs 400 --checkpoint-every 1)
ranks 2 "${dying[@]}" --out undisturbed --quiet
mpirun --oversubscribe -n 2 env TMPDIR="$folder/temporary" "$program" "${dying[@]}" --out killed --quiet >said 2>&1 &
launcher=$!
# The model of a first epoch, and some more epochs.
for _ in $(seq 600); do
    [ -f killed/history.csv ] && [ "$(wc -l <killed/history.csv)" -gt 4 ] && break
    sleep 0.05
done
victim="$(pgrep -P "$launcher" | tail -n 1 || true)"
[ -n "$victim" ] || fail "no rank is running: $(cat said)"
kill -KILL "$victim"
status=0
wait "$launcher" || status=$?
launcher=""
[ "$status" -ne 0 ] || fail "the end of a rank is not told by the exit code"
grep -qi "signal 9\|killed" said || fail "the end of a rank is not told: $(cat said)"
ended=$(($(wc -l <killed/history.csv) - 1))
[ "$ended" -lt 400 ] || fail "the run had ended before a rank was killed"
ranks 2 resume killed --no-report >said 2>&1 || fail "cannot be resumed: $(cat said)"
grep -q "goes on from the end of epoch" said || fail "the run did not go on from a checkpoint: $(cat said)"
cmp undisturbed/model.safetensors killed/model.safetensors || fail "the run that lost a rank has other bits"
[ -d /proc/self/fd ] && nothing_left "a killed run"
echo "killed after $ended epochs and resumed"

echo "== refusals and errors"
refused() {
    local wanted="$1"
    shift
    status=0
    "$@" >said 2>&1 || status=$?
    [ "$status" -ne 0 ] || fail "not refused: $*"
    grep -q "$wanted" said || fail "‘$wanted’ is not said: $(cat said)"
    [ "$(grep -c '^error: ' said)" -eq 1 ] || fail "not one line of one rank: $(cat said)"
}
refused "share the batches of one" ranks 2 "${settings[@]}" "${usual[@]}" --members 2 --out refused
refused "share the batches of one" ranks 2 "${settings[@]}" "${usual[@]}" --folds 3 --out refused
refused "find-lr" ranks 2 "${settings[@]}" --lr auto --epochs 2 --out refused
refused "batch-size" ranks 2 "${settings[@]}" --lr 0.02 --batch-size 0 --out refused
refused "nothing-there" ranks 2 "${settings[@]}" --ignore nothing-there --out refused
refused "TMPDIR can name a folder" mpirun --oversubscribe -n 2 env TMPDIR="$folder/no-folder" "$program" "${settings[@]}" --epochs 2 --out refused
refused "missing.csv" ranks 2 train missing.csv --target kind --out refused
[ ! -e refused ] || fail "a refused run has left a folder"

echo "all promises are kept"
