#include <atomic>
#include <cinttypes>
#include <csignal>
#include <cstdio>

#include "backend/cpu/cpu_features.h"
#include "cli/command.h"
#include "core/strings.h"
#include "quant/quantize.h"
#include "quant/quantize_file.h"

namespace outpost::cli {
namespace {

std::atomic<bool> is_interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // else a signal handler must not touch it

void interrupt(int) { is_interrupted = true; }

std::string quantizer_names() {
  std::string names;
  for (uint32_t id = 0; id < 64; ++id) {
    const TensorTypeTraits* traits = tensor_type_traits(id);
    if (traits == nullptr || !can_quantize(static_cast<TensorType>(id))) continue;
    names += concat(names.empty() ? "" : ", ", traits->name);
  }
  return names;
}

/// Upper or lower case: GGUF files and their names differ in it.
TensorType parse_type(const std::string& text, const char* what) {
  const auto lower = [](std::string word) {
    for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return word;
  };
  for (uint32_t id = 0; id < 64; ++id) {
    const TensorTypeTraits* traits = tensor_type_traits(id);
    if (traits == nullptr || lower(traits->name) != lower(text)) continue;
    if (can_quantize(static_cast<TensorType>(id))) return static_cast<TensorType>(id);
  }
  throw UsageError(concat(what, " is ", in_quotes(text), "; expected one of ", quantizer_names()));
}

void print_progress(const QuantizeProgress& progress) {
  if (!progress.is_done) return;
  constexpr double kMiB = 1 << 20;
  std::fprintf(stderr, "[%4zu/%zu] %-40s %-8s", progress.i_tensor + 1, progress.n_tensors,
               in_quotes(progress.name).c_str(), tensor_type_traits(progress.from).name);
  if (progress.to == progress.from) {
    std::fprintf(stderr, " kept    %10.2f MiB\n", static_cast<double>(progress.n_bytes_from) / kMiB);
  } else {
    std::fprintf(stderr, " %-8s%10.2f MiB -> %.2f MiB\n", tensor_type_traits(progress.to).name,
                 static_cast<double>(progress.n_bytes_from) / kMiB, static_cast<double>(progress.n_bytes_to) / kMiB);
  }
}

}  // namespace

int run_quantize(const std::vector<std::string>& words) {
  const Arguments arguments(words, {"--embedding", "--output", "--threads"}, {"--force"}, 3);
  const std::string in_path = arguments.positional(0, "IN.gguf"), out_path = arguments.positional(1, "OUT.gguf");
  QuantizeOptions options{parse_type(arguments.positional(2, "TYPE"), "TYPE"), {}, {}};
  if (arguments.has("--embedding")) options.embedding = parse_type(arguments.get("--embedding"), "--embedding");
  if (arguments.has("--output")) options.output = parse_type(arguments.get("--output"), "--output");
  options.n_threads = static_cast<int32_t>(arguments.get_int("--threads", count_physical_cores(), 1, 1024));
  options.overwrites = arguments.has("--force");

  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
#ifdef SIGHUP
  std::signal(SIGHUP, interrupt);  // the terminal was closed
#endif
  const GgufFile in = GgufFile::open(in_path);
  uint64_t n_bytes = 0;
  quantize_file(in, out_path, options, [&](const QuantizeProgress& progress) {
    print_progress(progress);
    if (progress.is_done) n_bytes += progress.n_bytes_to;
    return !is_interrupted;
  });
  uint64_t n_bytes_before = 0;
  for (const TensorInfo& tensor : in.tensors()) n_bytes_before += tensor.bytes.size();
  std::printf("%s: %" PRIu64 " bytes of tensors, %" PRIu64 " before\n", out_path.c_str(), n_bytes, n_bytes_before);
  return 0;
}

}  // namespace outpost::cli
