#!/usr/bin/env bash
# llama.cpp's CUDA build beside the engine, on the same GPU and the same files: builds it from the source that the npm
# package node-llama-cpp carries, measures both in turns, and prints a table. Where the GPU is; needs the toolkit, CMake,
# ninja, Python and cuBLAS, and the engine as scripts/gpu-check.sh --build leaves it. No network.
#
#   scripts/gpu-peer.sh                 both of these
#   scripts/gpu-peer.sh --build         only builds; what is built already stays
#   scripts/gpu-peer.sh --measure       only measures, on the files of gpu-check.sh --speed, which it writes if need be
#   --shapes "8b-q4_K 1b-q4_K"          which models
#   --pairs 3                           how often each of the two is measured
#   --deadline SECONDS                  begins nothing after that time, and ends what runs then
#
# The source is $OUTPOST_PEER_SOURCE, or carry/llama.tar.gz, where `node scripts/outpost.mjs gpu-models` puts it. Lines of
# both programs go to build/gpu-logs/peer.jsonl, behind those of earlier calls, and what they say else to peer.log. Every model
# is measured once before one is again, and which of the two begins alternates; the table is printed after each round.
# shellcheck disable=SC2086  # no path that is not quoted has spaces
set -uo pipefail
cd "$(dirname "$0")/.." || exit
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}"
parts="" shapes="8b-q4_K 1b-q4_K 8b-q8_0 1b-q8_0" pairs=3
# shellcheck source=scripts/lib/gpu-common.sh
. scripts/lib/gpu-common.sh
while [ $# -gt 0 ]; do
  case "$1" in
    --build | --measure) parts="$parts ${1#--}" ;;
    --shapes) shapes="$2"; shift ;;
    --pairs) pairs="$2"; shift ;;
    --deadline) set_deadline "$2"; shift ;;
    *) sed -n '2,18p' "$0"; exit 2 ;;
  esac
  shift
done
[ -n "$parts" ] || parts="build measure"
has() { case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac }
fail() { echo "$*"; exit 1; }
peer=build/gpu-peer
mkdir -p $peer
source="${OUTPOST_PEER_SOURCE:-carry/llama.tar.gz}"
bench=$peer/build/bin/llama-bench

# The first folder below those given that holds a file of this name.
folder_of() {
  local name="$1"
  shift
  find -L "$@" -maxdepth 5 -name "$name" -print 2>/dev/null | head -1 | xargs -r dirname
}

# Wheels have libcublas.so.13 and no libcublas.so, and headers of a whole toolkit beside those of cuBLAS: links to what is
# needed, and to nothing else, go to one folder.
link_libraries() {
  local toolkit major python_packages headers libraries driver
  toolkit=$(nvcc -v --dryrun x.cu 2>&1 | sed -n 's/^#\$ TOP=//p')
  [ -n "$toolkit" ] || fail "There is no nvcc: the peer cannot be built."
  major=$(nvcc --version | sed -n 's/.*release \([0-9]*\)\..*/\1/p')
  mapfile -t python_packages < <(python3 -c 'import sys; print("\n".join(p + "/nvidia" for p in sys.path if p.endswith("-packages")))' 2>/dev/null)
  libraries=$(folder_of "libcublas.so.$major*" "$toolkit" "${python_packages[@]}" /usr/lib)
  [ -n "$libraries" ] || fail "libcublas.so.$major is neither in the toolkit ($toolkit) nor in Python's packages: the peer needs cuBLAS."
  headers=$(folder_of cublas_v2.h "$libraries/../include" "$toolkit" "${python_packages[@]}" /usr/include)
  [ -n "$headers" ] || fail "cublas_v2.h is neither in the toolkit ($toolkit) nor in Python's packages: the peer needs cuBLAS."
  rm -rf "${peer:?}/include" "${peer:?}/lib"
  mkdir -p $peer/include $peer/lib
  ln -s "$headers"/cublas*.h $peer/include/
  local library
  for library in libcublas libcublasLt; do
    local versioned
    versioned=$(find -L "$libraries" -maxdepth 1 -name "$library.so.*" | sort | head -1)
    [ -n "$versioned" ] || fail "$libraries has no $library: the peer needs it."
    ln -s "$versioned" "$peer/lib/"
    ln -s "$(basename "$versioned")" "$peer/lib/$library.so"
  done
  # The driver's own library, for toolkits without the stub of it.
  driver=$(folder_of libcuda.so "$toolkit")
  if [ -n "$driver" ]; then
    driver="$driver/libcuda.so"
  else
    driver=$(ldconfig -p | sed -n 's/^.*libcuda\.so\.1 (.*x86-64.* => //p' | head -1)
    [ -n "$driver" ] || driver=$(folder_of libcuda.so.1 ${LD_LIBRARY_PATH//:/ } /usr/local/nvidia /usr/lib /usr/lib64)/libcuda.so.1
  fi
  [ -f "$driver" ] || fail "There is neither a stub of libcuda.so in the toolkit ($toolkit) nor a driver: the peer cannot be linked."
  ln -s "$driver" $peer/lib/libcuda.so
  echo "cuBLAS: $libraries, headers $headers; libcuda: $driver"
}

if has build; then
  [ -f "$source" ] || fail "There is no $source: \`node scripts/outpost.mjs gpu-models\` puts it there where Node is, and \$OUTPOST_PEER_SOURCE names another."
  mkdir -p $peer/source
  tar -xzf "$source" -C $peer/source --skip-old-files || fail "$source cannot be unpacked."
  link_libraries || exit 1
  capability=$(gpu_field compute_cap | tr -d .)
  # Attention with keys and values of its default formats, no collectives of several GPUs, and of its programs this one.
  {
    cmake -G Ninja -S $peer/source -B $peer/build -DCMAKE_BUILD_TYPE=Release \
      -DGGML_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES="${OUTPOST_PEER_ARCHITECTURE:-${capability:-90}-real}" -DGGML_CUDA_NCCL=OFF \
      -DCMAKE_CUDA_FLAGS="-isystem $PWD/$peer/include" -DCUDA_cublas_LIBRARY="$PWD/$peer/lib/libcublas.so" \
      -DCUDA_cublasLt_LIBRARY="$PWD/$peer/lib/libcublasLt.so" -DCUDA_cuda_driver_LIBRARY="$PWD/$peer/lib/libcuda.so" \
      -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF \
      -DLLAMA_BUILD_COMMIT=npm -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF &&
      start=$SECONDS &&
      LD_LIBRARY_PATH="$PWD/$peer/lib:$LD_LIBRARY_PATH" limit 3600 cmake --build $peer/build --target llama-bench &&
      echo "llama.cpp built in $((SECONDS - start)) s"
  } 2>&1 | note build.log >$logs/build.last ||
    { grep -E -A8 "error|Error|FAILED" $logs/build.last | head -40; fail "llama.cpp's build failed, or had no time: $logs/build.log"; }
  tail -1 $logs/build.last
fi

has measure || exit 0
[ -x $bench ] || fail "There is no $bench: scripts/gpu-peer.sh --build"
[ -x $build/outpost-engine ] || fail "There is no $build/outpost-engine: scripts/gpu-check.sh --build"
version=$(sed -n 's/^-- llama.cpp version: //p' $logs/build.log 2>/dev/null | tail -1)
messages=${OUT:-$logs}/peer.log said=$logs/peer.last

# Each line of a program's output, with what it measured: shape, pair, program; and what the GPU did meanwhile.
measure() { # SHAPE PAIR PROGRAM COMMAND...
  local shape="$1" pair="$2" program="$3" gpu
  shift 3
  watch_gpu limit 180 "$@" >$said 2>>"$messages" || echo "$shape, $program: exit code $?" | tee -a "$messages"
  gpu=$(sed -n 's/^gpu: //p' $said)
  sed -n "s/^{.*/{\"shape\":\"$shape\",\"pair\":$pair,\"program\":\"$program\",\"gpu\":\"$gpu\",\"result\":&}/p" $said |
    note peer.jsonl >/dev/null
}
of_peer() { # SHAPE PAIR FILE, options of llama-bench
  measure "$1" "$2" llama.cpp $bench -m "$3" -ngl 99 -o jsonl -r 3 "${@:4}"
}
of_ours() { # SHAPE PAIR FILE PROGRAM, options of bench
  measure "$1" "$2" "$4" $build/outpost-engine bench "$3" --device $device --reps 3 --json "${@:5}"
}

# Tokens at positions 64 to 192, of which our step is in the middle. Prompts also in one piece, which the peer's default of
# 512 tokens does not do.
short_context() { # PROGRAM SHAPE PAIR FILE
  case "$1" in
    ours) of_ours "${@:2}" outpost --depth 128 --prefill 2048 --decode 128 ;;
    peer)
      of_peer "${@:2}" -p 0 -n 128 -d 64 -fa on,off
      of_peer "${@:2}" -p 2048 -n 0 -ub 512,2048 -fa on,off ;;
  esac
}
long_context() { # PROGRAM SHAPE PAIR FILE
  case "$1" in
    ours) of_ours "${@:2}" "outpost steps" --depth 32768 --kv exact --prefill 512 --decode 32 ;;
    peer) of_peer "${@:2}" -p 0 -n 32 -d 32752 -fa on,off ;;
  esac
}

result=1
for round in $(seq "$pairs"); do
  order="peer ours"
  [ $((round % 2)) = 1 ] || order="ours peer"
  pair=$(date +%s%3N) # a number that no other call has
  for shape in $shapes; do
    written "$shape" || { echo "the model $shape cannot be written, or there is no time left"; continue; }
    for program in $order; do short_context "$program" "$shape" "$pair" "${TMPDIR:-/tmp}/outpost-$shape.gguf"; done
    [ "$shape" = 8b-q4_K ] || continue
    for program in $order; do long_context "$program" "$shape" "$pair" "${TMPDIR:-/tmp}/outpost-$shape.gguf"; done
  done
  echo "-- round $round of $pairs ends at $SECONDS s"
  python3 scripts/peer/gpu_report.py $logs/peer.jsonl "${version:-unknown}"
  result=$?
  [ "$(left)" -gt 0 ] || { echo "the deadline came before all pairs were measured"; result=1; break; }
done
[ $result = 0 ] || tail -20 "$messages" 2>/dev/null
exit $result
