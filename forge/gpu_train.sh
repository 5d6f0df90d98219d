#!/bin/bash
# The training of the target on a lent machine, one short call at a time; what it starts goes on between calls.
#
#   start UNTIL PART...     unpacks the parts, and starts the training as soon as what it begins with is whole: a model to go
#                           on from (PRESET.gguf), or a vocabulary, and a shard. The same call for every part: a trainer that
#                           runs takes further shards at the end of its pass, and one that was cut off goes on from its
#                           checkpoint. It ends at UNTIL, by the clock, whenever it began
#   status                  how far it is
#   until UNTIL             changes when it ends
#   pause | resume          for those who need the GPU for a moment; the end stays where it is
#   cycle N                 waits until cycle N (from 1) is over (at most 500 seconds), and packs its weights; training goes on
#   finish [now]            waits until all has ended (at most 500 seconds), and packs the weights; "now": does not wait, and
#                           packs those of the last checkpoint
#   back N                  puts the N-th group of their parts, from 0, into $OUT; "status" says how many there are
#   join FOLDER INTO        at home: FOLDER holds all parts
#
# UNTIL is in minutes from now, or in seconds since 1970. Options of train.py may be given in TRAIN_OPTIONS. Everything lies
# below $FORGE_STATE.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
state=${FORGE_STATE:-$HOME/forge-run}
python=${OUTPOST_PYTHON:-python3}
group=4 # parts of a call
part_bytes=16500000 # four are within the 64 MiB of a call, each within 16
options=${TRAIN_OPTIONS:---preset target --batch 64 --micro 8 --workers 14 --compile --cycles 2 --quantized 0.5}

# One that was killed may stay as a zombie where nobody waits for it, as in a container.
is_running() {
  local pid
  pid=$(cat "$state/pid" 2> /dev/null) && kill -0 "$pid" 2> /dev/null && ! grep -qs '^State:.*Z' "/proc/$pid/status"
}

# Pieces of files that are not whole wait in .incoming.
is_ready() {
  ls "$state/data"/*.tokens > /dev/null 2>&1 && ! ls "$state/data/.incoming" | grep -q -e safetensors -e gguf &&
    find "$state/data" -maxdepth 1 -name '*.gguf' -o -maxdepth 1 -name vocabulary.json | grep -q .
}

# The clock of those who ask may be another than this machine's.
epoch_of() {
  "$python" -c 'import sys, time
now, until = time.time(), float(sys.argv[1])
until = until if until > 1e9 else now + 60 * until
if not now < until <= now + 3600:
    sys.exit(f"{until:.0f} is no time within the next hour; here it is {now:.0f}.")
print(until)' "$1"
}

# A model that was carried as it is shipped: its weights, and its vocabulary.
import_models() {
  local model weights
  for model in "$state/data"/*.gguf; do
    weights=${model%.gguf}.safetensors
    if [ -f "$model" ] && [ ! -f "$weights" ]; then
      "$python" "$here/import_gguf.py" "$model" --weights "$weights" --vocabulary "$state/data/vocabulary.json"
    fi
  done
}

unpack() {
  mkdir -p "$state/data/.incoming"
  [ $# -gt 0 ] || return 0
  "$python" "$here/carry.py" unpack "$@" --into "$state/data"
}

# Waits until a command succeeds or the training has ended; not as long as a call may last, which then packs.
wait_for() {
  local end=$((SECONDS + ${FORGE_MOST_WAIT:-500}))
  until "$@" || ! is_running || [ "$SECONDS" -ge "$end" ]; do sleep 1; done
}

has_cycle() { ls "$state/out"/*"-cycle-$1.safetensors" > /dev/null 2>&1; }

# @param the end of the names of weights: "", or "-cycle-1", which is left out in what comes back
pack_weights() {
  rm -rf "$state/back" "$state/packed" && mkdir -p "$state/back" "$state/packed"
  local wanted=(! -name '*-cycle-*')
  [ -z "$1" ] || wanted=(-name "*$1.safetensors")
  # Copies: the trainer may replace a file, linked or not, while tar reads it, and tar would fail.
  find "$state/out" -name '*.safetensors' "${wanted[@]}" -exec cp -t "$state/packed" {} +
  cp "$state/out"/*.csv "$state/packed"
  cp "$state/log" "$state/packed/training.log"
  tar -C "$state/packed" --transform "s/$1\.safetensors/.safetensors/" -cf - . |
    "$python" -c 'import lzma,shutil,sys; shutil.copyfileobj(sys.stdin.buffer, lzma.open(sys.stdout.buffer, "w", preset=0))' |
    split -b "$part_bytes" -d -a 2 - "$state/back/back."
  (cd "$state/back" && sha256sum back.* > SHA256SUMS)
  rm -rf "$state/packed"
}

case ${1:?start, status, until, pause, resume, cycle, finish, back or join} in
  start)
    until=$(epoch_of "${2:?UNTIL}")
    shift 2
    unpack "$@"
    if is_running; then
      echo "It runs already."
    elif ! is_ready; then
      echo "It starts when more parts are here."
      exit 0
    else
      mkdir -p "$state/out" "$state/code"
      cp "$here"/*.py "$state/code/" # the checkout may change while it runs
      [ -f "$state/out/deadline" ] || echo "$until" > "$state/out/deadline"
      import_models
      # Weights that were trained before: a lower rate, and other batches than those they have seen.
      first=$(find "$state/data" -name '*.safetensors' | sort | tail -n 1)
      [ -z "$first" ] || options="--init $state/data --lr 2e-3 --seed $(cksum < "$first" | cut -d ' ' -f 1) $options"
      # shellcheck disable=SC2086
      setsid "$python" "$state/code/train.py" $options --data "$state/data" --vocabulary "$state/data/vocabulary.json" \
        --out "$state/out" --deadline "$until" >> "$state/log" 2>&1 < /dev/null &
      echo $! > "$state/pid"
    fi
    sleep "${FORGE_WAIT:-20}"
    tail -n 5 "$state/log"
    ;;
  status)
    if is_running; then echo "running, process group $(cat "$state/pid")"; else echo "not running"; fi
    ls -l "$state/data" "$state/out"
    tail -n 12 "$state/log"
    nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader 2> /dev/null || true
    if [ -d "$state/back" ]; then
      n=$(find "$state/back" -name 'back.*' | wc -l)
      echo "weights: $n parts, groups 0 to $(((n - 1) / group))"
    fi
    ;;
  until) epoch_of "${2:?UNTIL}" > "$state/until" && mv "$state/until" "$state/out/deadline" ;;
  pause) kill -STOP -- "-$(cat "$state/pid")" ;;
  resume) kill -CONT -- "-$(cat "$state/pid")" ;;
  cycle)
    wait_for has_cycle "${2:?N}"
    tail -n 3 "$state/log"
    ls "$state/out"/*"-cycle-$2.safetensors"
    pack_weights "-cycle-$2"
    "$0" status | tail -n 1
    ;;
  finish)
    [ "${2:-}" = now ] || wait_for false
    tail -n 3 "$state/log"
    if is_running && [ "${2:-}" != now ]; then
      echo "It still runs. Ask again, or for the weights of its last checkpoint: finish now." >&2
      exit 1
    fi
    pack_weights ""
    "$0" status | tail -n 1
    ;;
  back)
    first=$((${2:?N} * group))
    for i in $(seq "$first" $((first + group - 1))); do
      part=$(printf 'back.%02d' "$i")
      [ -f "$state/back/$part" ] && cp "$state/back/$part" "$OUT/"
    done
    cp "$state/back/SHA256SUMS" "$OUT/"
    ls -l "$OUT"
    ;;
  join)
    into=${3:?INTO}
    (cd "${2:?FOLDER}" && sha256sum --quiet -c SHA256SUMS)
    mkdir -p "$into"
    cat "$2"/back.* | tar -xJf - -C "$into"
    ls -l "$into"
    ;;
  *) echo "There is no command $1." >&2 && exit 2 ;;
esac
