#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <string>

#include "backend/cpu/cpu_attention.h"
#include "backend/cpu/cpu_expert_ffn.h"
#include "backend/cpu/cpu_features.h"
#include "backend/cpu/cpu_kv_storage.h"
#include "backend/cpu/cpu_matmul.h"
#include "backend/cpu/cpu_memory.h"
#include "backend/cpu/cpu_rope.h"
#include "core/strings.h"
#include "core/thread_pool.h"
#include "quant/dequantize.h"

namespace outpost {
namespace {

// Far more than any machine has cores: what is asked beyond is a mistake, and would only exhaust the system.
constexpr int32_t kMaxThreads = 1024;

// What a thread takes at once of work that goes element by element: 1 to 3 us, many times what the shared counter
// costs. What one token brings along is mostly less, and stays on the calling thread.
constexpr int64_t kElementsPerItem = 16384;
// An element through exp takes about as long as this many through a sum or a copy.
constexpr int64_t kExpCost = 4;

[[noreturn]] void fail_unsupported(const WeightView& view) {
  throw EngineError(ErrorCode::kModelUnsupported,
                    concat("Tensor ", in_quotes(view.name), " has the type ", tensor_type_traits(view.type).name,
                           ", which holds no weights. Choose a file with f32, f16, bf16, q4_0 to q8_0, q2_K to q8_K, "
                           "iq1, iq2, iq3, iq4, tq1_0, tq2_0 or mxfp4 tensors."));
}

size_t row_bytes(const WeightView& view) {
  const TensorTypeTraits& traits = tensor_type_traits(view.type);
  return static_cast<size_t>(view.n_cols) / traits.block_elements * traits.block_bytes;
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(const CpuKernelTable& kernels, int32_t n_threads, uint64_t expert_cache_bytes)
      : kernels_(kernels),
        pool_(n_threads),
        name_(concat("cpu (", kernels.name, ", ", n_threads, n_threads == 1 ? " thread)" : " threads)")),
        expert_ffn_(kernels_, pool_, matmul_, expert_cache_bytes) {}

  const char* name() const override { return name_.c_str(); }
  /// What the product kernels take at once; more would only need more memory for activations.
  int32_t n_prefill() const override { return kMaxTileTokens; }
  int32_t n_lone_prefill() const override { return kernels_.n_lone_prefill; }

  std::unique_ptr<Weight> load_weight(const WeightView& view) override { return pack(view); }

  std::unique_ptr<HeadWeights> load_heads(const WeightView& view, int32_t n_head) override {
    std::vector<std::unique_ptr<CpuWeight>> matrices;
    WeightView head = view;
    head.n_rows = view.n_rows / n_head;
    const size_t n_bytes = view.bytes.size() / static_cast<size_t>(n_head);
    for (size_t h = 0; h < static_cast<size_t>(n_head); ++h) {
      head.bytes = view.bytes.subspan(h * n_bytes, n_bytes);
      matrices.push_back(pack(head));
    }
    return std::make_unique<CpuHeads>(std::move(matrices));
  }

  std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, int32_t n_page) override {
    return alloc_kv(shape, kv_format(KvPreset::kExact, shape.n_layer), n_page);
  }

  std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, const KvFormat& format, int32_t n_page) override {
    return std::make_unique<CpuKvStorage>(shape, format, n_page);
  }

  std::unique_ptr<Buffer> alloc_f32(size_t n) override { return std::make_unique<CpuBuffer>(n); }
  std::unique_ptr<HostBuffer> alloc_host(size_t n) override { return std::make_unique<CpuHostBuffer>(n); }

  std::unique_ptr<Buffer> load_vector(const WeightView& view) override {
    if (!can_dequantize(view.type)) fail_unsupported(view);
    const int64_t n = view.n_rows * view.n_cols;
    auto buffer = std::make_unique<CpuBuffer>(static_cast<size_t>(n));
    dequantize(view.type, view.bytes.data(), buffer->span().data, n);
    return buffer;
  }

  std::unique_ptr<Rope> create_rope(const RopeParams& params) override { return std::make_unique<CpuRope>(params); }

  std::unique_ptr<Experts> load_experts(const ExpertViews& views, const RouterParams& router, Gate gate) override {
    for (const WeightView& view : {views.gate, views.is_merged ? views.gate : views.up, views.down}) {
      if (!can_pack(view.type)) fail_unsupported(view);
    }
    return expert_ffn_.load(views, router, gate);
  }

  ExpertCacheStats expert_cache_stats() const override { return expert_ffn_.cache_stats(); }

  void load_table(const WeightView& table) override {
    if (!can_dequantize(table.type)) fail_unsupported(table);
  }

  void embed(DeviceSpan<float> y, const WeightView& table, std::span<const int32_t> tokens) override {
    pool_.run(static_cast<int64_t>(tokens.size()), [&](int64_t t) {
      const int32_t token = tokens[static_cast<size_t>(t)];
      assert(token >= 0 && token < table.n_rows);
      dequantize(table.type, table.bytes.data() + static_cast<size_t>(token) * row_bytes(table),
                 y.data + t * table.n_cols, table.n_cols);
    });
  }

  void rms_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight, int32_t n_rows,
                float eps) override {
    const auto n = static_cast<int64_t>(weight.size);
    share_out(n_rows, n, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) kernels_.rms_norm(y.data + r * n, x.data + r * n, weight.data, n, eps);
    });
  }

  void layer_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight,
                  DeviceSpan<const float> bias, int32_t n_rows, float eps) override {
    const auto n = static_cast<int64_t>(weight.size);
    const float* bias_data = bias.size > 0 ? bias.data : nullptr;
    share_out(n_rows, n, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        kernels_.layer_norm(y.data + r * n, x.data + r * n, weight.data, bias_data, n, eps);
    });
  }

  void matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) override {
    matmul_.matmul(tasks, x, n_tokens);
  }

  void matmul_gated(DeviceSpan<float> y, const GatedPair& pair, DeviceSpan<const float> x, int32_t n_tokens,
                    Gate gate) override {
    matmul_.matmul_gated(y, pair, x, n_tokens, gate);
  }

  void matmul_heads(DeviceSpan<float> y, int32_t y_stride, const HeadWeights& weights, DeviceSpan<const float> x,
                    int32_t x_stride, int32_t n_tokens) override {
    matmul_.matmul_heads(y, y_stride, weights, x, x_stride, n_tokens);
  }

  void expert_ffn(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> logits, int32_t n_tokens,
                  Experts& experts) override {
    expert_ffn_.forward(y.data, x.data, logits.data, n_tokens, static_cast<CpuExperts&>(experts));
  }

  void add(DeviceSpan<float> x, DeviceSpan<const float> y, float scale) override {
    share_out(static_cast<int64_t>(y.size), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) x.data[i] += scale * y.data[i];
    });
  }

  void add_gated(DeviceSpan<float> x, DeviceSpan<const float> y, DeviceSpan<const float> logits,
                 int32_t n_tokens) override {
    if (n_tokens == 0) return;
    const int64_t width = static_cast<int64_t>(y.size) / n_tokens;
    share_out(n_tokens, width, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const float weight = 1.0f / (1.0f + std::exp(-logits.data[t]));
        float* x_row = x.data + t * width;
        const float* y_row = y.data + t * width;
        for (int64_t i = 0; i < width; ++i) x_row[i] += weight * y_row[i];
      }
    });
  }

  void scale(DeviceSpan<float> x, float factor) override {
    share_out(static_cast<int64_t>(x.size), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) x.data[i] *= factor;
    });
  }

  void softcap(DeviceSpan<float> x, float cap) override {
    share_out(static_cast<int64_t>(x.size), kExpCost,
              [&](int64_t begin, int64_t end) { kernels_.softcap(x.data + begin, end - begin, cap); });
  }

  void activate(DeviceSpan<float> x, Activation activation) override {
    share_out(static_cast<int64_t>(x.size), kExpCost,
              [&](int64_t begin, int64_t end) { kernels_.activate(activation, x.data + begin, end - begin); });
  }

  void copy_columns(DeviceSpan<float> y, int32_t y_width, int32_t y_col, DeviceSpan<const float> x, int32_t x_width,
                    int32_t x_col, int32_t n_cols, int32_t n_rows) override {
    share_out(n_rows, n_cols, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        std::copy_n(x.data + r * x_width + x_col, n_cols, y.data + r * y_width + y_col);
    });
  }

  void rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v, KvStorage& kv,
                         int32_t il, std::span<const SequenceRun> runs, const AttentionParams& params,
                         Rope* rope) override {
    attention_.rope_and_store_kv(q, k, v, static_cast<CpuKvStorage&>(kv), il, runs, params,
                                 static_cast<CpuRope*>(rope));
  }

  void attention(DeviceSpan<float> y, DeviceSpan<const float> q, const KvStorage& kv, int32_t il,
                 std::span<const SequenceRun> runs, const AttentionParams& params) override {
    attention_.attention(y, q, static_cast<const CpuKvStorage&>(kv), il, runs, params);
  }

  void gather_rows(DeviceSpan<float> y, DeviceSpan<const float> x, std::span<const int32_t> rows,
                   int64_t width) override {
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(x.data + rows[i] * width, width, y.data + static_cast<int64_t>(i) * width);
  }

  void write(DeviceSpan<float> x, std::span<const float> host) override {
    std::memcpy(x.data, host.data(), host.size_bytes());
  }

  void read(std::span<float> host, DeviceSpan<const float> device) override {
    std::memcpy(host.data(), device.data, host.size() * sizeof(float));
  }

 private:
  std::unique_ptr<CpuWeight> pack(const WeightView& view) {
    if (!can_pack(view.type)) fail_unsupported(view);
    auto weight = std::make_unique<CpuWeight>(view.type, view.n_rows, view.n_cols);
    pool_.run(weight->n_tiles(), [&](int64_t i) {
      const int64_t row0 = i * kTileRows;
      const int n_rows = static_cast<int>(std::min<int64_t>(kTileRows, view.n_rows - row0));
      pack_tile(view.type, view.bytes.data(), row_bytes(view), view.n_cols, row0, n_rows, weight->tile(i));
    });
    return weight;
  }

  /// Calls body(begin, end) for runs of `n` rows, on all threads where they are enough to share out.
  /// @param row_cost elements of a row
  template <typename Body>
  void share_out(int64_t n, int64_t row_cost, const Body& body) {
    const int64_t rows_per_item = std::max<int64_t>(1, kElementsPerItem / std::max<int64_t>(1, row_cost));
    pool_.run((n + rows_per_item - 1) / rows_per_item,
              [&](int64_t i) { body(i * rows_per_item, std::min(n, (i + 1) * rows_per_item)); });
  }

  const CpuKernelTable& kernels_;
  ThreadPool pool_;
  std::string name_;
  CpuMatmul matmul_{kernels_, pool_};
  CpuAttention attention_{kernels_, pool_};
  CpuExpertFfn expert_ffn_;
};

}  // namespace

std::unique_ptr<Backend> create_cpu_backend(CpuKernels kernels, int32_t n_threads, uint64_t expert_cache_bytes) {
  if (n_threads < 0 || n_threads > kMaxThreads) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("n_threads is ", n_threads, "; expected 0 to ", kMaxThreads, "."));
  }
  return create_cpu_backend(select_cpu_kernels(kernels), n_threads > 0 ? n_threads : count_physical_cores(),
                            expert_cache_bytes);
}

std::unique_ptr<Backend> create_cpu_backend(const CpuKernelTable& kernels, int32_t n_threads,
                                            uint64_t expert_cache_bytes) {
  return std::make_unique<CpuBackend>(kernels, n_threads, expert_cache_bytes);
}

}  // namespace outpost
