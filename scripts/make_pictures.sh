#!/bin/sh
# Makes the pictures of the README anew: scripts/make_pictures.sh [PROGRAM]
set -eu
cd "$(dirname "$0")/.."
wgrad=${1:-target/release/wgrad}
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
"$wgrad" train examples/datasets/digits.csv --target digit --device cpu --seed 1 --quiet --no-report --out "$run/digits"
"$wgrad" plot "$run/digits" --what loss,confusion --out docs/pictures --quiet
