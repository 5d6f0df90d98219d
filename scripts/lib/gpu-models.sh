# shellcheck shell=bash disable=SC2154,SC2086,SC2016  # names of gpu-common.sh; no path that is not quoted has spaces
# The part --models of scripts/gpu-check.sh, which sources this. Each model is computed by a process of its own, which may
# fail or hang without the others; several at once, each with cores of its own.
# More than the slowest should take with four cores, where many hang already, and alone.
model_seconds=${OUTPOST_GPU_MODEL_SECONDS:-120} hung_seconds=${OUTPOST_GPU_MODEL_SECONDS:-30}
alone_seconds=${OUTPOST_GPU_MODEL_SECONDS:-60} most_hung=${OUTPOST_GPU_MOST_HUNG:-12}

# find_models: writes the tiny models, if they are not there and Node is, and prints the paths of all: those first that
# earlier runs on this machine have not found good.
find_models() {
  local folder="${OUTPOST_GPU_MODELS:-build/gpu-models}" archive=carry/node.xz node=build/gpu-models/node model
  if [ -z "${OUTPOST_GPU_MODELS:-}" ] && [ ! -f "$folder/complete" ] && [ -f $archive ]; then
    mkdir -p "$folder"
    { xz -dc $archive 2>/dev/null || python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' $archive; } >$node
    chmod +x $node
    limit 200 $node scripts/model-tests/tiny-models/write-all.mjs "$folder" >&2
  fi
  for model in "$folder"/*.gguf resources/models/outpost-code-draft-q4_K.gguf; do
    [ ! -f "$model" ] || echo "$(grep -c "^ok  *${model##*/} " $logs/models.log 2>/dev/null) $model"
  done | sort -n -s -k1,1 | cut -d' ' -f2-
}

# check_model FILE: prints a line of what came of it. MODEL_SLOT is a number of xargs. Where many hang there has to be time
# left to find out with what they do not.
check_model() {
  local model=$1 seconds=$model_seconds n_hung text code line cores
  n_hung=$(grep -c '^HUNG' $logs/models.last)
  [ "$n_hung" -lt "$most_hung" ] || { echo "LEFT   ${model##*/}: $n_hung others hang"; return; }
  [ "$n_hung" -lt 4 ] || seconds=$hung_seconds
  cores=$((MODEL_SLOT * model_cores))-$((MODEL_SLOT * model_cores + model_cores - 1))
  text=$(limit $seconds taskset -c $cores "$build/outpost-gpu-models" "$device" "$model" 2>&1)
  code=$?
  line=$(grep -E '^(ok|FAILED) ' <<<"$text")
  if [ -n "$line" ]; then echo "$line"
  elif [ "$(left)" = 0 ]; then echo "LEFT   ${model##*/}: the deadline came first"
  elif [ $code = 124 ] || [ $code = 137 ]; then echo "HUNG   ${model##*/}: not done after $seconds s"
  else echo "FAILED ${model##*/}: exit code $code: $(tail -1 <<<"$text")"; fi
}

# rerun_alone FILE: without what may be at fault beside kernels; at last each launch is waited for, so that an error names
# its kernel.
rerun_alone() {
  local switch
  for switch in OUTPOST_NONE OUTPOST_GPU_IN_ORDER OUTPOST_GPU_UNRECORDED OUTPOST_GPU_NO_STREAM \
    "OUTPOST_GPU_UNRECORDED=1 CUDA_LAUNCH_BLOCKING"; do
    [ "$(left)" -gt "$alone_seconds" ] || return
    echo "-- alone, $switch: $(env $switch=1 timeout -k 10 "$alone_seconds" "$build/outpost-gpu-models" "$device" "$1" 2>&1 |
      grep -E '^(ok|FAILED) ' || echo "${1##*/} did not end")" | cut -c1-300 | note models.log
  done
}

run_models() {
  local models name n_jobs
  built outpost-gpu-models || { fail "there is no program that compares models"; return; }
  mapfile -t models < <(find_models)
  [ ${#models[@]} -gt 0 ] || { fail "there are no models: \`node scripts/outpost.mjs gpu-models\` writes them"; return; }
  begin_log models.log
  n_jobs=$(($(nproc) < 8 ? 1 : 4))
  model_cores=$(($(nproc) / n_jobs))
  export model_seconds hung_seconds most_hung model_cores
  export -f check_model limit left
  : >$logs/models.last
  printf '%s\0' "${models[@]}" |
    xargs -0 -P $n_jobs -n 1 --process-slot-var=MODEL_SLOT bash -c 'check_model "$1"' check_model |
    tee $logs/models.last | note models.log
  # The first of those that were not good.
  while read -r name; do
    for model in "${models[@]}"; do [ "${model##*/}" != "$name" ] || rerun_alone "$model"; done
  done < <(sed -nE 's/^(FAILED|HUNG) +([^ :]*).*/\2/p' $logs/models.last | head -3)
  echo "$(grep -c '^ok ' $logs/models.last) of ${#models[@]} models are good, $(grep -c '^LEFT' $logs/models.last) were not reached" | note models.log
  [ "$(grep -c '^ok ' $logs/models.last)" = ${#models[@]} ] || fail "not all models are good"
}
