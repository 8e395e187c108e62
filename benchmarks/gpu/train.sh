#!/usr/bin/env bash
# train.sh SECONDS [CONFIG] [PAIRS_PER_SECOND]: as many epochs of 25,600 pairs as fit after 75 seconds of starting. CONFIG: vits14_224.py, or vits4_168.py, which
# starts from the first blocks of what the former has trained on this machine, else of the weights that travelled. EXTRA: further flags.
. benchmarks/gpu/env.sh
HERE=benchmarks/gpu; NAME=${2:-vits14_224.py}; D=$KEEP/data; R=$KEEP/run_${NAME%.py}; I=$KEEP/init.safetensors
mkdir -p "$D"; for archive in "$KEEP"/*.tgz; do [ -e "$archive.done" ] || { tar xzf "$archive" -C "$D" && touch "$archive.done"; }; done
for part in got10k got10k_more coco_more; do [ -d "$D/$part" ] || { echo "no $part: not all data has come"; exit 9; }; done
$PY -c 'import ostrack_jax.training.trainer, ostrack_jax.cli.train' || { echo 'imports fail: stop here'; exit 9; }
if [ "$NAME" = vits4_168.py ]; then
  [ -d "$KEEP/run_vits14_224" ] && I=$KEEP/run_vits14_224
  $PY $HERE/weights.py cut "$I" "$KEEP/fast.safetensors" $HERE/$NAME && I=$KEEP/fast.safetensors
fi
E=$(( ($1 - 75) * ${3:-4000} / 25600 )); [ "$E" -ge 3 ] || E=3
passed "unpacked; epochs $E"
# shellcheck disable=SC2086
timeout -s TERM -k 30 $(( $1 + 30 )) $PY train.py --config $HERE/$NAME --workdir "$R" --init "$I" \
  --config.data.more.dir="$D/got10k_more" --config.data.got10k.dir="$D/got10k" --config.data.coco.dir="$D/coco_more" --config.data.pasted.dir="$D/coco_more" \
  --config.data.pasted.options.backgrounds="$D/got10k_more/train" --config.train.epochs=$E ${EXTRA:-} > "$OUT/train.log" 2>&1
echo "train.py ended with status $?"; tail -4 "$OUT/train.log"; passed trained
$PY $HERE/weights.py pack "$R" "$KEEP/weights.safetensors" && split -b 15000000 -d "$KEEP/weights.safetensors" "$OUT/weights.safetensors."
cp "$R"/{config.json,log.jsonl} "$OUT"/ 2>/dev/null; ls -la "$OUT"; passed done
