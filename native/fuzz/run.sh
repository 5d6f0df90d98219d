#!/bin/sh
# Builds the fuzz targets with clang (AddressSanitizer, UndefinedBehaviorSanitizer) and runs each for SECONDS:
#   native/fuzz/run.sh [SECONDS]        20 by default; npm test runs it briefly, run it longer on request
# The corpus and an input that fails are kept in build/native/fuzz/; run <target> <input> there to repeat one.
set -eu
seconds=${1:-20}
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../../build/native/fuzz

cd "$here/.."
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz -j2
"$build/write_seeds" "$build/seeds"
# Side by side: each has one thread.
fuzz() {
  target=$1
  mkdir -p "$build/corpus-$target"
  # -rss_limit_mb and -timeout: an input that eats memory or time is a finding too.
  "$build/$target" -max_total_time="$seconds" -dict="$here/gguf.dict" -artifact_prefix="$build/failed-$target-" \
    -max_len=8192 -rss_limit_mb=1024 -timeout=5 -print_final_stats=1 \
    "$build/corpus-$target" "$build/seeds" >"$build/$target.log" 2>&1
}
echo "fuzz: gguf_fuzzer and tokenizer_fuzzer for $seconds s"
fuzz gguf_fuzzer &
gguf=$!
fuzz tokenizer_fuzzer &
tokenizer=$!
result=0
for started in "gguf_fuzzer $gguf" "tokenizer_fuzzer $tokenizer"; do
  target=${started% *}
  if wait "${started#* }"; then
    echo "fuzz: $target"
    grep -E '^stat::(number_of_executed_units|peak_rss_mb)|^Done' "$build/$target.log"
  else
    tail -n 60 "$build/$target.log"
    echo "fuzz: $target failed; the input is $build/failed-$target-*" >&2
    result=1
  fi
done
exit $result
