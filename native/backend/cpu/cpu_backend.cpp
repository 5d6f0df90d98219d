#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>
#include <vector>

#include "backend/cpu/cpu_features.h"
#include "backend/cpu/cpu_memory.h"
#include "backend/cpu/rope_table.h"
#include "core/half.h"
#include "core/strings.h"
#include "core/thread_pool.h"
#include "quant/dequantize.h"

namespace outpost {
namespace {

static_assert(kPagePositions == kKvPageSize);

// Tiles that a thread takes at once. A few hundred microseconds of work would leave one thread waiting at the
// end of a product; a single tile would make the shared counter the bottleneck.
constexpr int64_t kTilesPerItem = 4;

// Far more than any machine has cores: what is asked beyond is a mistake, and would only exhaust the system.
constexpr int32_t kMaxThreads = 1024;

[[noreturn]] void fail_unsupported(const WeightView& view) {
  throw EngineError(ErrorCode::kModelUnsupported,
                    concat("Tensor ", quoted(view.name), " has the type ", tensor_type_traits(view.type).name,
                           ", which holds no weights. Choose a file with f32, f16, bf16, q4_0 to q8_0, q2_K to q8_K, "
                           "iq1, iq2, iq3, iq4, tq1_0, tq2_0 or mxfp4 tensors."));
}

size_t row_bytes(const WeightView& view) {
  const TensorTypeTraits& traits = tensor_type_traits(view.type);
  return static_cast<size_t>(view.n_cols) / traits.block_elements * traits.block_bytes;
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(const CpuKernelTable& kernels, int32_t n_threads)
      : kernels_(kernels),
        pool_(n_threads),
        name_(concat("cpu (", kernels.name, ", ", n_threads, n_threads == 1 ? " thread)" : " threads)")) {}

  const char* name() const override { return name_.c_str(); }

  std::unique_ptr<Weight> load_weight(const WeightView& view) override {
    if (!can_pack(view.type)) fail_unsupported(view);
    auto weight = std::make_unique<CpuWeight>(view.type, view.n_rows, view.n_cols);
    pool_.run(weight->n_tiles(), [&](int64_t i) {
      const int64_t row0 = i * kTileRows;
      const int n_rows = static_cast<int>(std::min<int64_t>(kTileRows, view.n_rows - row0));
      pack_tile(view.type, view.bytes.data(), row_bytes(view), view.n_cols, row0, n_rows, weight->tile(i));
    });
    return weight;
  }

  std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, int32_t n_page) override {
    return std::make_unique<CpuKvStorage>(shape, n_page);
  }

  std::unique_ptr<Buffer> alloc_f32(size_t n) override { return std::make_unique<CpuBuffer>(n); }

  std::unique_ptr<Buffer> load_vector(const WeightView& view) override {
    if (!can_dequantize(view.type)) fail_unsupported(view);
    const int64_t n = view.n_rows * view.n_cols;
    auto buffer = std::make_unique<CpuBuffer>(static_cast<size_t>(n));
    dequantize(view.type, view.bytes.data(), buffer->span().data, n);
    return buffer;
  }

  void check_table(const WeightView& table) const override {
    if (!can_dequantize(table.type)) fail_unsupported(table);
  }

  void embed(DeviceSpan<float> y, const WeightView& table, std::span<const int32_t> tokens) override {
    for (size_t t = 0; t < tokens.size(); ++t) {
      assert(tokens[t] >= 0 && tokens[t] < table.n_rows);
      dequantize(table.type, table.bytes.data() + static_cast<size_t>(tokens[t]) * row_bytes(table),
                 y.data + t * static_cast<size_t>(table.n_cols), table.n_cols);
    }
  }

  void rms_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight, int32_t n_tokens,
                float eps) override {
    const auto n = static_cast<int64_t>(weight.size);
    pool_.run(n_tokens, [&](int64_t t) { kernels_.rms_norm(y.data + t * n, x.data + t * n, weight.data, n, eps); });
  }

  void matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) override {
    const Input input = prepare(x, tasks[0].weight->n_cols(), n_tokens, needs_quantized(tasks));
    // Items of all tasks in one region: a small matrix does not leave a thread idle.
    int64_t n_items = 0;
    for (const MatmulTask& task : tasks) n_items += items_of(*task.weight);
    pool_.run(n_items, [&](int64_t item) {
      size_t i = 0;
      for (; item >= items_of(*tasks[i].weight); ++i) item -= items_of(*tasks[i].weight);
      const auto& weight = static_cast<const CpuWeight&>(*tasks[i].weight);
      const int64_t end = std::min(weight.n_tiles(), (item + 1) * kTilesPerItem);
      for (int64_t i_tile = item * kTilesPerItem; i_tile < end; ++i_tile) {
        const KernelTile tile = kernel_tile(weight, i_tile, 0);
        float* y = tasks[i].result.data + i_tile * kTileRows;
        for (int32_t t = 0; t < n_tokens; t += kMaxTileTokens) {
          const int n = std::min(kMaxTileTokens, n_tokens - t);
          const int64_t n_rows = std::min<int64_t>(kTileRows, weight.n_rows() - i_tile * kTileRows);
          multiply_tile(tile, n_rows, input, t, n, y + t * weight.n_rows(), weight.n_rows());
        }
      }
    });
  }

  void matmul_swiglu(DeviceSpan<float> y, const Weight& gate, const Weight& up, DeviceSpan<const float> x,
                     int32_t n_tokens) override {
    const auto& gate_weight = static_cast<const CpuWeight&>(gate);
    const auto& up_weight = static_cast<const CpuWeight&>(up);
    const bool is_quantized = !is_dense(gate_weight.type()) || !is_dense(up_weight.type());
    const Input input = prepare(x, gate.n_cols(), n_tokens, is_quantized);
    const int64_t n_ff = gate.n_rows();
    pool_.run(gate_weight.n_tiles(), [&](int64_t i_tile) {
      const KernelTile gate_tile = kernel_tile(gate_weight, i_tile, 0), up_tile = kernel_tile(up_weight, i_tile, 1);
      const int64_t row0 = i_tile * kTileRows;
      const int64_t n_rows = std::min<int64_t>(kTileRows, n_ff - row0);
      for (int32_t t = 0; t < n_tokens; t += kMaxTileTokens) {
        const int n = std::min(kMaxTileTokens, n_tokens - t);
        alignas(64) float gates[kMaxTileTokens * kTileRows], ups[kMaxTileTokens * kTileRows];
        run_kernel(gate_tile, input, t, n, gates, kTileRows);
        run_kernel(up_tile, input, t, n, ups, kTileRows);
        for (int i = 0; i < n; ++i) {
          kernels_.silu_mul(y.data + (t + i) * n_ff + row0, gates + i * kTileRows, ups + i * kTileRows, n_rows);
        }
      }
    });
  }

  void add(DeviceSpan<float> x, DeviceSpan<const float> y) override {
    for (size_t i = 0; i < y.size; ++i) x.data[i] += y.data[i];
  }

  void rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v, KvStorage& kv,
                         int32_t il, std::span<const SequenceRun> runs, const AttentionShape& shape,
                         const RopeParams& rope) override {
    auto& storage = static_cast<CpuKvStorage&>(kv);
    int64_t row = 0;
    for (const SequenceRun& run : runs) {
      rope_table_.row(rope, run.n_past + run.n_tokens - 1);  // grown before threads read it
      pool_.run(run.n_tokens, [&](int64_t t) {
        const auto pos = static_cast<int32_t>(run.n_past + t);
        const float* angles = rope_table_.row(rope, pos);
        float* q_token = q.data + (row + t) * shape.n_head * shape.head_dim;
        for (int32_t h = 0; h < shape.n_head; ++h) rotate(q_token + h * shape.head_dim, angles, rope);
        const int32_t page = run.page_table[static_cast<size_t>(pos / kKvPageSize)];
        for (int32_t h = 0; h < shape.n_head_kv; ++h) {
          const int64_t at = ((row + t) * shape.n_head_kv + h) * shape.head_dim;
          float rotated[kMaxHeadDim];
          std::copy_n(k.data + at, shape.head_dim, rotated);
          rotate(rotated, angles, rope);
          store_kv(storage, page, il, h, pos % kKvPageSize, shape.head_dim, rotated, v.data + at);
        }
      });
      row += run.n_tokens;
    }
  }

  void attention(DeviceSpan<float> y, DeviceSpan<const float> q, const KvStorage& kv, int32_t il,
                 std::span<const SequenceRun> runs, const AttentionShape& shape) override {
    const auto& storage = static_cast<const CpuKvStorage&>(kv);
    const int64_t width = int64_t{shape.n_head} * shape.head_dim;
    int64_t n_rows = 0;
    for (const SequenceRun& run : runs) n_rows += run.n_tokens;
    scaled_q_.resize(static_cast<size_t>(n_rows * width));
    for (size_t i = 0; i < scaled_q_.size(); ++i) scaled_q_[i] = q.data[i] * shape.scale;

    int64_t row = 0;
    for (const SequenceRun& run : runs) {
      attend_run(y.data + row * width, scaled_q_.data() + row * width, storage, il, run, shape);
      row += run.n_tokens;
    }
  }

  void gather_rows(DeviceSpan<float> y, DeviceSpan<const float> x, std::span<const int32_t> rows,
                   int64_t width) override {
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(x.data + rows[i] * width, width, y.data + static_cast<int64_t>(i) * width);
  }

  void read(std::span<float> host, DeviceSpan<const float> device) override {
    std::memcpy(host.data(), device.data, host.size() * sizeof(float));
  }

 private:
  /// A product's input: as it is for dense weights, int8 [n_cols / 256, n_tokens] for quantized ones.
  struct Input {
    const float* dense;
    const ActivationBlock* quantized;
    int64_t n_cols, n_tokens;
  };

  static int64_t items_of(const Weight& weight) {
    return (static_cast<const CpuWeight&>(weight).n_tiles() + kTilesPerItem - 1) / kTilesPerItem;
  }

  static bool needs_quantized(std::span<const MatmulTask> tasks) {
    return std::any_of(tasks.begin(), tasks.end(), [](const MatmulTask& task) {
      return !is_dense(static_cast<const CpuWeight&>(*task.weight).type());
    });
  }

  Input prepare(DeviceSpan<const float> x, int64_t n_cols, int32_t n_tokens, bool is_quantized) {
    if (is_quantized) {
      const int64_t n_blocks = n_cols / 256;
      if (activations_.size() < static_cast<size_t>(n_tokens * n_blocks))
        activations_.resize(static_cast<size_t>(n_tokens * n_blocks));
      pool_.run(n_tokens,
                [&](int64_t t) { kernels_.quantize(x.data + t * n_cols, n_cols, activations_.data() + t, n_tokens); });
    }
    return {x.data, activations_.data(), n_cols, n_tokens};
  }

  /// A tile in the form that a kernel takes.
  struct KernelTile {
    TensorType type;
    const std::byte* data;
  };

  /// @param slot tiles of different slots can be in use by one thread at the same time
  static KernelTile kernel_tile(const CpuWeight& weight, int64_t i, int slot) {
    if (!is_expanded(weight.type())) return {weight.type(), weight.tile(i)};
    thread_local std::vector<float> expanded[2];
    const auto n = static_cast<size_t>(weight.n_cols() * kTileRows);
    if (expanded[slot].size() < n) expanded[slot].resize(n);
    expand_tile(weight.type(), weight.tile(i), weight.n_cols(), expanded[slot].data());
    return {TensorType::kF32, reinterpret_cast<const std::byte*>(expanded[slot].data())};
  }

  void run_kernel(const KernelTile& tile, const Input& input, int32_t t, int n_tokens, float* y,
                  int64_t y_stride) const {
    MatmulArgs args{tile.data, input.n_cols, nullptr, 0, n_tokens, y, y_stride};
    if (is_dense(tile.type)) {
      args.x = input.dense + t * input.n_cols;
      args.x_stride = input.n_cols;
    } else {
      args.x_stride = input.n_tokens;
      args.x = input.quantized + t;
    }
    switch (tile.type) {
      case TensorType::kF32: return kernels_.matmul_f32(args);
      case TensorType::kF16: return kernels_.matmul_f16(args);
      case TensorType::kQ2_K: return kernels_.matmul_q2_K(args);
      case TensorType::kQ4_K: return kernels_.matmul_q4_K(args);
      case TensorType::kQ5_K: return kernels_.matmul_q5_K(args);
      case TensorType::kIQ2_XXS: return kernels_.matmul_iq2_xxs(args);
      default: assert(!"load_weight refuses other types");
    }
  }

  /// A kernel writes sixteen rows; the last tile of a matrix may have fewer.
  void multiply_tile(const KernelTile& tile, int64_t n_rows, const Input& input, int32_t t, int n_tokens, float* y,
                     int64_t y_stride) const {
    if (n_rows == kTileRows) return run_kernel(tile, input, t, n_tokens, y, y_stride);
    alignas(64) float results[kMaxTileTokens * kTileRows];
    run_kernel(tile, input, t, n_tokens, results, kTileRows);
    for (int i = 0; i < n_tokens; ++i) std::copy_n(results + i * kTileRows, n_rows, y + i * y_stride);
  }

  static void rotate(float* head, const float* angles, const RopeParams& rope) {
    for (int32_t i = 0; i < rope.n_rot / 2; ++i) {
      const float c = angles[2 * i], s = angles[2 * i + 1];
      float& a = rope.pairing == RopePairing::kAdjacent ? head[2 * i] : head[i];
      float& b = rope.pairing == RopePairing::kAdjacent ? head[2 * i + 1] : head[i + rope.n_rot / 2];
      const float x = a, y = b;
      a = x * c - y * s;
      b = x * s + y * c;
    }
  }

  static void store_kv(CpuKvStorage& storage, int32_t page, int32_t il, int32_t head, int32_t slot, int32_t head_dim,
                       const float* k, const float* v) {
    uint16_t* keys = storage.keys(page, il, head);
    uint16_t* values = storage.values(page, il, head) + slot * storage.head_dim_padded();
    for (int32_t d = 0; d < head_dim; ++d) {
      keys[d * kKvPageSize + slot] = float_to_half(k[d]);
      values[d] = float_to_half(v[d]);
    }
  }

  /// Queries of a KV head, token after token, in tiles of kMaxTileQueries that share its keys and values.
  void attend_run(float* y, const float* q, const CpuKvStorage& storage, int32_t il, const SequenceRun& run,
                  const AttentionShape& shape) {
    const auto n_pages = static_cast<size_t>((run.n_past + run.n_tokens + kKvPageSize - 1) / kKvPageSize);
    const auto n_head_kv = static_cast<size_t>(shape.n_head_kv);
    k_pages_.resize(n_head_kv * n_pages);
    v_pages_.resize(n_head_kv * n_pages);
    for (size_t h = 0; h < n_head_kv; ++h) {
      for (size_t p = 0; p < n_pages; ++p) {
        k_pages_[h * n_pages + p] = storage.keys(run.page_table[p], il, static_cast<int32_t>(h));
        v_pages_[h * n_pages + p] = storage.values(run.page_table[p], il, static_cast<int32_t>(h));
      }
    }
    const int32_t group = shape.n_head / shape.n_head_kv;
    const int64_t n_queries = int64_t{run.n_tokens} * group;
    const int64_t n_tiles = (n_queries + kMaxTileQueries - 1) / kMaxTileQueries;
    pool_.run(n_tiles * shape.n_head_kv, [&](int64_t item) {
      // Late tokens see more positions: starting with them evens out the threads' last items.
      const int64_t tile = n_tiles - 1 - item / shape.n_head_kv;
      const auto head_kv = static_cast<size_t>(item % shape.n_head_kv);
      AttentionArgs args{};
      args.n_queries = static_cast<int>(std::min<int64_t>(kMaxTileQueries, n_queries - tile * kMaxTileQueries));
      for (int i = 0; i < args.n_queries; ++i) {
        const int64_t query = tile * kMaxTileQueries + i;
        const int64_t token = query / group;
        const int64_t head = static_cast<int64_t>(head_kv) * group + query % group;
        const int64_t at = (token * shape.n_head + head) * shape.head_dim;
        args.q[i] = q + at;
        args.y[i] = y + at;
        args.n_visible[i] = static_cast<int32_t>(run.n_past + token + 1);
      }
      args.head_dim = shape.head_dim;
      args.head_dim_padded = storage.head_dim_padded();
      args.k_pages = k_pages_.data() + head_kv * n_pages;
      args.v_pages = v_pages_.data() + head_kv * n_pages;
      kernels_.attention(args);
    });
  }

  const CpuKernelTable& kernels_;
  ThreadPool pool_;
  std::string name_;
  RopeTable rope_table_;
  // Scratch, reused from call to call.
  std::vector<ActivationBlock> activations_;
  std::vector<float> scaled_q_;
  std::vector<const uint16_t*> k_pages_, v_pages_;
};

}  // namespace

std::unique_ptr<Backend> create_cpu_backend(CpuKernels kernels, int32_t n_threads) {
  if (n_threads < 0 || n_threads > kMaxThreads) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("n_threads is ", n_threads, "; expected 0 to ", kMaxThreads, "."));
  }
  return std::make_unique<CpuBackend>(select_cpu_kernels(kernels), n_threads > 0 ? n_threads : count_physical_cores());
}

}  // namespace outpost
