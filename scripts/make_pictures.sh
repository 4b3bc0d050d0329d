#!/bin/sh
# Makes all pictures of the documents anew: scripts/make_pictures.sh [PROGRAM]
set -eu
cd "$(dirname "$0")/.."
wgrad=${1:-target/release/wgrad}
run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
"$wgrad" train examples/datasets/digits.csv --target digit --device cpu --quiet --no-report --out "$run/digits"
"$wgrad" plot "$run/digits" --what loss,confusion --out docs/pictures --quiet
"$wgrad" train examples/datasets/flats.csv --target rent --ignore id,let --lr 2e-3 --device cpu --quiet --no-report --out "$run/flats"
"$wgrad" plot "$run/flats" --what importance,predicted-actual --out "$run" --quiet
for picture in importance predicted-actual; do
    cp "$run/$picture.svg" "docs/pictures/flats-$picture.svg"
done
for example in 10_boundary 11_spirals 12_image 13_quantiles 14_digits 15_ensemble 16_learning_pictures; do
    cargo run --release --quiet --example "$example" -- docs/pictures
done
