#!/usr/bin/env bash
# bench.sh [step | forward | parity]: figures of the 256 models in bfloat16; without an argument all. Each model is a process with a limit of its own.
. benchmarks/gpu/env.sh
nvidia-smi --query-gpu=name,memory.total --format=csv,noheader; nproc
$PY -c "import sys, jax, flax, optax; print(sys.version.split()[0], jax.__version__, flax.__version__, jax.devices())" 2>&1 | tail -1
$PY -c 'import ostrack_jax.training.trainer, ostrack_jax.cli.train, ostrack_jax.tracking.tracker' || { echo 'imports fail: stop here'; exit 9; }
passed installed
models="vitb_256_mae_ce_32x4_ep300 vitb_256_mae_32x4_ep300"
case ${1:-all} in all | step) for model in $models; do
  timeout 180 $PY benchmarks/train_step.py --models $model --batches 128 --dtypes bfloat16 --rounds 3 --steps 10 --output "$OUT/step_$model.json" 2>&1 | tail -6
  passed "training step, $model"
done;; esac
case ${1:-all} in all | forward) for model in $models; do
  timeout 100 $PY benchmarks/forward.py --models $model --dtype bfloat16 --rounds 50 --output "$OUT/forward_$model.json" 2>&1 | tail -6
  passed "forward, $model"
done;; esac
case ${1:-all} in all | parity)
  JAX_PLATFORMS=cuda timeout 100 $PY -m pytest -q -x -p no:cacheprovider tests/models/test_parity.py -k "256-none" 2>&1 | tail -4
  passed parity;; esac
