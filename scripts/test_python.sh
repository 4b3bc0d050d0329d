#!/usr/bin/env bash
# Builds the Python module without optimisation, in the folder of the other builds, and runs its tests:
#   scripts/test_python.sh [PYTHON] [OPTIONS OF PYTEST]
# PYTHON needs numpy, scikit-learn and pytest; with pandas, polars, distributed and onnxruntime all tests run.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${1:-python3}"
shift || true
target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
CARGO_TARGET_DIR="$target" cargo build --locked --manifest-path python/Cargo.toml
library="$target/debug/lib_wgrad.so"
[ -f "$library" ] || library="$target/debug/lib_wgrad.dylib"
cp "$library" python/wgrad/_wgrad.abi3.so
cd python
PYTHONPATH=. "$python" -m pytest -q -p no:cacheprovider "$@"
