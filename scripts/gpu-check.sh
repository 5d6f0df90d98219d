#!/usr/bin/env bash
# Everything about the CUDA backend that needs a GPU, on a machine with an NVIDIA GPU, its toolkit, CMake and ninja; no
# Node, no network.
#
#   scripts/gpu-check.sh                all of it, and docs/gpu-results.md
#   scripts/gpu-check.sh --build        only builds
#   scripts/gpu-check.sh --kernels      every kernel against its definition
#   scripts/gpu-check.sh --models       whole models, and such that the CPU shares, against the CPU; build/gpu-models or
#                                       $OUTPOST_GPU_MODELS has them
#                                       (`node scripts/outpost.mjs gpu-models` writes them)
#   scripts/gpu-check.sh --bench        what the kernels alone reach
#   scripts/gpu-check.sh --speed        the speed table, on generated models in $TMPDIR (16 GB)
#   scripts/gpu-check.sh --peer         llama.cpp's CUDA build beside the engine, by scripts/gpu-peer.sh: on the models of
#                                       --speed, and only where its source is
#   --shapes "1b-q4_K 8b-q4_K"          which models --speed and --peer measure
#
# Logs go to build/gpu-logs, and to $OUT where that is set. doctest's header is looked for in the system and in
# build/gpu-models.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/local/cuda/bin"
parts="" shapes="1b-q4_K 1b-q8_0 8b-q4_K 8b-q8_0"
while [ $# -gt 0 ]; do
  case "$1" in
    --build | --kernels | --models | --bench | --speed | --peer) parts="$parts ${1#--}" ;;
    --shapes) shapes="$2"; shift ;;
    *) sed -n '2,21p' "$0"; exit 2 ;;
  esac
  shift
done
writes_page=0
if [ -z "$parts" ]; then parts="build kernels models bench speed peer"; writes_page=1; fi
logs=build/gpu-logs
mkdir -p $logs
build=build/native/gpu
failed=0
device="cuda:0"

name=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
case "$capability" in 90 | 100 | 120) architecture="${capability}a" ;; *) architecture="${capability:-80}" ;; esac
echo "GPU: ${name:-none}, architecture $architecture"

has() { case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac }
keep() { if [ -n "${OUT:-}" ]; then cat $logs/*.log >"$OUT/gpu-check.log" 2>/dev/null; fi; }
trap keep EXIT

# Always: it does nothing if everything is built.
doctest=/usr/include
[ -f $doctest/doctest/doctest.h ] || doctest="$PWD/build/gpu-models"
{
  cmake -G Ninja -S native -B $build -DCMAKE_BUILD_TYPE=Release -DOUTPOST_TESTS=ON \
    -DOUTPOST_CUDA_BACKEND=ON -DOUTPOST_CUDA_ARCHITECTURES="$architecture" -DOUTPOST_WARNINGS_ARE_ERRORS=OFF \
    -DDOCTEST_INCLUDE_DIR="$doctest" &&
    start=$SECONDS &&
    cmake --build $build --target outpost-gpu-tests outpost-gpu-models outpost-gpu-bench outpost-engine outpost-write-large-model &&
    echo "built in $((SECONDS - start)) s"
} >$logs/build.log 2>&1 || { grep -E -A8 "error|FAILED" $logs/build.log | head -60; echo "the build failed"; exit 1; }
tail -1 $logs/build.log

# An error of a GPU ends everything that its process does afterwards: what is tested has processes of its own, and a time.

if has kernels; then
  echo "== kernels"
  : >$logs/kernels.log
  : >$logs/kernels-table.log
  # A line for each kernel: the second word of a test's name.
  while read -r kernel; do
    timeout 120 $build/outpost-gpu-tests "-tc=gpu $kernel:*" >$logs/kernel.out 2>&1 || failed=1
    cat $logs/kernel.out >>$logs/kernels.log
    printf '%-18s %s\n' "$kernel" "$(sed 's/\x1b\[[0-9;]*m//g' $logs/kernel.out | grep 'test cases:' || echo 'did not end')" |
      tee -a $logs/kernels-table.log
  done < <($build/outpost-gpu-tests --list-test-cases 2>/dev/null | sed -n 's/^gpu \([^:]*\):.*/\1/p' | sort -u)
  rm -f $logs/kernel.out
  [ -s $logs/kernels-table.log ] || { echo "no tests of kernels: is there a GPU?"; failed=1; }
  grep -E "ERROR|FAILED|values:" $logs/kernels.log | head -20
fi

if has models; then
  echo "== models"
  models="${OUTPOST_GPU_MODELS:-build/gpu-models}"
  if ! timeout 400 $build/outpost-gpu-models $device "$models"/*.gguf >$logs/models.log 2>&1; then
    failed=1
    grep -E "FAILED|models failed|no CUDA" $logs/models.log | head -40
    # The first of those that were not good, alone, and without what may be at fault beside kernels.
    n_alone=0
    for model in "$models"/*.gguf; do
      grep -q "^ok  *$(basename "$model") " $logs/models.log && continue
      [ $((n_alone += 1)) -gt 5 ] && break
      for switch in OUTPOST_NONE OUTPOST_GPU_IN_ORDER OUTPOST_GPU_UNRECORDED OUTPOST_GPU_NO_STREAM; do
        echo "-- alone, $switch: $(env $switch=1 timeout 60 $build/outpost-gpu-models $device "$model" 2>&1 | grep -E '^(ok|FAILED)')" |
          cut -c1-300 | tee -a $logs/models.log
      done
    done
  fi
  grep "models failed" $logs/models.log
fi

if has bench; then
  echo "== bench"
  : >$logs/bench.log
  for part in matvec layer gemm experts attention codes shortlists; do
    timeout 150 $build/outpost-gpu-bench $part 2>&1 | tee -a $logs/bench.log || failed=1
  done
fi

if has speed; then
  echo "== speed"
  : >$logs/speed.log
  for shape in $shapes; do
    file="${TMPDIR:-/tmp}/outpost-$shape.gguf"
    [ -f "$file" ] || $build/outpost-write-large-model "$file" "${shape%%-*}" "${shape#*-}" 40960 || { failed=1; continue; }
    { echo "-- $shape"; timeout 120 $build/outpost-engine bench "$file" --device $device --prefill 2048 --decode 128 --reps 3; } \
      2>&1 | tee -a $logs/speed.log || failed=1
  done
  # Steps at the end of a long context, with keys and values in f16 and in codes.
  for kv in exact compact; do
    file="${TMPDIR:-/tmp}/outpost-8b-q4_K.gguf"
    [ -f "$file" ] || continue
    { echo "-- 8b-q4_K, at 32768 positions, --kv $kv"
      timeout 120 $build/outpost-engine bench "$file" --device $device --depth 32768 --kv $kv --prefill 512 --decode 32 --reps 2; } \
      2>&1 | tee -a $logs/speed.log || failed=1
  done
  # Half of the layers on the device, and as many as it has room for.
  for layers in 16 fit; do
    file="${TMPDIR:-/tmp}/outpost-8b-q4_K.gguf"
    [ -f "$file" ] || continue
    { echo "-- 8b-q4_K, --device-layers $layers"
      timeout 120 $build/outpost-engine bench "$file" --device $device --device-layers $layers --prefill 512 --decode 32 --reps 2; } \
      2>&1 | tee -a $logs/speed.log || failed=1
  done
  # Where there are several GPUs: all layers on them.
  gpus=$($build/outpost-engine devices | sed -n 's/^\(cuda:[0-9]*\) .*/\1/p' | paste -sd, -)
  case "$gpus" in *,*)
    { echo "-- 8b-q4_K, --device $gpus"
      timeout 120 $build/outpost-engine bench "${TMPDIR:-/tmp}/outpost-8b-q4_K.gguf" --device "$gpus" --prefill 2048 --decode 128 --reps 2; } \
      2>&1 | tee -a $logs/speed.log || failed=1 ;;
  esac
fi

if has peer; then
  echo "== peer"
  if [ -f "${OUTPOST_PEER_SOURCE:-carry/llama.tar.gz}" ]; then
    scripts/gpu-peer.sh --shapes "$shapes" || failed=1
  else
    echo "skipped: llama.cpp's source is not here (carry/llama.tar.gz; \`node scripts/outpost.mjs gpu-models\` puts it there)" | tee $logs/peer.md
  fi
fi

if [ $writes_page = 1 ]; then
  {
    echo "# GPU results"
    echo
    echo "Written by \`scripts/gpu-check.sh\` on ${name:-no GPU}, $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)."
    for part in kernels-table models bench speed; do
      echo; echo "## ${part%-table}"; echo; echo '```'; cat $logs/$part.log; echo '```'
    done
    echo; echo "## peer"; echo; cat $logs/peer.md
  } >docs/gpu-results.md
  [ -n "${OUT:-}" ] && cp docs/gpu-results.md "$OUT/"
fi
[ $failed = 0 ] && echo "everything passed" || echo "something FAILED: see $logs"
exit $failed
