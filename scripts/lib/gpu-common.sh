# shellcheck shell=bash disable=SC2154,SC2086  # names of gpu-check.sh; no path that is not quoted has spaces
# What scripts/gpu-check.sh and scripts/gpu-peer.sh share: logs, times, and what is known of the GPU. To be sourced in the
# repository's root.
export PATH="$PATH:/usr/local/cuda/bin"
export device="cuda:0" build=build/native/gpu logs=build/gpu-logs
export deadline_at="${deadline_at:-}" # in seconds since 1970; empty: there is none
mkdir -p $logs

# Adds the standard input to a log, and shows it. Where there is $OUT, whose files come back from a lent machine, the log is
# there too, line by line: a script that is killed at the limit of its time has told what it measured.
note() { tee -a "$logs/$1" ${OUT:+"$OUT/$1"}; }

set_deadline() { deadline_at=$(($(date +%s) + $1)); }

# Seconds until the deadline; not more than a day.
left() {
  local rest=86400
  [ -z "$deadline_at" ] || rest=$((deadline_at - $(date +%s)))
  echo $((rest > 0 ? rest : 0))
}

# limit SECONDS COMMAND...: ends a command that takes longer than this, or than the deadline leaves. 124 or 137 then.
limit() {
  local seconds=$1 rest
  shift
  rest=$(left)
  [ "$rest" -gt 0 ] || return 124
  timeout -k 10 $((seconds < rest ? seconds : rest)) "$@"
}

# written SHAPE: whether the generated model of that shape is in $TMPDIR, whole.
written() {
  local file="${TMPDIR:-/tmp}/outpost-$1.gguf"
  [ -f "$file" ] || { limit 300 $build/outpost-write-large-model "$file.part" "${1%%-*}" "${1#*-}" 40960 &&
    mv "$file.part" "$file"; }
}

# gpu_field NAME: nothing where there is no GPU.
gpu_field() { timeout 20 nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -1; }

# What is compiled, as a short number.
sum_sources() { find native kernels -type f -print0 | sort -z | xargs -0 cat | sha1sum | cut -c1-12; }

# The commit. A working tree that was sent somewhere has none of Git's files, but carry/commit, of
# `node scripts/outpost.mjs gpu-lease`: a commit and the sum of its sources.
commit_name() {
  local commit sources changes=" and changes"
  if commit=$(git rev-parse --short HEAD 2>/dev/null); then
    git diff --quiet HEAD -- native kernels && changes=""
  else
    { read -r commit sources <carry/commit; } 2>/dev/null || { echo unknown; return; }
    [ "$sources" = "$(sum_sources)" ] && changes=""
  fi
  echo "$commit$changes"
}

# begin_log FILE: who writes the lines that follow, and when.
begin_log() {
  echo "# $(date -u '+%Y-%m-%d %H:%M') UTC, ${gpu_name:-no GPU}, driver ${gpu_driver:-none}, commit ${commit:=$(commit_name)}" |
    note "$1"
}

# Whoever sends a tree to another machine may give each file a new time, and everything would be compiled again. So a file
# gets the time at which its content was first seen.
settle_times() {
  local times=build/gpu-times sum path known
  find native kernels -type f -exec sha1sum {} + | while read -r sum path; do
    known=""
    { read -r known <"$times/$path"; } 2>/dev/null
    [ "$known" = "$sum" ] || { mkdir -p "$times/${path%/*}" && echo "$sum" >"$times/$path"; }
    touch -r "$times/$path" "$path"
  done
}

# watch_gpu COMMAND...: runs it and prints, last, what the GPU's clocks, temperature and power were meanwhile.
watch_gpu() {
  local samples watcher code
  samples=$(mktemp)
  stdbuf -oL nvidia-smi --query-gpu=clocks.sm,clocks.mem,temperature.gpu,power.draw --format=csv,noheader,nounits -lms 500 \
    >"$samples" 2>/dev/null &
  watcher=$!
  "$@"
  code=$?
  kill $watcher 2>/dev/null
  wait $watcher 2>/dev/null
  awk -F', *' 'NF == 4 { if (!n++ || $1 < low) low = $1; if ($1 > sm) sm = $1; memory = $2
      if ($3 > heat) heat = $3; if ($4 > watts) watts = $4 }
    END { if (n) printf "gpu: %d to %d MHz, memory %d MHz, at most %d C and %d W\n", low, sm, memory, heat, watts }' "$samples"
  rm -f "$samples"
  return $code
}
