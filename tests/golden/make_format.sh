#!/bin/sh
# Writes the run folder by which later releases are held to loading this one's checkpoints: a run that was stopped in
# its second epoch, with averaged weights and Adam. From the root of the project: sh tests/golden/make_format.sh 1
set -eu
root=$(pwd)
place=$(mktemp -d)
cd "$place"
status=0
TRAINER_FAULT=term@step=8 OMP_NUM_THREADS=1 PYTHONPATH="$root" "${PYTHON:-python}" -m trainer \
    name="format$1" data.images=96 data.classes=3 data.size=12 'model.widths=[4,8]' batch_size=16 epochs=2 log_every=2 \
    optim=adam ema=0.9 aug=none device=cpu precision=fp32 || status=$?
test "$status" = 143 # stopped by SIGTERM after a good save
rm -rf "$root/tests/golden/format$1"
mkdir -p "$root/tests/golden/format$1/checkpoints"
cd "outputs/format$1"
cp config.yaml run.json metrics.jsonl "$root/tests/golden/format$1"
cp checkpoints/last.pt checkpoints/best.pt checkpoints/manifest.json "$root/tests/golden/format$1/checkpoints"
