// What a forward pass asks of a device: memory and about a dozen operations. One implementation per kind
// of device; model code is written against this interface only.
//
// Activations are f32, row-major, [n_tokens, width], contiguous, in memory of the backend. Operations are
// issued in order by one thread; a result is on the host after `read`.
//
// Batch invariance: a row of any result depends only on that token's inputs and on the KV cache before it,
// never on n_tokens, on the position in the batch or on the number of threads. The CPU backend keeps this
// to the bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "kernels/common/tensor_type.h"

namespace outpost {

/// Memory of one backend, owned elsewhere. Only the CPU backend's may be read through `data` directly.
template <typename T>
struct DeviceSpan {
  T* data = nullptr;
  size_t size = 0;  ///< elements

  operator DeviceSpan<const T>() const { return {data, size}; }
};

/// A tensor as it lies in the model file: [n_rows, n_cols], blocks of `type` along n_cols.
/// The bytes must stay mapped for as long as a Weight made from them lives.
struct WeightView {
  const char* name;  ///< GGUF tensor name, for messages
  TensorType type;
  int64_t n_rows;
  int64_t n_cols;
  std::span<const std::byte> bytes;
};

/// Owns a DeviceSpan.
class Buffer {
 public:
  virtual ~Buffer() = default;
  DeviceSpan<float> span() const { return span_; }

 protected:
  DeviceSpan<float> span_;
};

/// A weight in the layout its backend computes with: repacked, copied to the device, or the file's own.
class Weight {
 public:
  virtual ~Weight() = default;
  virtual int64_t n_rows() const = 0;
  virtual int64_t n_cols() const = 0;
  virtual size_t size_bytes() const = 0;  ///< memory held besides the mapped file
};

/// Shape of the KV cache of one model. A page holds kKvPageSize positions of every layer.
struct KvShape {
  int32_t n_layer;
  int32_t n_head_kv;
  int32_t head_dim;
};

inline constexpr int32_t kKvPageSize = 64;
/// Largest head_dim that every backend has room for.
inline constexpr int32_t kMaxHeadDim = 512;

/// Storage for `n_page` pages. How keys and values lie inside a page is the backend's business.
class KvStorage {
 public:
  virtual ~KvStorage() = default;
  virtual int32_t n_page() const = 0;
  virtual size_t size_bytes() const = 0;
};

/// A run of consecutive tokens of one sequence inside a batch. Position p of the sequence lives in row
/// p % kKvPageSize of page page_table[p / kKvPageSize].
struct SequenceRun {
  std::span<const int32_t> page_table;
  int32_t n_past;    ///< position of the run's first token
  int32_t n_tokens;  ///< rows of the batch that belong to this run; runs follow each other in the batch
};

/// How positions turn into rotations: pairs are (2i, 2i+1) for kAdjacent ("norm" in ggml, the llama
/// layout in GGUF) and (i, i + n_rot/2) for kHalves ("neox").
enum class RopePairing { kAdjacent, kHalves };

struct RopeParams {
  RopePairing pairing;
  int32_t n_rot;                        ///< leading dimensions of each head that are rotated
  float freq_base;                      ///< theta
  float freq_scale;                     ///< 1, or 1/factor for linear scaling
  std::span<const float> freq_factors;  ///< per-pair divisors [n_rot / 2], or empty
};

struct AttentionShape {
  int32_t n_head;
  int32_t n_head_kv;
  int32_t head_dim;
  float scale;  ///< of q.k, usually 1 / sqrt(head_dim)
};

/// One product of a fused group that shares its input.
struct MatmulTask {
  const Weight* weight;      // [n_rows, n_cols]
  DeviceSpan<float> result;  // [n_tokens, n_rows]
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* name() const = 0;  ///< shown to the user: "cpu (avx512)"

  // Memory. All throw EngineError kOutOfMemory, and kModelUnsupported for a tensor type without a kernel.
  virtual std::unique_ptr<Weight> load_weight(const WeightView& view) = 0;
  virtual std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, int32_t n_page) = 0;
  virtual std::unique_ptr<Buffer> alloc_f32(size_t n) = 0;
  /// A small f32 or f16 tensor (a norm's weight) as f32.
  virtual std::unique_ptr<Buffer> load_vector(const WeightView& view) = 0;

  /// Whether `embed` can read the table: said while loading, not in the middle of a reply.
  virtual void check_table(const WeightView& table) const = 0;

  // Operations.
  /// y[t] = row tokens[t] of `table`, dequantized. The table stays in its file layout: only rows are read.
  virtual void embed(DeviceSpan<float> y, const WeightView& table, std::span<const int32_t> tokens) = 0;
  /// y[t, i] = x[t, i] * weight[i] / sqrt(mean_i(x[t, i]^2) + eps)   (arXiv:1910.07467); y may be x.
  virtual void rms_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight,
                        int32_t n_tokens, float eps) = 0;
  /// result = x * weight^T for each task; x is [n_tokens, n_cols] and prepared once for all of them.
  virtual void matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) = 0;
  /// y = silu(x * gate^T) * (x * up^T), [n_tokens, n_ff]
  virtual void matmul_swiglu(DeviceSpan<float> y, const Weight& gate, const Weight& up, DeviceSpan<const float> x,
                             int32_t n_tokens) = 0;
  /// x += y
  virtual void add(DeviceSpan<float> x, DeviceSpan<const float> y) = 0;
  /// Rotates q [n_tokens, n_head, head_dim] in place, and writes rotated k and v
  /// [n_tokens, n_head_kv, head_dim] into the pages of layer `il`. (RoPE: arXiv:2104.09864)
  virtual void rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v,
                                 KvStorage& kv, int32_t il, std::span<const SequenceRun> runs,
                                 const AttentionShape& shape, const RopeParams& rope) = 0;
  /// Causal attention of q over the pages of layer `il`, which already hold the runs' own keys and values.
  /// y is [n_tokens, n_head, head_dim].
  virtual void attention(DeviceSpan<float> y, DeviceSpan<const float> q, const KvStorage& kv, int32_t il,
                         std::span<const SequenceRun> runs, const AttentionShape& shape) = 0;
  /// y[i] = row rows[i] of x, rows of `width`.
  virtual void gather_rows(DeviceSpan<float> y, DeviceSpan<const float> x, std::span<const int32_t> rows,
                           int64_t width) = 0;
  /// Copies to the host after everything issued before has finished.
  virtual void read(std::span<float> host, DeviceSpan<const float> device) = 0;
};

}  // namespace outpost
