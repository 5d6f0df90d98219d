#!/bin/bash
# The training of the pair on a lent machine, one short call at a time; what it starts goes on between calls.
#
#   start MINUTES PART...   unpacks the parts, and starts the training of that many minutes as soon as what it begins with
#                           is whole: weights to go on from, if the parts hold any, the vocabulary, and a shard. The same
#                           call for every part: a trainer that runs takes further shards at the end of its pass, and one
#                           that was cut off goes on from its checkpoint
#   status                  how far it is
#   minutes N               changes how long it trains in all
#   pause | resume          for those who need the GPU for a moment; such time does not count
#   finish                  waits until it has ended (at most 8 minutes), and packs the weights
#   back N                  puts the N-th group of their parts, from 0, into $OUT; "status" says how many there are
#   join FOLDER INTO        at home: FOLDER holds all parts
#
# Options of train.py may be given in TRAIN_OPTIONS. Everything lies below $FORGE_STATE.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
state=${FORGE_STATE:-$HOME/forge-run}
python=${OUTPOST_PYTHON:-python3}
group=4 # parts of a call
part_bytes=15500000
options=${TRAIN_OPTIONS:---preset target --preset draft --batch 64 --micro 8 --workers 14 --compile}

# One that was killed may stay as a zombie where nobody waits for it, as in a container.
is_running() {
  local pid
  pid=$(cat "$state/pid" 2> /dev/null) && kill -0 "$pid" 2> /dev/null && ! grep -qs '^State:.*Z' "/proc/$pid/status"
}

# Pieces of files that are not whole wait in .incoming.
is_ready() {
  [ -f "$state/data/vocabulary.json" ] && ls "$state/data"/*.tokens > /dev/null 2>&1 &&
    ! ls "$state/data/.incoming" | grep -q safetensors
}

unpack() {
  mkdir -p "$state/data/.incoming"
  [ $# -gt 0 ] || return 0
  "$python" "$here/carry.py" unpack "$@" --into "$state/data"
}

pack_weights() {
  rm -rf "$state/back" && mkdir -p "$state/back"
  cp "$state/log" "$state/out/training.log"
  (cd "$state/out" && ls ./*.safetensors ./*.csv training.log | tar -cf - -T -) |
    "$python" -c 'import lzma,shutil,sys; shutil.copyfileobj(sys.stdin.buffer, lzma.open(sys.stdout.buffer, "w", preset=0))' |
    split -b "$part_bytes" -d -a 2 - "$state/back/back."
  (cd "$state/back" && sha256sum back.* > SHA256SUMS)
}

case ${1:?start, status, minutes, pause, resume, finish, back or join} in
  start)
    minutes=${2:?MINUTES}
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
      # Weights that were trained before: a lower rate, and other batches than those they have seen.
      first=$(find "$state/data" -name '*.safetensors' | sort | tail -n 1)
      [ -z "$first" ] || options="--init $state/data --lr 2e-3 --seed $(cksum < "$first" | cut -d ' ' -f 1) $options"
      # shellcheck disable=SC2086
      setsid "$python" "$state/code/train.py" $options --data "$state/data" --vocabulary "$state/data/vocabulary.json" \
        --out "$state/out" --train-minutes "$minutes" >> "$state/log" 2>&1 < /dev/null &
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
  minutes) echo "${2:?N}" > "$state/out/minutes" ;;
  pause) kill -STOP -- "-$(cat "$state/pid")" ;;
  resume) kill -CONT -- "-$(cat "$state/pid")" ;;
  finish)
    for _ in $(seq 480); do
      is_running || break
      sleep 1
    done
    is_running && echo "It still runs; these are the weights of its last checkpoint."
    tail -n 3 "$state/log"
    pack_weights
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
