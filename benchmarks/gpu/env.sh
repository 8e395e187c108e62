# Sourced by the other scripts, from the root of the repository. $KEEP lasts from command to command, the ignored directories of the checkout may not.
export KEEP=${KEEP:-$HOME/keep}; mkdir -p "$KEEP"
PY=${PYBIN:-python3}
for part in .dev/a .dev/b .dev/c; do [ -d "$part" ] && cp -rn "$part"/. "$KEEP"/; done
if [ ! -d "$KEEP/site" ] && ls "$KEEP"/wheels/*.whl > /dev/null 2>&1; then
  $PY -m pip install -q --no-index --no-deps --no-compile --target "$KEEP/site" "$KEEP"/wheels/*.whl 2>&1 | tail -2
fi
export PYTHONPATH=$PWD:$KEEP/site PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=2
export JAX_COMPILATION_CACHE_DIR=$KEEP/cache JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=1
T0=$(date +%s); passed() { echo "## $(( $(date +%s) - T0 )) s: $*"; }
