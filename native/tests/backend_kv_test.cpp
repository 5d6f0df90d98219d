// Attention over packed, fresh and sink pages against double precision over the numbers that the codes stand for, and
// its independence from chunking, threads, kernels, page order and neighbours in the batch.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "backend/cpu/cpu_kv_storage.h"
#include "backend/cpu/kv_codec.h"
#include "core/half.h"
#include "kernels/common/kv_levels.h"
#include "tests/support/cpu_backends.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

namespace {

struct Inputs {
  std::vector<float> q, k, v;
};

Inputs random_inputs(int32_t n_tokens, const AttentionParams& params, uint32_t seed) {
  const auto n = [&](int32_t heads, int32_t dim) { return static_cast<size_t>(n_tokens * heads * dim); };
  Inputs in{random_f32(n(params.n_head, params.head_dim_k), seed),
            random_f32(n(params.n_head_kv, params.head_dim_k), seed + 1),
            random_f32(n(params.n_head_kv, params.head_dim_v), seed + 2)};
  for (float& x : in.q) x *= 4;
  return in;
}

KvFormat format_of(int32_t k, int32_t v) { return {{KvBits{k, v}, KvBits{k, v}}}; }

/// Runs the sequence in chunks and keeps the storage.
std::vector<float> attend(Backend& backend, const KvFormat& format, const Inputs& in, int32_t n_tokens,
                          const AttentionParams& params, std::span<const int32_t> chunks,
                          std::span<const int32_t> page_table, std::unique_ptr<KvStorage>* kept = nullptr) {
  auto kv = backend.alloc_kv({2, params.n_head_kv, params.head_dim_k, params.head_dim_v}, format,
                             *std::max_element(page_table.begin(), page_table.end()) + 1);
  const int64_t q_width = params.n_head * params.head_dim_k, y_width = params.n_head * params.head_dim_v;
  const int64_t k_width = params.n_head_kv * params.head_dim_k, v_width = params.n_head_kv * params.head_dim_v;
  std::vector<float> y(static_cast<size_t>(n_tokens * y_width), NAN);
  std::vector<float> scratch(y.size());
  int32_t n_past = 0;
  for (size_t i = 0; n_past < n_tokens; ++i) {
    const int32_t n = std::min(chunks[i % chunks.size()], n_tokens - n_past);
    const SequenceRun run{page_table, n_past, n};
    for (const int32_t il : {0, 1}) {  // pages are packed layer by layer
      std::vector<float> q(in.q.begin() + n_past * q_width, in.q.begin() + (n_past + n) * q_width);
      backend.rope_and_store_kv(span_of(q), {in.k.data() + n_past * k_width, static_cast<size_t>(n * k_width)},
                                {in.v.data() + n_past * v_width, static_cast<size_t>(n * v_width)}, *kv, il, {&run, 1},
                                params, nullptr);
      float* to = (il == 1 ? y : scratch).data() + n_past * y_width;
      backend.attention({to, static_cast<size_t>(n * y_width)}, span_of(q), *kv, il, {&run, 1}, params);
    }
    n_past += n;
  }
  if (kept != nullptr) *kept = std::move(kv);
  return y;
}

/// The number that position p of a head holds for a query at t, rotated: read from the storage by definition.
double stored(const CpuKvStorage& kv, std::span<const int32_t> page_table, int32_t p, int32_t t, int32_t head,
              int32_t d, bool is_key) {
  const int32_t il = 1, page = page_table[static_cast<size_t>(p / kKvPageSize)];
  const KvForm form = p < kKvSinks                                                      ? KvForm::kSinks
                      : p / kKvPageSize < std::max(0, t / kKvPageSize - kKvRecentPages) ? KvForm::kPacked
                                                                                        : KvForm::kFresh;
  const KvLayout& layout = kv.layout(form, il);
  const std::byte* bytes =
      kv.block(page, form) + layout.offset + layout.stride * static_cast<size_t>(head) + (is_key ? 0 : layout.v_offset);
  const int32_t bits = is_key ? layout.bits.k : layout.bits.v;
  const int32_t n = is_key ? kv.shape().head_dim_k : kv.shape().head_dim_v;
  const int32_t n_slots = form == KvForm::kSinks ? kKvSinks : kKvPageSize, slot = p % kKvPageSize;
  if (bits == 16) {
    const auto* halfs = reinterpret_cast<const uint16_t*>(bytes);
    return double{half_to_float(is_key ? halfs[d * n_slots + slot] : halfs[slot * kv.head_dim_v_padded() + d])};
  }
  const auto* codes = reinterpret_cast<const uint8_t*>(bytes);
  const KvPlace place = is_key ? kv_key_place(slot, d) : kv_value_place(slot, d);
  const uint8_t code = kv_unpack(codes + static_cast<size_t>(place.block) * kv_block_bytes(bits), bits, place.i);
  const size_t n_bytes = is_key ? kv_key_bytes(n, bits) : kv_value_bytes(n, bits);
  const double scale = double{kv_scale(codes[n_bytes - kKvPageSize + static_cast<size_t>(slot)])};
  if (bits == 8) return scale * static_cast<int8_t>(is_key ? code ^ 0x80 : code);
  return scale * kv_levels(bits)[code];
}

/// Token t by the definition of attention, in f64 over what is stored, queries in f32.
std::vector<double> reference(const CpuKvStorage& kv, std::span<const int32_t> page_table, const Inputs& in, int32_t t,
                              const AttentionParams& params) {
  std::vector<double> y;
  const int32_t first = params.n_window > 0 ? std::max(0, t - params.n_window + 1) : 0;
  std::vector<double> keys, values;  // [positions, dimensions] of the head whose group it is
  for (int32_t h = 0; h < params.n_head; ++h) {
    const int32_t n_group = params.n_head / params.n_head_kv, h_kv = h / n_group;
    if (h % n_group == 0) {
      keys.clear();
      values.clear();
      for (int32_t p = first; p <= t; ++p) {
        for (int32_t d = 0; d < params.head_dim_k; ++d) keys.push_back(stored(kv, page_table, p, t, h_kv, d, true));
        for (int32_t d = 0; d < params.head_dim_v; ++d) values.push_back(stored(kv, page_table, p, t, h_kv, d, false));
      }
    }
    std::vector<float> q(in.q.begin() + (t * params.n_head + h) * params.head_dim_k,
                         in.q.begin() + (t * params.n_head + h + 1) * params.head_dim_k);
    if (kv.is_compressed()) kv.k_rotation(1, h_kv)->apply_to_query(q.data());
    std::vector<double> weights;
    double largest = -INFINITY;
    for (int32_t p = first; p <= t; ++p) {
      double score = 0;
      for (int32_t d = 0; d < params.head_dim_k; ++d)
        score += double{q[static_cast<size_t>(d)]} * keys[static_cast<size_t>((p - first) * params.head_dim_k + d)];
      weights.push_back(score * double{params.scale});
      largest = std::max(largest, weights.back());
    }
    double sum = params.sinks.size > 0 ? std::exp(double{params.sinks.data[h]} - largest) : 0.0;
    for (double& weight : weights) sum += weight = std::exp(weight - largest);
    std::vector<float> rotated;
    for (int32_t d = 0; d < params.head_dim_v; ++d) {
      double value = 0;
      for (int32_t p = first; p <= t; ++p)
        value += weights[static_cast<size_t>(p - first)] / sum *
                 values[static_cast<size_t>((p - first) * params.head_dim_v + d)];
      rotated.push_back(static_cast<float>(value));
    }
    if (kv.is_compressed()) kv.v_rotation(1, h_kv)->undo(rotated.data());
    y.insert(y.end(), rotated.begin(), rotated.end());
  }
  return y;
}

AttentionParams params_of(int32_t n_head, int32_t n_head_kv, int32_t dim_k, int32_t dim_v) {
  return {n_head, n_head_kv, dim_k, dim_v, 1.0f / std::sqrt(static_cast<float>(dim_k))};
}

constexpr int32_t kPages[] = {3, 0, 5, 1, 4, 2};

}  // namespace

/// As a calibration on these inputs would have it, the same for both layers.
std::shared_ptr<const KvCalibration> calibration_for(const Inputs& in, int32_t n_tokens,
                                                     const AttentionParams& params) {
  KvStatistics statistics({2, params.n_head_kv, params.head_dim_k, params.head_dim_v}, 1);
  const int32_t group = params.n_head / params.n_head_kv;
  for (const int32_t il : {0, 1}) {
    for (int32_t i = 0; i < n_tokens * params.n_head_kv; ++i) {
      KvStatistics::Group& of = statistics.group(il, i % params.n_head_kv);
      of.k.add(in.k.data() + i * params.head_dim_k);
      of.v.add(in.v.data() + i * params.head_dim_v);
      for (int32_t j = 0; j < group; ++j) of.q.add(in.q.data() + (i * group + j) * params.head_dim_k);
    }
  }
  return std::make_shared<const KvCalibration>(calibrate(statistics));
}

TEST_CASE("attention over compressed pages is that over the numbers which the codes stand for") {
  struct Case {
    int32_t n_head, n_head_kv, dim_k, dim_v, n_window;
  };
  const auto backend = create_cpu_backend(CpuKernels::kAuto, 2);
  const Case cases[] = {
      {4, 1, 64, 64, 0}, {4, 2, 80, 80, 0}, {2, 2, 128, 128, 0}, {6, 1, 96, 40, 0}, {3, 1, 72, 64, 100}};
  for (const Case& c : cases) {
    AttentionParams params = params_of(c.n_head, c.n_head_kv, c.dim_k, c.dim_v);
    params.n_window = c.n_window;
    const Inputs in = random_inputs(300, params, 5);
    const auto calibration = calibration_for(in, 300, params);
    for (const auto& [k, v] : {std::pair{2, 2}, {3, 3}, {4, 3}, {8, 4}, {8, 8}, {4, 16}, {16, 2}}) {
      CAPTURE(c.dim_k);
      CAPTURE(k);
      CAPTURE(v);
      std::unique_ptr<KvStorage> storage;
      const int32_t chunk = 300;
      KvFormat format = format_of(k, v);
      if (k == 3 || v == 16) format.calibration = calibration;
      const auto y = attend(*backend, format, in, 300, params, {&chunk, 1}, kPages, &storage);
      const auto& kv = static_cast<const CpuKvStorage&>(*storage);
      for (const int32_t t : {0, 15, 16, 63, 64, 127, 128, 191, 192, 299}) {
        const auto expected = reference(kv, kPages, in, t, params);
        double error = 0, energy = 0;
        for (size_t i = 0; i < expected.size(); ++i) {
          const double difference = double{y[static_cast<size_t>(t) * expected.size() + i]} - expected[i];
          error += difference * difference;
          energy += expected[i] * expected[i];
        }
        CAPTURE(t);
        // Queries are rounded to 127 steps of their largest element, about 3 deviations: an error of a score of
        // |k| * scale * max|q| / 254 / sqrt(3), here up to 0.02. It moves weights, and so results, by as much.
        CHECK(error < energy * 0.03 * 0.03);
      }
    }
  }
}

TEST_CASE("compressed attention has the same bits for every chunking, thread count, kernel and page order") {
  const int32_t n_tokens = 230;  // four pages, of which the last queries read two packed
  for (const auto& [k, v] : {std::pair{2, 2}, {3, 3}, {4, 2}, {8, 4}}) {
    CAPTURE(k);
    AttentionParams params = params_of(4, 2, 80, 48);
    const Inputs in = random_inputs(n_tokens, params, 9);
    std::vector<float> first;
    for (const NamedBackend& named : all_cpu_backends()) {
      for (const std::vector<int32_t>& chunks :
           {std::vector<int32_t>{n_tokens}, {64}, {1, 7, 50, 3}, {200, 1}, {63, 65, 1, 1}}) {
        CAPTURE(named.name);
        CAPTURE(chunks[0]);
        const int32_t in_order[] = {0, 1, 2, 3};
        const auto y = attend(*named.backend, format_of(k, v), in, n_tokens, params, chunks,
                              chunks[0] == 64 ? std::span<const int32_t>(in_order) : std::span<const int32_t>(kPages));
        if (first.empty()) first = y;
        CHECK(y == first);
      }
    }
  }
}

TEST_CASE("a compressed sequence does not notice its neighbours in the batch") {
  const AttentionParams params = params_of(4, 2, 64, 64);
  const KvFormat format = format_of(3, 3);
  for (const NamedBackend& named : all_cpu_backends()) {
    Backend& backend = *named.backend;
    const Inputs a = random_inputs(200, params, 1), b = random_inputs(150, params, 4);
    const int32_t pages_a[] = {0, 2, 4, 6}, pages_b[] = {5, 3, 1};
    const int32_t all = 200;
    const auto alone_a = attend(backend, format, a, 200, params, {&all, 1}, pages_a);
    const auto alone_b = attend(backend, format, b, 150, params, {&all, 1}, pages_b);
    const auto joined = [](const std::vector<float>& x, const std::vector<float>& y) {
      std::vector<float> z = x;
      z.insert(z.end(), y.begin(), y.end());
      return z;
    };
    auto q = joined(a.q, b.q);
    const auto k = joined(a.k, b.k), v = joined(a.v, b.v);
    const SequenceRun runs[] = {{pages_a, 0, 200}, {pages_b, 0, 150}};
    const auto kv = backend.alloc_kv({2, 2, 64, 64}, format, 7);
    std::vector<float> y(alone_a.size() + alone_b.size());
    auto q0 = q;
    backend.rope_and_store_kv(span_of(q0), span_of(k), span_of(v), *kv, 0, runs, params, nullptr);
    backend.rope_and_store_kv(span_of(q), span_of(k), span_of(v), *kv, 1, runs, params, nullptr);
    backend.attention(span_of(y), span_of(q), *kv, 1, runs, params);
    CHECK(y == joined(alone_a, alone_b));
  }
}

TEST_CASE("forms of a page come and go, and a page written again is packed again") {
  const auto backend = create_cpu_backend(CpuKernels::kAuto, 1);
  const AttentionParams params = params_of(2, 1, 64, 64);
  const Inputs in = random_inputs(256, params, 3);
  std::unique_ptr<KvStorage> kv;
  const int32_t chunk = 50;
  attend(*backend, format_of(3, 3), in, 200, params, {&chunk, 1}, kPages, &kv);
  // The last query, at 199 in page 3, reads pages 2 and 3 fresh.
  CHECK(kv->has(kPages[0], KvForm::kSinks));
  CHECK(kv->has(kPages[1], KvForm::kPacked));
  CHECK_FALSE(kv->has(kPages[2], KvForm::kPacked));
  CHECK(kv->has(kPages[3], KvForm::kFresh));
  CHECK_FALSE(kv->has(kPages[4], KvForm::kFresh));
  const size_t before = kv->allocated_bytes();
  kv->drop(kPages[0], KvForm::kFresh);
  CHECK(kv->allocated_bytes() == before - kv->form_bytes(KvForm::kFresh));
  CHECK(kv->has(kPages[0], KvForm::kPacked));
  static_cast<CpuKvStorage&>(*kv).set_packed(kPages[1], 0);  // as a write to its first layer does
  CHECK_FALSE(kv->has(kPages[1], KvForm::kPacked));
}
