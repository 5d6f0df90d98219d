#!/usr/bin/env bash
# Everything about the CUDA backend that needs a GPU, on a machine with an NVIDIA GPU, its toolkit, CMake and ninja; no
# Node, no network.
#
#   scripts/gpu-check.sh                all of it, and docs/gpu-results.md
#   scripts/gpu-check.sh --build        only builds; the other parts build what they need
#   scripts/gpu-check.sh --speed        the speed table, on generated models in $TMPDIR (16 GB)
#   scripts/gpu-check.sh --bench        what the kernels alone reach
#   scripts/gpu-check.sh --kernels      every kernel against its definition
#   scripts/gpu-check.sh --models       whole models, and such that the CPU shares, against the CPU: those of build/gpu-models
#                                       or $OUTPOST_GPU_MODELS (`node scripts/outpost.mjs gpu-models` writes them; where
#                                       carry/ has Node, it is done here), and the draft model of resources/models
#   scripts/gpu-check.sh --peer         llama.cpp's CUDA build beside the engine, by scripts/gpu-peer.sh: on the models of
#                                       --speed, and only where its source is
#   scripts/gpu-check.sh --page [DIR…]  docs/gpu-results.md from logs, of several runs: those of build/gpu-logs, or of these
#                                       folders. Needs no GPU
#   --deadline SECONDS                  begins nothing after that time, and ends what runs then
#   --shapes "8b-q4_K 1b-q4_K"          which models --speed and --peer measure
#
# Parts are done in the order in which they are named. A part that fails does not keep the others from running; the exit
# code is 0 if all passed. Logs go to build/gpu-logs, whose earlier lines stay unless everything is done, and to $OUT where that
# is set. doctest's header is looked for in the system and in carry.
# shellcheck disable=SC2317,SC2086  # parts are called by their names; no path that is not quoted has spaces
set -uo pipefail
cd "$(dirname "$0")/.." || exit
parts="" shapes="8b-q4_K 1b-q4_K 8b-q8_0 1b-q8_0" page_folders=()
# shellcheck source=scripts/lib/gpu-common.sh
. scripts/lib/gpu-common.sh
while [ $# -gt 0 ]; do
  case "$1" in
    --build | --kernels | --models | --bench | --speed | --peer) parts="$parts ${1#--}" ;;
    --page)
      parts="$parts page"
      while [ $# -gt 1 ] && [ -d "$2" ]; do page_folders+=("$2"); shift; done ;;
    --deadline) set_deadline "$2"; shift ;;
    --shapes) shapes="$2"; shift ;;
    *) sed -n '2,25p' "$0"; exit 2 ;;
  esac
  shift
done
if [ -z "$parts" ]; then
  parts="build speed bench kernels models peer page"
  rm -f $logs/*.log $logs/*.jsonl
fi
# shellcheck source=scripts/lib/gpu-models.sh
. scripts/lib/gpu-models.sh
failed=0

# fail WHAT...: notes that something is missing in the end.
fail() { failed=1; echo "$*"; }

# How much the last build had to do: in a tree that was sent again it should be little.
steps_done() { sed -n 's,^\[\([0-9]*\)/\([0-9]*\)\].*,\1 of \2 steps,p' $logs/build.last | tail -1 | grep . || echo no step; }

# Whether targets are built, which it sees to. Each that can be compiled is, whatever becomes of the others.
configured=""
built() {
  local doctest=/usr/include start=$SECONDS
  [ -f $doctest/doctest/doctest.h ] || doctest="$PWD/carry"
  if [ -z "$configured" ]; then
    begin_log build.log >/dev/null
    [ -z "${OUT:-}" ] || [ ! -f carry/commit ] || settle_times
    limit 120 cmake -G Ninja -S native -B $build -DCMAKE_BUILD_TYPE=Release -DOUTPOST_TESTS=ON \
      -DOUTPOST_CUDA_BACKEND=ON -DOUTPOST_CUDA_ARCHITECTURES="$architecture" -DOUTPOST_WARNINGS_ARE_ERRORS=OFF \
      -DDOCTEST_INCLUDE_DIR="$doctest" 2>&1 | note build.log >$logs/build.last ||
      { grep -A8 "CMake Error" $logs/build.last; return 1; }
    configured=yes
  fi
  if ! limit 3600 cmake --build $build --target "$@" -- -k 0 2>&1 | note build.log >$logs/build.last; then
    grep -E -A8 "error|FAILED" $logs/build.last | head -40
    echo "not built, after $((SECONDS - start)) s and $(steps_done): $*" | note build.log
    return 1
  fi
  grep -q "no work to do" $logs/build.last || echo "built in $((SECONDS - start)) s, $(steps_done): $*" | note build.log
}

run_build() {
  built outpost-engine outpost-write-large-model outpost-gpu-bench || fail "the build failed"
  built outpost-gpu-tests outpost-gpu-models || fail "the build of the tests failed"
}

# An error of a GPU ends everything that its process does afterwards: what is tested has processes of its own, and a time.

run_kernels() {
  local kernel code n_hung=0 n_searched=0
  built outpost-gpu-tests || { fail "there are no tests of kernels"; return; }
  begin_log kernels.log
  rm -f $logs/kernel.last
  # A line for each kernel: the second word of a test's name. After two that hang, others get less time to do so.
  while read -r kernel; do
    limit $((n_hung < 2 ? 120 : 30)) stdbuf -oL $build/outpost-gpu-tests "-tc=gpu $kernel:*" -d=1 </dev/null >$logs/kernel.last 2>&1
    code=$?
    [ $code = 0 ] || fail "$kernel: exit code $code" >/dev/null
    printf '%-18s %s\n' "$kernel" \
      "$(sed 's/\x1b\[[0-9;]*m//g' $logs/kernel.last | grep 'test cases:' || echo "did not end (exit code $code)")" | note kernels.log
    [ $code = 0 ] || grep -E -A6 "ERROR|FAILED|values:" $logs/kernel.last | head -40 | note kernels.log
    if [ $code = 124 ] || [ $code = 137 ]; then
      n_hung=$((n_hung + 1))
      echo "-- the last that ended: $(grep ' s: ' $logs/kernel.last | tail -1)" | note kernels.log
    elif [ $n_searched -lt 2 ] && grep -qE "cudaError(Illegal|Misaligned|InvalidAddress|InvalidPc|LaunchFailure|HardwareStack)" $logs/kernel.last; then
      n_searched=$((n_searched + 1))
      find_bad_access "$kernel"
    fi
  done < <(limit 60 $build/outpost-gpu-tests --list-test-cases 2>/dev/null | sed -n 's/^gpu \([^:]*\):.*/\1/p' | sort -u)
  [ -s $logs/kernel.last ] || fail "no tests of kernels: is there a GPU?"
}

# find_bad_access KERNEL: which access an error of the device was, where there is a tool that tells.
find_bad_access() {
  command -v compute-sanitizer >/dev/null || return
  limit 60 compute-sanitizer --tool memcheck --error-exitcode 9 --print-limit 2 $build/outpost-gpu-tests "-tc=gpu $1:*" \
    </dev/null 2>&1 | grep '^=====' | head -30 | note kernels.log
}

run_bench() {
  local part
  built outpost-gpu-bench || { fail "there is no bench of kernels"; return; }
  begin_log bench.log
  for part in codes matvec layer gemm attention shortlists experts; do
    bench_part $part 150 && continue
    fail "the bench of $part failed"
    # These two measure superblock_stream, and what comes after it has not been measured then.
    case $part in matvec | layer) go_on_with OUTPOST_GPU_NO_STREAM bench.log && bench_part $part 90 ;; esac
  done
}

# bench_part PART SECONDS
bench_part() { watch_gpu limit "$2" stdbuf -o0 $build/outpost-gpu-bench "$1" 2>&1 | note bench.log; }

# go_on_with SWITCH LOG: what this call measures from now on is computed so, if it was not already (docs/gpu.md has the
# switches).
taken=""
go_on_with() {
  [ -z "${!1:-}" ] && [ "$(left)" -gt 0 ] || return 1
  export "$1=1"
  taken="$taken $1"
  echo "-- what follows is with $1" | note "$2"
}

# bench_model SHAPE WHAT, options of the bench: writes the model first.
bench_model() {
  local file="${TMPDIR:-/tmp}/outpost-$1.gguf" what="$1$2"
  written "$1" || return 1
  shift 2
  measure_model 120 "$what" "$file" "$@"
}

# measure_model SECONDS WHAT FILE, options of the bench
measure_model() {
  local seconds="$1" what="$2"
  shift 2
  { echo "-- $what"; watch_gpu limit "$seconds" $build/outpost-engine bench "$@"; } 2>&1 | note speed.log
}

# measure_shape SHAPE: as it is, or by the first switch with which it is computed at all. All that is measured later takes that
# too: one fault, of a kernel that hangs say, does not take the time of everything.
measure_shape() {
  local options=(--device $device --prefill 2048 --decode 128 --reps 3) file="${TMPDIR:-/tmp}/outpost-$1.gguf" switch
  bench_model "$1" "" "${options[@]}" && return
  fail "the speed of $1 is not known"
  [ -f "$file" ] || return
  for switch in OUTPOST_GPU_NO_STREAM OUTPOST_GPU_IN_ORDER OUTPOST_GPU_UNRECORDED; do
    if (export "$switch=1" && measure_model 60 "$1, $switch" "$file" "${options[@]}"); then
      go_on_with "$switch" speed.log
      return
    fi
  done
}

run_speed() {
  local shape kv layers gpus
  built outpost-engine outpost-write-large-model || { fail "there is no engine to measure"; return; }
  begin_log speed.log
  for shape in $shapes; do
    measure_shape "$shape"
    [ "$shape" = 8b-q4_K ] || continue
    # Steps at the end of a long context, with keys and values in f16 and in codes.
    for kv in exact compact; do
      bench_model "$shape" ", at 32768 positions, --kv $kv" --device $device --depth 32768 --kv $kv --prefill 512 --decode 32 \
        --reps 2 || fail "the speed of a long context is not known"
    done
    # Half of the layers on the device, and as many as it has room for.
    for layers in 16 fit; do
      bench_model "$shape" ", --device-layers $layers" --device $device --device-layers $layers --prefill 512 --decode 32 \
        --reps 2 || fail "the speed of a shared model is not known"
    done
    # Where there are several GPUs: all layers on them.
    gpus=$(limit 60 $build/outpost-engine devices | sed -n '/ cannot be used: /d; s/^\(cuda:[0-9]*\) .*/\1/p' | paste -sd, -)
    case "$gpus" in
      *,*) bench_model "$shape" ", --device $gpus" --device "$gpus" --prefill 2048 --decode 128 --reps 2 || fail "the GPUs fail together" ;;
    esac
  done
}

run_peer() {
  if [ ! -f "${OUTPOST_PEER_SOURCE:-carry/llama.tar.gz}" ]; then
    echo "skipped: llama.cpp's source is not here (carry/llama.tar.gz; \`node scripts/outpost.mjs gpu-models\` puts it there)"
    return
  fi
  built outpost-engine outpost-write-large-model || { fail "there is no engine to compare"; return; }
  scripts/gpu-peer.sh --shapes "$shapes" || fail "the peer was not measured"
}

run_page() {
  if scripts/lib/gpu-page.sh "${page_folders[@]:-$logs}" >$logs/page.md; then mv $logs/page.md docs/gpu-results.md
  else fail "docs/gpu-results.md cannot be written"; fi
  [ -z "${OUT:-}" ] || cp docs/gpu-results.md "$OUT/"
}

if [ "$parts" != " page" ]; then
  gpu_name=$(gpu_field name) gpu_driver=$(gpu_field driver_version) capability=$(gpu_field compute_cap | tr -d .)
  case "$capability" in 90 | 100 | 120) architecture="${capability}a" ;; *) architecture="${capability:-80}" ;; esac
  commit=$(commit_name)
  echo "GPU: ${gpu_name:-none}, architecture $architecture; commit $commit"
fi
for part in $parts; do
  echo "== $part, at $SECONDS s"
  # What is compared is compared as it is.
  case $part in kernels | models) unset -v $taken && taken="" ;; esac
  if [ "$part" != page ] && [ "$(left)" = 0 ]; then fail "$part: not begun before the deadline"; else "run_$part"; fi
done
[ $failed = 0 ] && echo "everything passed" || echo "something FAILED, or the time was short: see $logs"
exit $failed
