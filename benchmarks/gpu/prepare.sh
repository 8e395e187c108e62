#!/usr/bin/env bash
# prepare.sh DATA: fill the ignored directory .dev with what a GPU machine without a network needs; see README.md. From the root of the repository.
set -euo pipefail
DATA=${1:?the directory of training data, see benchmarks/gpu/README.md}; PY=${PY:-.venv/bin/python}; HERE=benchmarks/gpu
EXCLUDE=$(git rev-parse --git-path info/exclude); mkdir -p "$(dirname "$EXCLUDE")"
grep -qx '/.dev/' "$EXCLUDE" 2>/dev/null || echo '/.dev/' >> "$EXCLUDE"
rm -rf .dev; mkdir -p .dev/a/wheels .dev/b .dev/c
PLATFORMS=$(for tag in manylinux_2_28 manylinux_2_27 manylinux_2_24 manylinux2014 manylinux1; do echo "--platform ${tag}_x86_64"; done)
# what the machine lacks; jax, flax, numpy, opencv and the like are there
# shellcheck disable=SC2086
$PY -m pip download -q --no-deps --python-version 3.12 --only-binary=:all: $PLATFORMS -d .dev/a/wheels av grain array-record ml-collections optax rich tensorboardX \
  tensorflow-datasets dm-tree immutabledict simple-parsing docstring-parser tensorflow-metadata toml googleapis-common-protos termcolor wrapt beartype portpicker
$PY $HERE/weights.py pack "${INIT:-small}" .dev/b/init.safetensors
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT
$PY $HERE/shrink.py "$DATA" "$T"
tar czf .dev/b/videos.tgz -C "$T" got10k got10k_more
tar czf .dev/c/images.tgz -C "$T" coco_more
du -ab .dev | sort -n | tail -8
