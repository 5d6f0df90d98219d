// outpost-gpu-bench [layer] [matvec] [gemm] [experts] [attention] [codes] [shortlists]: what the kernels for few and
// for many tokens reach on a GPU, beside what its memory, or its matrix units when nothing has to be brought to them,
// can do; attention over codes beside that over f16; what each kernel of a layer costs in a pass; and shortlists beside
// copies of whole rows. The tile that the backend would choose has a *. Each figure is the median of several runs. Exit
// code 0 without a device too.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "backend/kv_format.h"
#include "kernels/launchers/launchers.h"
#include "kernels/launchers/shortlist_arguments.h"
#include "kernels/portable/attention_tiles.h"
#include "tests/gpu/bench_support.h"
#include "tests/gpu/experts_bench.h"
#include "tests/gpu/layer_bench.h"

namespace {

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

/// TFLOP/s of bf16 products alone.
double measure_rate(int32_t n_multiprocessors) {
  DeviceArray<float> y("y", static_cast<size_t>(n_multiprocessors) * 256);
  double n_operations = 0;
  const double ms = median_ms(
      [&](int) { check(launch_matrix_rate(nullptr, y, n_multiprocessors, 50000, n_operations), "matrix_rate"); });
  return n_operations / ms * 1e-9;
}

/// GB/s of a copy, bytes read and bytes written.
double measure_copy() {
  constexpr size_t kBytes = size_t{1} << 30;
  void *from = nullptr, *to = nullptr;
  check(allocate(from, kBytes), "memory");
  check(allocate(to, kBytes), "memory");
  const double ms = median_ms([&](int) { check(copy(nullptr, to, from, kBytes, Copy::kOnDevice), "a copy"); });
  release(from);
  release(to);
  return 2e-6 * kBytes / ms;
}

/// Products with few tokens, one after the other as in a recorded pass, with more weights than caches hold.
void measure_matvec(TensorType type, int64_t n_rows, int64_t n_cols, bool is_gated, SuperPath path, double copy_rate) {
  constexpr int kMatrices = 48;
  const DeviceType device_type(type, can_widen(type, n_cols));
  const std::vector<std::byte> bytes = device_weight(device_type, n_rows, n_cols);
  const size_t n_copies = std::max<size_t>(2, (size_t{400} << 20) / bytes.size());
  std::vector<std::unique_ptr<DeviceArray<std::byte>>> weights;
  for (size_t i = 0; i < n_copies; ++i) weights.push_back(std::make_unique<DeviceArray<std::byte>>("weight", bytes));
  std::printf("matvec %-5s %6lld x %-6lld%s %s", tensor_type_traits(type).name, static_cast<long long>(n_rows),
              static_cast<long long>(n_cols), is_gated ? " gated" : "      ",
              path == kSuperBulkCopies ? "bulk copies" : "registers  ");
  double first_ms = 0;
  for (const int32_t n_tokens : {1, 2, 8, 16}) {
    const auto n = static_cast<size_t>(n_tokens * n_cols);
    DeviceArray<float> x("x", random_f32(n, 2)), y("y", static_cast<size_t>(n_tokens * n_rows));
    DeviceArray<uint32_t> codes("codes", n / 4), sums("sums", n / 32), pairs("pairs", n / 64);
    DeviceArray<float> scales("scales", n / 32);
    const auto n_groups = static_cast<int32_t>(n_cols / 32);
    check(launch_quantize(nullptr, x, {codes, scales, sums, pairs},
                          {n_groups * n_tokens, takes_super_groups(device_type) ? 1 : 0}),
          "quantize_activations");
    const QuantizedInput input{codes, scales, sums, pairs};
    const MatvecParams params{static_cast<int32_t>(n_rows), n_groups, n_tokens, 0, 0};
    const int n_matrices = is_gated ? 2 : 1;  // of a launch
    const auto launch = [&](Stream stream, int i) {
      const auto first = static_cast<size_t>(i * n_matrices);
      const auto* weight = weights[first % n_copies]->pointer();
      const auto* other = weights[(first + 1) % n_copies]->pointer();
      const MatrixProduct product = {weight, nullptr, y, params.n_rows};
      check(is_gated ? launch_matvec_gated(stream, device_type, weight, other, input, nullptr, nullptr, y, params, path)
                     : launch_matvec_set(stream, device_type, &product, 1, input, n_groups, n_tokens, path),
            "matvec");
    };
    const double ms = recorded_ms(kMatrices / n_matrices, launch) / n_matrices;
    const double rate = 1e-6 * static_cast<double>(bytes.size()) / ms;
    if (n_tokens == 1) first_ms = ms;
    std::printf("  %2d: %6.2f us %5.0f GB/s %3.0f %% (%.2f)", n_tokens, ms * 1000, rate, 100 * rate / copy_rate,
                ms / first_ms);
  }
  std::printf("\n");
  std::fflush(stdout);
}

void measure_gemm(TensorType type, int64_t n_rows, int64_t n_cols, double rate) {
  constexpr int kCopies = 4;  // one after the other, so that weights come from memory as in a model
  const DeviceType device_type(type, can_widen(type, n_cols));
  const std::vector<std::byte> all = device_weight(device_type, n_rows, n_cols);
  std::vector<std::unique_ptr<DeviceArray<std::byte>>> weights;
  for (int i = 0; i < kCopies; ++i) weights.push_back(std::make_unique<DeviceArray<std::byte>>("weight", all));
  for (const int32_t n_tokens : {64, 512, 2048}) {
    const auto width = static_cast<int32_t>(n_cols);
    DeviceArray<float> x("x", random_f32(static_cast<size_t>(n_tokens * n_cols), 2));
    DeviceArray<uint32_t> image("image", image_words(n_tokens, width));
    DeviceArray<float> scales("scales", static_cast<size_t>(n_tokens));
    DeviceArray<float> y("y", static_cast<size_t>(n_tokens * n_rows));
    const double halve_ms = median_ms([&](int) {
      check(launch_halve(nullptr, x, nullptr, image, scales, {n_tokens, width, 0, 0}), "halve_activations");
    });
    std::printf("gemm %-5s %6lld x %-6lld %5d tokens  image %.3f ms", tensor_type_traits(type).name,
                static_cast<long long>(n_rows), static_cast<long long>(n_cols), n_tokens, halve_ms);
    for (const GemmUnits units : {kUnitsBest, kUnitsMma}) {
      if (units == kUnitsBest && !has_wgmma()) continue;
      const auto product = [&](const std::byte* weight) {
        return MatrixProduct{weight, nullptr, y, static_cast<int32_t>(n_rows)};
      };
      const MatrixProduct any = product(nullptr);
      const GemmTile chosen = choose_gemm_tile(&any, 1, n_tokens, units);
      for (const GemmTile tile : {kGemmLarge, kGemmSmall}) {
        const double ms = median_ms([&](int run) {
          const MatrixProduct one = product(weights[static_cast<size_t>(run % kCopies)]->pointer());
          check(launch_gemm(nullptr, device_type, &one, 1, {image, scales}, width / 32, n_tokens, tile, units), "gemm");
        });
        const double tflops = 2e-9 * static_cast<double>(n_rows * n_cols) * n_tokens / ms;
        std::printf("  %s%s %s: %.3f ms %.0f TFLOP/s", tile == chosen ? "*" : "", units == kUnitsMma ? "mma" : "wgmma",
                    tile == kGemmLarge ? "large" : "small", ms, tflops);
        if (rate > 0) std::printf(" %.0f %%", 100 * tflops / rate);
      }
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

struct HeadShape {
  int32_t n_head, n_head_kv, dim_k, dim_v;
};
/// As of an 8B model; and of DeepSeek V2 Lite, whose attention is latent.
constexpr HeadShape kHeadsOf8B = {32, 8, 128, 128}, kLatentHeads = {16, 1, 576, 512};

void measure_attention(const HeadShape& shape, int32_t n_tokens, double rate) {
  const auto& [n_head, n_head_kv, dim_k, dim_v] = shape;
  if (!has_flash(dim_k, dim_v)) {
    std::printf("attention %5d tokens, heads of %d and %d: this device has no flash attention for them\n", n_tokens,
                dim_k, dim_v);
    return;
  }
  const int64_t stride = int64_t{kPage} * n_head_kv * (dim_k + dim_v);
  const int32_t n_pages = (n_tokens + kPage - 1) / kPage;
  std::vector<uint16_t> halves(static_cast<size_t>(n_pages * stride));
  std::mt19937 random(3);
  for (uint16_t& half : halves) half = static_cast<uint16_t>((random() & 0x83ff) | 0x3800);  // 0.5 to 1, either sign
  std::vector<int32_t> table(static_cast<size_t>(n_pages)), positions(static_cast<size_t>(n_tokens));
  std::iota(table.begin(), table.end(), 0);
  std::iota(positions.begin(), positions.end(), 0);
  std::vector<AttentionTile> tiles, small_tiles;
  append_tiles(tiles, 0, n_tokens, 0, 0, n_head / n_head_kv, flash_rows());
  append_tiles(small_tiles, 0, n_tokens, 0, 0, n_head / n_head_kv, kAttentionRows);
  std::reverse(tiles.begin(), tiles.end());
  DeviceArray<uint16_t> pages("pages", halves);
  DeviceArray<int32_t> page_table("page_table", table), device_positions("positions", positions);
  DeviceArray<AttentionTile> device_tiles("tiles", tiles), device_small_tiles("tiles", small_tiles);
  DeviceArray<float> q("q", random_f32(static_cast<size_t>(n_tokens * n_head * dim_k), 4));
  DeviceArray<float> y("y", static_cast<size_t>(n_tokens * n_head * dim_v));
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim_k));
  const AttentionKernelParams params{{n_head_kv, dim_k, dim_v, stride, 0}, n_head, n_tokens, 0, 0, scale, 0};
  AttentionArrays arrays{q, pages, page_table, device_tiles, device_positions, nullptr, y, nullptr, nullptr};
  const double operations = 1.0 * n_tokens * n_tokens * n_head * (dim_k + dim_v);  // half of the pairs are seen
  const double ms = median_ms(
      [&](int) { check(launch_flash(nullptr, arrays, static_cast<int32_t>(tiles.size()), params), "flash"); });
  std::printf("attention %5d tokens, heads of %d and %d: flash %8.3f ms  %6.1f TFLOP/s  %3.0f %%", n_tokens, dim_k,
              dim_v, ms, operations / ms * 1e-9, 100 * operations / ms * 1e-9 / rate);
  if (n_tokens <= 2048) {
    arrays.tiles = device_small_tiles;
    const double slow_ms = median_ms([&](int) {
      check(launch_attention(nullptr, arrays, static_cast<int32_t>(small_tiles.size()), 1, params), "attention");
    });
    std::printf("   attention %8.3f ms", slow_ms);
  }
  std::printf("\n");
  std::fflush(stdout);
}

constexpr int32_t kCodesHeads = 32, kCodesHeadsKv = 8, kCodesDim = 128;
constexpr int kCodesLayers = 6;     // one after the other: more than caches hold
constexpr int kCodesLaunches = 24;  // of a recorded pass
constexpr int32_t kLayersOf8B = 32;

/// The last n_tokens of n_positions, as tiles of attention; a device's copy of them.
struct DecodeTiles {
  int32_t n_rows;
  std::vector<AttentionTile> tiles;
  DeviceArray<AttentionTile> on_device;

  static std::vector<AttentionTile> tiles_of(int32_t n_tokens, int32_t n_positions, int32_t n_rows) {
    std::vector<AttentionTile> result;
    append_page_tiles(result, 0, n_tokens, n_positions - n_tokens, 0, kCodesHeads / kCodesHeadsKv, n_rows);
    return result;
  }
  DecodeTiles(int32_t n_tokens, int32_t n_positions, int32_t n_tile_rows)
      : n_rows(n_tile_rows), tiles(tiles_of(n_tokens, n_positions, n_tile_rows)), on_device("tiles", tiles) {}
  int32_t size() const { return static_cast<int32_t>(tiles.size()); }
};

/// Tables and room for attention of the last n_tokens of n_positions.
struct DecodeArrays {
  DeviceArray<float> q, k, v, turns, y, partial, states, matrices, means;
  DeviceArray<int32_t> page_table, positions;
  int32_t n_splits;

  static std::vector<int32_t> count_from(int32_t first, int32_t n) {
    std::vector<int32_t> numbers(static_cast<size_t>(n));
    std::iota(numbers.begin(), numbers.end(), first);
    return numbers;
  }
  /// Cosine and sine of no angle, and matrices that turn nothing: queries are turned in place, run after run.
  static std::vector<float> no_turns(int32_t n_positions) {
    std::vector<float> numbers(static_cast<size_t>(n_positions * kCodesDim), 0.0f);
    for (size_t i = 0; i < numbers.size(); i += 2) numbers[i] = 1;
    return numbers;
  }
  static std::vector<float> identities(int32_t n) {
    constexpr size_t kDim = kCodesDim;
    std::vector<float> numbers(static_cast<size_t>(n) * kDim * kDim, 0.0f);
    for (size_t row = 0; row < static_cast<size_t>(n) * kDim; ++row) numbers[row * kDim + row % kDim] = 1;
    return numbers;
  }
  DecodeArrays(int32_t n_tokens, int32_t n_positions)
      : q("q", random_f32(static_cast<size_t>(n_tokens * kCodesHeads * kCodesDim), 4)),
        k("k", random_f32(static_cast<size_t>(n_tokens * kCodesHeadsKv * kCodesDim), 5)),
        v("v", random_f32(static_cast<size_t>(n_tokens * kCodesHeadsKv * kCodesDim), 6)),
        turns("turns", no_turns(n_positions)),
        y("y", static_cast<size_t>(n_tokens * kCodesHeads * kCodesDim)),
        partial("partial", static_cast<size_t>(n_positions / kKvSplit * n_tokens * kCodesHeads * kCodesDim)),
        states("states", static_cast<size_t>(n_positions / kKvSplit * n_tokens * kCodesHeads * 2)),
        matrices("matrices", identities(4)),
        means("means", 0),
        page_table("page_table", count_from(0, n_positions / kPage)),
        positions("positions", count_from(n_positions - n_tokens, n_tokens)),
        n_splits(n_positions / kKvSplit) {}
};

/// Attention of few tokens over many positions, f16 and codes, of heads as of an 8B model, with what puts the tokens'
/// own keys and values into pages and turns the result back, one layer after the other as in a recorded pass; and what
/// follows for a model whose layers have the bits of a preset. @param f16_rows, codes_rows of tiles
void measure_codes(int32_t n_tokens, int32_t n_positions, int32_t f16_rows, int32_t codes_rows) {
  DecodeArrays a(n_tokens, n_positions);
  DecodeTiles f16_tiles(n_tokens, n_positions, f16_rows), codes_tiles(n_tokens, n_positions, codes_rows);
  const int32_t n_pages = n_positions / kPage;
  const int64_t stride = int64_t{kPage} * kCodesHeadsKv * 2 * kCodesDim;
  const AttentionKernelParams params{
      {kCodesHeadsKv, kCodesDim, kCodesDim, stride * kCodesLayers, 0}, kCodesHeads, n_tokens, 0, 0, 0.088388f, 0};
  double f16_ms = 0;
  {
    std::vector<uint16_t> halves(static_cast<size_t>(n_pages * stride * kCodesLayers), 0x3800);
    DeviceArray<uint16_t> pages("pages", halves);
    f16_ms = recorded_ms(kCodesLaunches, [&](Stream stream, int i) {
      AttentionKernelParams layer = params;
      layer.kv.layer_offset = i % kCodesLayers * stride;
      AttentionArrays arrays{a.q, pages,     a.page_table, f16_tiles.on_device, a.positions, nullptr,
                             a.y, a.partial, a.states};
      arrays.n_tile_rows = f16_rows;
      check(launch_rope_and_attention(stream, arrays, {a.k, a.v, a.turns, pages}, f16_tiles.size(), a.n_splits,
                                      {layer, kCodesDim / 2, 0, 0}),
            "rope and attention");
    });
  }
  std::printf("codes %2d tokens at %6d, tiles of %d and %d  f16 %7.3f ms %5.0f GB/s", n_tokens, n_positions, f16_rows,
              codes_rows, f16_ms, 2e-6 * static_cast<double>(n_pages * stride) / f16_ms);
  std::map<std::pair<int32_t, int32_t>, double> codes_ms;
  for (const KvBits bits : {KvBits{8, 4}, KvBits{3, 2}, KvBits{4, 3}, KvBits{4, 2}, KvBits{2, 2}}) {
    const int32_t fresh = kCodesHeadsKv * fresh_head_words(kCodesDim, kCodesDim);
    const int32_t packed = kCodesHeadsKv * packed_head_words(kCodesDim, kCodesDim, bits.k, bits.v);
    const int32_t sinks = kCodesHeadsKv * sinks_head_words(kCodesDim, kCodesDim);
    const int64_t page_words = packed + fresh + sinks;  // fresh forms of old pages are there and not read
    std::vector<int64_t> forms;
    for (int64_t page = 0; page < n_pages; ++page) {
      for (const int64_t at : {0, fresh, fresh + packed}) forms.push_back(page * page_words * kCodesLayers + at);
    }
    std::vector<uint32_t> words(static_cast<size_t>(n_pages * page_words * kCodesLayers), 0x3c3c3c3cu);
    DeviceArray<uint32_t> arena("arena", words);
    DeviceArray<int64_t> device_forms("forms", forms);
    const CodesLayout layout{kCodesHeadsKv, kCodesDim, kCodesDim, bits.k, bits.v, 0, 0, 0};
    const RopeCodesParams codes{layout, kCodesHeads, n_tokens, 1, 0, kCodesDim / 2, 0, 0};
    const TurnMatrices turn{a.matrices, a.means};
    const double ms = recorded_ms(kCodesLaunches, [&](Stream stream, int i) {
      const CodesMemory memory{arena + i % kCodesLayers * page_words, device_forms};
      // Pages lie in order, so that a position is its slot.
      check(launch_rope_and_store_codes(stream, a.q, a.k, a.v, a.turns, a.positions, a.positions, memory, turn, codes),
            "rope_and_store_codes");
      check(launch_attention_codes(stream,
                                   {a.q, memory, a.page_table, codes_tiles.on_device, a.positions, nullptr, a.y,
                                    a.partial, a.states, codes_rows},
                                   codes_tiles.size(), (a.n_splits + 3) / 4, turn, codes, params),
            "attention_codes");
    });
    codes_ms[{bits.k, bits.v}] = ms;
    std::printf("  k%dv%d %.3f ms %5.0f GB/s (%.2f x)", bits.k, bits.v, ms,
                4e-6 * static_cast<double>(n_pages) * packed / ms, f16_ms / ms);
  }
  std::printf("  %d layers as", kLayersOf8B);
  for (const KvPreset preset : {KvPreset::kSafe, KvPreset::kCompact, KvPreset::kMax}) {
    double ms = 0;
    for (const KvBits& bits : kv_format(preset, kLayersOf8B).layers) ms += codes_ms.at({bits.k, bits.v});
    std::printf(" %s: %.2f x", kKvPresetNames[static_cast<size_t>(preset)], kLayersOf8B * f16_ms / ms);
  }
  std::printf("\n");
  std::fflush(stdout);
}

/// Shortlists of rows of logits, beside the rows themselves as they come to pinned memory, in a recorded pass.
void measure_shortlists(int32_t n_vocab, int32_t n_rows) {
  constexpr int kLaunches = 16;
  const ShortlistParams params = shortlist_params(n_vocab);
  const auto rows = static_cast<size_t>(n_rows);
  DeviceArray<float> logits("logits", random_f32(rows * static_cast<size_t>(n_vocab), 1)),
      groups("groups", 2 * rows * static_cast<size_t>(params.n_groups)), lists("lists", rows * kShortlistWords);
  const size_t n_bytes = rows * static_cast<size_t>(n_vocab) * sizeof(float);
  void* host = nullptr;
  check(allocate_pinned(host, n_bytes), "pinned memory");
  const auto copy_ms = [&](DeviceArray<float>& from, size_t n) {
    return recorded_ms(
        kLaunches, [&](Stream stream, int) { check(copy(stream, host, from.pointer(), n, Copy::kToHost), "copying"); });
  };
  const double list_ms = recorded_ms(kLaunches, [&](Stream stream, int) {
    check(launch_shortlist(stream, logits, groups, lists, n_rows, params), "shortlist");
  });
  std::printf("shortlists %d x %d  %.1f us and %.1f us to copy them; to copy the rows %.1f us\n", n_rows, n_vocab,
              1000 * list_ms, 1000 * copy_ms(lists, rows * sizeof(Shortlist)), 1000 * copy_ms(logits, n_bytes));
  std::fflush(stdout);
  check(release_pinned(host), "pinned memory");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> parts(argv + 1, argv + argc);
  const auto wants = [&](const char* part) {
    return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
  };
  DeviceProperties properties;
  if (device_properties(0, properties) != Error::kNone) {
    std::printf("no CUDA device. Nothing was measured.\n");
    return 1;
  }
  try {
    const double rate = has_wgmma() ? measure_rate(properties.n_multiprocessors) : 0;  // 0: there is no kernel for it
    std::printf("%s: %.0f TFLOP/s of bf16 products alone\n", properties.name.c_str(), rate);
    if (wants("layer")) {
      for (const int32_t n_tokens : {1, 2, 8}) measure_layer(n_tokens, false);
      if (has_stream()) measure_layer(1, true);
    }
    if (wants("shortlists")) {
      for (const int32_t n_vocab : {32000, 128256, 262144}) {
        for (const int32_t n_rows : {1, 8}) measure_shortlists(n_vocab, n_rows);
      }
    }
    if (wants("matvec")) {
      const double copy_rate = measure_copy();
      std::printf("%.0f GB/s of a copy; a matrix of a pair counts as one\n", copy_rate);
      for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ8_0, TensorType::kQ6_K, TensorType::kQ5_K}) {
        for (const SuperPath path : {kSuperRegisters, kSuperBulkCopies}) {
          if (path == kSuperBulkCopies && !has_stream()) continue;
          measure_matvec(type, 4096, 4096, false, path, copy_rate);
          measure_matvec(type, 14336, 4096, true, path, copy_rate);
          measure_matvec(type, 4096, 14336, false, path, copy_rate);
        }
      }
    }
    if (wants("attention")) {
      for (const HeadShape& shape : {kHeadsOf8B, kLatentHeads}) {
        for (const int32_t n_tokens : {2048, 8192}) measure_attention(shape, n_tokens, rate);
      }
    }
    if (wants("codes")) {
      for (const int32_t n_positions : {8192, 32768}) {
        for (const int32_t n_tokens : {1, 8}) measure_codes(n_tokens, n_positions, kAttentionRows, kAttentionRows);
        measure_codes(8, n_positions, most_attention_rows(kCodesDim, kCodesDim), most_codes_rows());
      }
    }
    if (wants("gemm")) {
      for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ8_0, TensorType::kQ6_K}) {
        measure_gemm(type, 4096, 4096, rate);
        measure_gemm(type, 14336, 4096, rate);
        measure_gemm(type, 4096, 14336, rate);
      }
    }
    // As of Qwen3-30B-A3B, of gpt-oss-20b in the type that it comes in, and of Mixtral 8x7B.
    if (wants("experts")) {
      for (const int32_t n_tokens : {32, 512, 2048}) {
        measure_experts(TensorType::kQ4_K, 128, 8, 2048, 768, n_tokens);
        measure_experts(TensorType::kMXFP4, 32, 4, 2880, 2880, n_tokens);
        measure_experts(TensorType::kQ4_K, 8, 2, 4096, 14336, n_tokens);
      }
    }
  } catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
  }
  return 0;
}
