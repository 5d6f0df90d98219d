// outpost-gpu-models DEVICE MODEL...: what a GPU computes for whole models, against the CPU and against itself.
//
// Of each model, the distribution after every token of a random text:
// - with up to 16 tokens at once, activations become 8-bit integers as on the CPU: the CPU with the same file is the
//   reference. The two add in other orders, which now and then turns the rounding of an activation.
// - with more, weights and activations become f16, where the device has the matrix units for that: far more exact than
//   8-bit integers. The reference is the CPU with the weights as f32, where it rounds nothing.
// - on the device the bits do not depend on the chunks in which the text was computed, as long as all have at most 16
//   tokens or all have more.
// - the same holds where the processor computes the first layers and the device the others, but that activations of
//   more than 16 tokens are integers in the former: such tokens may be off as those of few are. Where there is a second
//   GPU, it has a part of the layers too.
// - keys and values in codes: the CPU with the same format is the reference, and bits do not depend on the chunks.
// Prints a line for each model; exit code 1 if one fails. Without a device it says so, exit code 0.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/strings.h"
#include "engine.h"
#include "gguf/gguf_file.h"
#include "kernels/launchers/launchers.h"
#include "quant/quantize_file.h"

namespace {

using namespace outpost;

// How far rounding moves a token's log-probabilities, in root mean square over the vocabulary.
//
// A product of rounded weights and activations is off by a part of itself that does not depend on its width, as errors
// add up like the terms do. A layer adds the results of at most six roundings in a row (keys, values, attention,
// its output, two of the feed-forward) to the residual stream, the head is one more, and independent errors add as
// squares: sqrt(6 n_layer + 1) times that part, of logits that spread by sigma.
//
// - f16 is off by at most 2^-11, in root mean square by 0.41 of it; weights and activations together by 0.58 of it.
// - 8-bit integers in groups: the largest element is about three times the group's rms and becomes 127, so a step is
//   3/127 and a rounding is off by 1/sqrt(12) of it.
//
// What this leaves out, mostly that a softmax and a norm may magnify errors, is measured: rounding the weights of 49
// of the 65 models of `outpost.mjs gpu-models` to f16 moves the median token on the CPU by 0.4 to 2.7 of this estimate
// (4.8 of it where sixteen experts are often tied). So a token may be off by kMargin estimates, the median token by
// half of that: the CPU's own rounding to 8 bits, for many tokens, is 11 times what may pass (q4_K).
constexpr double kHalfError = 0.58 * 0x1p-11;
constexpr double kByteError = 3.0 / 127 / 3.4641;
constexpr double kMargin = 8;
// A model with experts may choose another where two are nearly tied: such a token differs wholly, and those after it
// see its keys and values. All models are allowed this share of tokens, so that nothing depends on what is a tie.
constexpr double kMostBeyond = 0.05;
// The most probable token is the same wherever its lead is larger than this many limits.
constexpr double kMostLead = 6;

std::vector<double> log_probabilities(const float* logits, size_t n) {
  const double max = *std::max_element(logits, logits + n);
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += std::exp(logits[i] - max);
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = logits[i] - max - std::log(sum);
  return values;
}

/// What rounding moves a token's log-probabilities by, if each product is off by `error` of itself.
double estimate(double error, const ModelInfo& info, const std::vector<float>& logits) {
  const auto n_vocab = static_cast<size_t>(info.n_vocab);
  double variances = 0;
  for (size_t at = 0; at < logits.size(); at += n_vocab) {
    double sum = 0, squares = 0;
    for (size_t i = at; i < at + n_vocab; ++i) {
      sum += logits[i];
      squares += double{logits[i]} * logits[i];
    }
    variances += squares - sum * sum / info.n_vocab;
  }
  return error * std::sqrt(6.0 * info.n_layer + 1) * std::sqrt(variances / static_cast<double>(logits.size()));
}

struct Difference {
  double median = 0;  ///< of the tokens' rms
  double most = 0;    ///< of these
  double beyond = 0;  ///< share of tokens beyond the limit
  double limit = 0;
  bool is_good() const { return median <= limit / 2 && beyond <= kMostBeyond; }
};

Difference compare(const std::vector<float>& expected, const std::vector<float>& got, size_t n_vocab, double limit) {
  Difference d;
  d.limit = limit;
  std::vector<double> of_tokens;
  size_t n_beyond = 0;
  for (size_t at = 0; at < expected.size(); at += n_vocab) {
    const auto a = log_probabilities(&expected[at], n_vocab), b = log_probabilities(&got[at], n_vocab);
    double squares = 0;
    for (size_t i = 0; i < n_vocab; ++i) squares += (b[i] - a[i]) * (b[i] - a[i]);
    double rms = std::sqrt(squares / static_cast<double>(n_vocab));
    if (std::isnan(rms)) rms = std::numeric_limits<double>::infinity();
    const auto top_b = static_cast<size_t>(std::max_element(b.begin(), b.end()) - b.begin());
    const double lead = *std::max_element(a.begin(), a.end()) - a[top_b];
    n_beyond += rms <= limit && lead <= kMostLead * limit ? 0 : 1;
    of_tokens.push_back(rms);
  }
  std::sort(of_tokens.begin(), of_tokens.end());
  d.median = of_tokens[of_tokens.size() / 2];
  d.most = of_tokens.back();
  d.beyond = static_cast<double>(n_beyond) / static_cast<double>(of_tokens.size());
  return d;
}

/// A file that is gone when this is.
struct TemporaryFile {
  std::filesystem::path path;
  explicit TemporaryFile(const std::string& name) : path(std::filesystem::temp_directory_path() / name) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

/// The logits of the CPU with the weights of the file as f32.
std::vector<float> exact_logits(const std::string& path, const std::vector<int32_t>& tokens) {
  const TemporaryFile exact("outpost-gpu-models-" + std::to_string(std::random_device()()) + ".gguf");
  QuantizeOptions options{TensorType::kF32, {}, {}};
  quantize_file(GgufFile::open(path), exact.path.string(), options, [](const QuantizeProgress&) { return true; });
  const auto model = Model::load(exact.path.string(), LoadOptions{});
  return evaluate_logits(*model, tokens, static_cast<int32_t>(tokens.size()), 128);
}

/// The chunks in which the device computes other bits than `few`, in chunks of one, or `many`, in one chunk.
std::string find_other_chunks(const Model& model, const std::vector<int32_t>& tokens, const std::vector<float>& few,
                              const std::vector<float>& many, const std::string& kv = "exact") {
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  std::string others;
  for (const int32_t n_chunk : {2, 5, 8, 16}) {
    if (evaluate_logits(model, tokens, n_tokens, n_chunk, kv) != few) others += " " + std::to_string(n_chunk);
  }
  for (const int32_t n_chunk : {17, 64, 100}) {
    const auto part = evaluate_logits(model, tokens, n_tokens, n_chunk, kv);
    // Rows of passes with more than 16 tokens, after none with fewer.
    const int32_t n_rows = n_tokens % n_chunk > 16 ? n_tokens : n_tokens / n_chunk * n_chunk;
    const auto n = static_cast<std::ptrdiff_t>(n_rows) * model.info().n_vocab;
    if (!std::equal(part.begin(), part.begin() + n, many.begin())) others += " " + std::to_string(n_chunk);
  }
  return others;
}

/// What logits are compared with, and how far a token may be off.
struct Expected {
  const std::vector<float>& logits;
  double limit;
};

/// Devices and how many layers each computes.
struct Split {
  std::vector<std::string> devices;
  std::vector<int32_t> n_layers;
};

/// With the processor, and where there is another GPU, with that and with both.
std::vector<Split> splits_of(const std::string& device, int32_t n_layer) {
  std::vector<Split> splits;
  if (n_layer < 2) return splits;
  splits.push_back({{device}, {1}});
  if (n_layer > 2) splits.push_back({{device}, {n_layer - 1}});
  std::string reason;
  for (const DeviceInfo& other : list_devices(reason)) {
    if (other.id == "cpu" || other.id == device || !other.unusable.empty()) continue;
    splits.push_back({{device, other.id}, {n_layer / 2, n_layer - n_layer / 2}});
    if (n_layer > 2) splits.push_back({{other.id, device}, {1, n_layer - 2}});
    break;
  }
  return splits;
}

/// A model that devices share. @return what is wrong with it, or nothing
std::string check_shared(const std::string& path, const Split& split, const std::vector<int32_t>& tokens,
                         const Expected& expected_few, const Expected& expected_many) {
  LoadOptions options;
  options.devices = split.devices;
  options.n_device_layers = split.n_layers;
  const auto model = Model::load(path, options);
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  const auto n_vocab = static_cast<size_t>(model->info().n_vocab);
  const auto few = evaluate_logits(*model, tokens, n_tokens, 1), many = evaluate_logits(*model, tokens, n_tokens, 512);
  const Difference of_few = compare(expected_few.logits, few, n_vocab, expected_few.limit);
  const Difference of_many = compare(expected_many.logits, many, n_vocab, expected_many.limit);
  const std::string others = find_other_chunks(*model, tokens, few, many);
  std::string wrong;
  if (model->info().shares.size() < 2) wrong += " is not shared;";
  if (!of_few.is_good()) wrong += " few: median " + std::to_string(of_few.median) + ";";
  if (!of_many.is_good()) wrong += " many: median " + std::to_string(of_many.median) + ";";
  if (!others.empty()) wrong += " other bits in chunks of" + others + ";";
  std::string with;
  for (size_t i = 0; i < split.devices.size(); ++i)
    with += (i > 0 ? ", " : "") + std::to_string(split.n_layers[i]) + " on " + split.devices[i];
  return wrong.empty() ? "" : " with layers " + with + ":" + wrong;
}

/// Keys and values in codes, beside the CPU with the same format. Where activations differ, so do codes at a border,
/// and a code is a step of the format: two that pack alike differ by less than packing itself changes.
/// @param rounded of the CPU in f16; of_few how far a token of the device may be off there
/// @return what is wrong, or nothing
std::string check_codes(const Model& on_cpu, const Model& on_gpu, const std::vector<int32_t>& tokens,
                        const std::vector<float>& rounded, double of_few, const std::string& kv) {
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  const auto n_vocab = static_cast<size_t>(on_cpu.info().n_vocab);
  // Before the fourth page nothing is packed that a token reads: the first has its sinks, and two are fresh.
  constexpr int32_t kFirst = 192;
  if (n_tokens <= kFirst) return "";
  const auto packed_part = [&](const std::vector<float>& logits) {
    return std::vector<float>(logits.begin() + static_cast<std::ptrdiff_t>(kFirst * n_vocab), logits.end());
  };
  const auto expected = packed_part(evaluate_logits(on_cpu, tokens, n_tokens, 128, kv));
  const double of_format = compare(packed_part(rounded), expected, n_vocab, 1).median;
  const auto few = evaluate_logits(on_gpu, tokens, n_tokens, 1, kv);
  const auto many = evaluate_logits(on_gpu, tokens, n_tokens, 512, kv);
  const double limit = of_few + 2 * of_format;
  std::string wrong;
  for (const auto& [name, logits] : {std::pair("few", &few), {"many", &many}}) {
    const Difference d = compare(expected, packed_part(*logits), n_vocab, limit);
    if (d.median > limit / 2) {
      wrong += concat(" ", kv, " ", name, ": median ", d.median, " where the format itself changes ", of_format, ";");
    }
  }
  const std::string others = find_other_chunks(on_gpu, tokens, few, many, kv);
  if (!others.empty()) wrong += concat(" ", kv, ": other bits in chunks of", others, ";");
  return wrong;
}

/// A model with experts of which the device holds some, fewer than a prompt chooses: the bits of one that is whole
/// there.
/// @return what is wrong, or nothing
std::string check_slots(const std::string& device, const std::string& path, const std::shared_ptr<Model>& whole,
                        const std::vector<int32_t>& tokens, const std::vector<float>& few,
                        const std::vector<float>& many) {
  const uint64_t total_bytes = Engine::create(whole)->stats().experts.total_bytes;
  std::string wrong;
  for (const uint64_t budget : {uint64_t{1}, total_bytes / 2}) {
    LoadOptions options;
    options.devices = {device};
    options.device_expert_bytes = std::max<uint64_t>(budget, 1);
    const auto model = Model::load(path, options);
    const auto n_tokens = static_cast<int32_t>(tokens.size());
    if (evaluate_logits(*model, tokens, n_tokens, 1) != few) wrong += " few experts: other bits one by one;";
    if (evaluate_logits(*model, tokens, n_tokens, 8) != few) wrong += " few experts: other bits eight by eight;";
    if (evaluate_logits(*model, tokens, n_tokens, 512) != many) wrong += " few experts: other bits at once;";
    const ExpertCacheStats stats = Engine::create(model)->stats().experts;
    // A layer holds as many experts as a token uses, whatever the budget is: perhaps all.
    const bool has_slots = stats.resident_bytes < stats.total_bytes;
    if (has_slots && stats.n_misses == 0) wrong += " few experts: no misses;";
    if (!has_slots && model->info().n_expert > model->info().n_expert_used) wrong += " few experts: all are resident;";
  }
  return wrong;
}

bool check_model(const std::string& device, const std::string& path) {
  LoadOptions options;
  const auto on_cpu = Model::load(path, options);
  options.devices = {device};
  const auto on_gpu = Model::load(path, options);
  const ModelInfo& info = on_cpu->info();
  std::mt19937 random(7);
  std::vector<int32_t> tokens;
  const int32_t n_tokens = std::min(300, info.n_ctx_train);
  for (int32_t i = 0; i < n_tokens; ++i)
    tokens.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(info.n_vocab)));
  const auto n_vocab = static_cast<size_t>(info.n_vocab);

  const auto exact = exact_logits(path, tokens), rounded = evaluate_logits(*on_cpu, tokens, n_tokens, 128);
  const auto few = evaluate_logits(*on_gpu, tokens, n_tokens, 1),
             many = evaluate_logits(*on_gpu, tokens, n_tokens, 512);
  const double of_halves = kMargin * estimate(kHalfError, info, exact);
  const Difference of_cpu = compare(exact, rounded, n_vocab, of_halves);
  const bool cpu_rounds = !of_cpu.is_good();  // activations, to integers

  // Alike are two that round alike when they differ by less than rounding itself does. Of some types (IQ1) the CPU
  // keeps activations, and the device does not.
  const bool is_float = info.file_type == "f32" || info.file_type == "f16" || info.file_type == "bf16";
  const double of_few = cpu_rounds ? std::max(of_cpu.median, of_halves)
                        : is_float ? of_halves
                                   : kMargin * estimate(kByteError, info, exact);
  const Difference with_few = compare(rounded, few, n_vocab, of_few);
  const Difference with_many = compare(exact, many, n_vocab, of_halves);

  const std::string others = find_other_chunks(*on_gpu, tokens, few, many);
  std::string wrong;
  for (const Split& split : splits_of(device, info.n_layer))
    wrong += check_shared(path, split, tokens, {rounded, of_few}, {exact, of_halves + 2 * of_cpu.median});
  if (info.n_expert > 0) wrong += check_slots(device, path, on_gpu, tokens, few, many);
  for (const char* kv : {"safe", "compact", "max"}) wrong += check_codes(*on_cpu, *on_gpu, tokens, rounded, of_few, kv);
  const bool is_good = with_few.is_good() && with_many.is_good() && others.empty() && wrong.empty();
  std::printf("%s %-28s", is_good ? "ok    " : "FAILED", path.substr(path.find_last_of('/') + 1).c_str());
  for (const auto& [name, d] : {std::pair("few", &with_few), {"many", &with_many}})
    std::printf(" %s: median %.4f, most %.3f, %.1f %% beyond %.4f;", name, d->median, d->most, 100 * d->beyond,
                d->limit);
  std::printf(" CPU rounds by %.4f%s%s%s\n", of_cpu.median, others.empty() ? "" : "; other bits in chunks of",
              others.c_str(), wrong.c_str());
  return is_good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: outpost-gpu-models DEVICE MODEL...\n");
    return 2;
  }
  std::string reason;
  list_devices(reason);
  if (!reason.empty()) {
    std::printf("no CUDA device: %s. Nothing was checked.\n", reason.c_str());
    return 1;
  }
  int n_failed = 0;
  for (int i = 2; i < argc; ++i) {
    try {
      n_failed += check_model(argv[1], argv[i]) ? 0 : 1;
    } catch (const std::exception& error) {
      std::printf("FAILED %s: %s\n", argv[i], error.what());
      ++n_failed;
    }
    std::fflush(stdout);
  }
  std::printf("%d of %d models failed\n", n_failed, argc - 2);
  return n_failed == 0 ? 0 : 1;
}
