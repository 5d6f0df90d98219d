#include "tests/gpu/experts_bench.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

#include "kernels/launchers/launchers.h"
#include "tests/gpu/bench_support.h"

namespace outpost::test {

using namespace gpu;

namespace {

/// Activations as int8.
struct Codes {
  int32_t n_groups;
  DeviceArray<uint32_t> codes;
  DeviceArray<float> scales;
  DeviceArray<uint32_t> sums, pairs;

  explicit Codes(size_t n)
      : n_groups(static_cast<int32_t>(n / 32)),
        codes("codes", n / 4),
        scales("scales", n / 32),
        sums("sums", n / 32),
        pairs("pairs", n / 64) {}
  QuantizedInput input() { return {codes, scales, sums, pairs}; }
  QuantizedOutput output() { return {codes, scales, sums, pairs}; }
};

}  // namespace

void measure_experts(TensorType type, int32_t n_expert, int32_t n_used, int32_t n_embd, int32_t n_ff,
                     int32_t n_tokens) {
  const DeviceType device_type(type, can_widen(type, n_embd) && can_widen(type, n_ff));
  const int32_t n_choices = n_tokens * n_used;
  std::mt19937 random(3);
  std::vector<int32_t> choices;
  for (int32_t c = 0; c < n_choices; ++c)
    choices.push_back((c % n_used + static_cast<int32_t>(random() % 8) * n_used) % n_expert);
  DeviceArray<std::byte> gate("gate", device_weight(device_type, int64_t{n_expert} * n_ff, n_embd));
  DeviceArray<std::byte> up("up", device_weight(device_type, int64_t{n_expert} * n_ff, n_embd));
  DeviceArray<std::byte> down("down", device_weight(device_type, int64_t{n_expert} * n_embd, n_ff));
  const auto count = static_cast<size_t>(n_choices);
  const std::vector<float> values = random_f32(static_cast<size_t>(n_tokens) * static_cast<size_t>(n_embd), 2);
  DeviceArray<float> x("x", values), hidden("hidden", count * static_cast<size_t>(n_ff)),
      other("other", count * static_cast<size_t>(n_ff)), y("y", count * static_cast<size_t>(n_embd));
  DeviceArray<int32_t> experts("experts", choices);
  const double n_operations = 6e-9 * n_choices * n_embd * n_ff;
  std::printf("experts %-5s %d of %d, %d x %d, %d tokens ", tensor_type_traits(type).name, n_used, n_expert, n_ff,
              n_embd, n_tokens);
  const auto print = [&](const char* name, double ms) {
    std::printf("  %s: %.3f ms %.0f TFLOP/s", name, ms, n_operations / ms);
  };

  Codes few(values.size()), inner(count * static_cast<size_t>(n_ff));
  const int32_t is_super = takes_super_groups(device_type) ? 1 : 0;
  const auto quantize = [&](DeviceArray<float>& from, Codes& to) {
    check(launch_quantize(nullptr, from, to.output(), {to.n_groups, is_super}), "quantize_activations");
  };
  DeviceArray<int32_t> order("order", count), tiles("tiles", 3 * count), n_tiles("n_tiles", 1);
  const ExpertLists lists{order, tiles, n_tiles, n_choices, n_expert};
  print("int8", median_ms([&](int) {
          check(launch_group_experts(nullptr, experts, order, tiles, n_tiles, {n_expert, n_choices}), "group_experts");
          quantize(x, few);
          check(launch_experts_gated(nullptr, device_type, gate.pointer(), up.pointer(), few.input(), nullptr, nullptr,
                                     lists, hidden, {{n_ff, n_embd / 32, 0, 0, kGateSwiGlu}, n_used, 0, 0}),
                "experts_gated");
          quantize(hidden, inner);
          check(launch_experts_matvec(nullptr, device_type, down.pointer(), inner.input(), nullptr, lists, y,
                                      {{n_embd, n_ff / 32, 0, 0, 0}, 1, 0, 0}),
                "experts_matvec");
        }));

  const int32_t n_rows = expert_rows(n_choices, n_expert);
  DeviceArray<int32_t> rows("rows", static_cast<size_t>(n_rows)),
      row_tiles("tiles", 3 * static_cast<size_t>(expert_tiles(n_choices, n_expert, 64)));
  DeviceArray<uint32_t> image("image", image_words(n_rows, std::max(n_embd, n_ff)));
  DeviceArray<float> scales("scales", static_cast<size_t>(n_rows));
  struct Path {
    const char* name;
    GemmUnits units;
    int32_t tile_rows;
  };
  std::vector<Path> paths = {{"mma", kUnitsMma, 64}};
  if (has_wgmma()) paths.insert(paths.end(), {{"wgmma 64", kUnitsBest, 64}, {"wgmma 128", kUnitsBest, 128}});
  for (const auto& [name, units, tile_rows] : paths) {
    const ArrangedChoices arranged{rows, row_tiles, n_rows, expert_tiles(n_choices, n_expert, tile_rows), tile_rows};
    const auto multiply = [&, units = units](DeviceArray<std::byte>& weight, DeviceArray<float>& result, int32_t n_out,
                                             int32_t n_in) {
      check(launch_experts_gemm(nullptr, device_type, weight.pointer(), {image, scales}, nullptr, arranged, result,
                                {{n_out, n_in / 32, n_rows, 0}, 0, 0}, units),
            "a product with experts");
    };
    print(name, median_ms([&, tile_rows = tile_rows](int) {
            check(launch_arrange_choices(nullptr, experts, rows, row_tiles, {n_expert, n_choices, tile_rows}),
                  "arrange_choices");
            check(launch_halve_choices(nullptr, x, nullptr, rows, image, scales, {n_rows, n_embd, n_used, 0, 0}),
                  "halve_choices");
            multiply(gate, hidden, n_ff, n_embd);
            multiply(up, other, n_ff, n_embd);
            check(launch_halve_choices(nullptr, hidden, other, rows, image, scales, {n_rows, n_ff, 1, 1, kGateSwiGlu}),
                  "halve_choices");
            multiply(down, y, n_embd, n_ff);
          }));
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace outpost::test
