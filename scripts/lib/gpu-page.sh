#!/usr/bin/env bash
# gpu-page.sh FOLDER...: prints docs/gpu-results.md from the logs of scripts/gpu-check.sh in these folders, in the order of
# the runs. scripts/gpu-check.sh --page calls it.
# shellcheck disable=SC2016  # backquotes of Markdown
set -uo pipefail
logs() { # FILE: what all runs wrote to it
  local folder
  for folder in "${folders[@]}"; do cat "$folder/$1" 2>/dev/null; done
}
folders=("$@")
cat <<END
# GPU results

Written by \`scripts/gpu-check.sh --page\` from the logs of these runs, which [gpu.md](gpu.md) describes:

$({ for part in build speed bench kernels models; do logs $part.log; done; } | grep '^# ' | sort -u | sed 's/^# /- /')

## Goals

$(python3 scripts/peer/gpu_goals.py <(logs speed.log) <(logs bench.log) <(logs models.log) <(logs kernels.log))

## The peer

$(logs peer.jsonl | python3 scripts/peer/gpu_report.py - "$(logs build.log | sed -n 's/^-- llama.cpp version: //p' | head -1)")
END
for part in speed bench kernels models; do
  printf '\n## %s\n\n```\n%s\n```\n' "$part" "$(logs $part.log)"
done
printf '\n## builds\n\n```\n%s\n```\n' "$(logs build.log | grep -E '^(# |built in|not built|llama.cpp built)')"
