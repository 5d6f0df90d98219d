// What a forward pass asks of a device: memory and about twenty operations. One implementation per kind
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
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "backend/kv_format.h"
#include "engine.h"
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
struct WeightView {
  const char* name;  ///< GGUF tensor name, for messages
  TensorType type;
  int64_t n_rows;
  int64_t n_cols;
  std::span<const std::byte> bytes;
  /// The bytes stay as they are for as long as anything made of them lives; otherwise only during the call.
  bool is_mapped = false;
};

/// Owns a DeviceSpan.
class Buffer {
 public:
  virtual ~Buffer() = default;
  DeviceSpan<float> span() const { return span_; }

 protected:
  DeviceSpan<float> span_;
};

/// Memory of the host that a backend's results come to without a detour.
class HostBuffer {
 public:
  virtual ~HostBuffer() = default;
  std::span<float> span() const { return span_; }

 protected:
  std::span<float> span_;
};

/// A weight in the layout its backend computes with: repacked, copied to the device, or the file's own.
class Weight {
 public:
  virtual ~Weight() = default;
  virtual int64_t n_rows() const = 0;
  virtual int64_t n_cols() const = 0;
  /// Memory that it takes: what was made of the file, or the part of the file that is computed with.
  virtual size_t size_bytes() const = 0;
};

/// Matrices of the heads of a layer, [n_head, n_rows, n_cols], in the layout of a backend.
class HeadWeights {
 public:
  virtual ~HeadWeights() = default;
  virtual size_t size_bytes() const = 0;  ///< as of Weight
};

/// Shape of the KV cache of one model. A page holds kKvPageSize positions of every layer.
struct KvShape {
  int32_t n_layer;
  int32_t n_head_kv;
  int32_t head_dim_k;  ///< elements of a key; at most kMaxHeadDim, as are those of a value
  int32_t head_dim_v;
};

inline constexpr int32_t kKvPageSize = 64;
/// Largest head that every backend has room for: the latent attention of DeepSeek has keys of 512 + 64.
inline constexpr int32_t kMaxHeadDim = 576;

/// What there may be of a page: all of its positions as they were written (f16 or 8 bit), all of them packed, and those
/// below kKvSinks in f16. Without compression there is only the first. kv_format.h says which one a query reads.
enum class KvForm { kFresh, kPacked, kSinks };

/// Storage for `n_page` pages. How keys and values lie inside a page is the backend's business.
class KvStorage {
 public:
  virtual ~KvStorage() = default;
  virtual int32_t n_page() const = 0;
  virtual size_t size_bytes() const = 0;  ///< of all pages, were they in use and packed

  // Forms of a page come by themselves when a pass writes or packs it. What follows is for whoever owns the pages.
  virtual bool is_compressed() const { return false; }
  /// Bytes of one page in that form; 0 if pages of this storage have none.
  virtual size_t form_bytes(KvForm form) const {
    return form == KvForm::kFresh ? size_bytes() / static_cast<size_t>(n_page()) : 0;
  }
  /// Whether the page is there in that form, whole. All forms of a page that nobody wrote since `drop` are absent.
  virtual bool has(int32_t /*page*/, KvForm form) const { return form == KvForm::kFresh; }
  virtual void drop(int32_t /*page*/, KvForm /*form*/) {}
  /// Makes the positions of `to` those of `from`, as they were written; the packed form does not come along.
  /// @return false if this storage cannot: nothing has changed then
  virtual bool copy_page(int32_t /*from*/, int32_t /*to*/) { return false; }
  virtual size_t allocated_bytes() const { return size_bytes(); }  ///< of all forms that are there

  // For files: the bytes of a form, form_bytes() of them, in an order of this backend's own.
  /// @pre has(page, form). @return false if this storage cannot
  virtual bool read_form(int32_t /*page*/, KvForm /*form*/, std::span<std::byte> /*bytes*/) const { return false; }
  /// @throws EngineError kOutOfMemory. @return false if this storage cannot
  virtual bool write_form(int32_t /*page*/, KvForm /*form*/, std::span<const std::byte> /*bytes*/) { return false; }
};

/// Who makes room for keys and values: a backend, or several that share a model (stages.h).
class KvAllocator {
 public:
  virtual ~KvAllocator() = default;
  /// `n_page` pages in f16. @throws EngineError kOutOfMemory
  virtual std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, int32_t n_page) = 0;
  /// The same for keys and values in `format`. @throws EngineError kModelUnsupported if only f16 can be kept
  virtual std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, const KvFormat& format, int32_t n_page) = 0;
};

/// A run of consecutive tokens of one sequence inside a batch. Position p of the sequence lives in row
/// p % kKvPageSize of page page_table[p / kKvPageSize]. What a run adds no other run of the batch reads.
struct SequenceRun {
  std::span<const int32_t> page_table;
  int32_t n_past;    ///< position of the run's first token
  int32_t n_tokens;  ///< rows of the batch that belong to this run; runs follow each other in the batch
};

/// How dimensions of a head pair up into planes of rotation, after the first `offset`: (2i, 2i+1) for kAdjacent
/// ("norm" in ggml, the llama layout in GGUF) and (i, i + n_pairs) for kHalves ("neox").
enum class RopePairing { kAdjacent, kHalves };

/// Rotary position embedding (arXiv:2104.09864): pair i of a head at position p is turned by p * frequencies[i] and
/// multiplied by `magnitude`. All scaling schemes (linear, NTK, YaRN, llama 3, LongRoPE) are choices of these numbers.
struct RopeParams {
  RopePairing pairing = RopePairing::kAdjacent;
  int32_t offset = 0;               ///< leading dimensions of a head that are left as they are
  std::vector<double> frequencies;  ///< radians per position, [n_pairs]; dimensions after the pairs are left too
  float magnitude = 1.0f;
};

/// The rotations of one RopeParams, prepared by a backend and grown as positions are used.
class Rope {
 public:
  virtual ~Rope() = default;
};

struct AttentionParams {
  int32_t n_head;
  int32_t n_head_kv;
  int32_t head_dim_k;
  int32_t head_dim_v;
  float scale;           ///< of q.k, usually 1 / sqrt(head_dim_k)
  float softcap = 0;     ///< a score s becomes softcap * tanh(s / softcap); 0: none
  int32_t n_window = 0;  ///< a token sees itself and the n_window - 1 positions before it; 0: all
  /// A logit per query head that takes part in the softmax and adds no value; may be empty. [n_head]
  DeviceSpan<const float> sinks = {};
};

/// One product of a fused group that shares its input.
struct MatmulTask {
  const Weight* weight;               // [n_rows, n_cols]
  DeviceSpan<float> result;           // [n_tokens, n_rows]
  DeviceSpan<const float> bias = {};  // [n_rows], added to each token's result; may be empty
};

/// kGelu is the tanh approximation, in f32 (arXiv:1606.08415).
enum class Activation { kSilu, kGelu };

/// How a feed-forward layer combines its two halves:
///   kSwiGlu     silu(gate) * up   (arXiv:2002.05202)
///   kGeGlu      gelu(gate) * up, gelu as above
///   kSwiGluOai  g = min(gate, 7), u = clamp(up, -7, 7): g * sigmoid(1.702 * g) * (u + 1), of gpt-oss
enum class Gate { kSwiGlu, kGeGlu, kSwiGluOai };

/// The two halves of a gated feed-forward layer. Biases [n_ff] may be empty.
struct GatedPair {
  const Weight* gate;  // [n_ff, n_embd]
  const Weight* up;    // [n_ff, n_embd]
  DeviceSpan<const float> gate_bias = {};
  DeviceSpan<const float> up_bias = {};
};

/// How a mixture-of-experts layer turns router logits into choices and weights.
struct RouterParams {
  /// kSoftmax and kSigmoid turn logits into probabilities before the choice; kSoftmaxOfChosen chooses by the logits
  /// and takes the softmax over the chosen ones alone.
  enum class Gating { kSoftmax, kSigmoid, kSoftmaxOfChosen };
  Gating gating = Gating::kSoftmax;
  int32_t n_expert = 0;
  int32_t n_used = 0;
  /// Experts are n_groups equal runs, of which the n_groups_used with the largest sum of their two best (biased)
  /// probabilities take part (arXiv:2412.19437, section 2.1.2). 1: no groups.
  int32_t n_groups = 1, n_groups_used = 1;
  bool is_normalized = false;  ///< weights of the chosen are divided by their sum, which counts as at least 2^-14
  float scale = 1.0f;          ///< of the weights, at last
};

/// The tensors of one layer's experts in file layout, experts one after the other: [n_expert, n_rows, n_cols].
struct ExpertViews {
  int32_t il;                                            ///< layer, for messages and statistics
  WeightView gate, up, down;                             ///< of all experts stacked: n_rows counts those of all
  std::span<const float> gate_bias, up_bias, down_bias;  ///< [n_expert, n_rows of one], may be empty; on the host
  std::span<const float> selection_bias;  ///< [n_expert] added to the probabilities for the choice only; may be empty
  /// `gate` is [n_expert, 2 * n_ff, n_embd], each expert's gate before its up; there is no `up` then.
  bool is_merged = false;
};

/// The experts of one layer, ready to compute.
class Experts {
 public:
  virtual ~Experts() = default;
  virtual ExpertUsage usage() const = 0;
};

/// What a forward pass, or the stage of one that a backend computes, brings along from the host.
struct PassInputs {
  const void* network;  ///< who computes: its passes with inputs of the same shape issue the same operations
  KvStorage& kv;
  std::span<const int32_t> tokens;
  std::span<const SequenceRun> runs;
  std::span<const int32_t> logit_rows;
  int32_t n_ctx;
  bool wants_hidden;                        ///< hidden states instead of logits
  std::span<const float> activations = {};  ///< what the stage before has computed; empty in the first one
  bool wants_all_hidden = false;            ///< hidden states of all tokens beside what else is wanted
  bool wants_shortlists = false;            ///< of the logits
};

class Backend : public KvAllocator {
 public:
  virtual const char* name() const = 0;  ///< shown to the user: "cpu (avx512)"
  /// Tokens of a prompt that are best computed in one pass: 10 to 15 ms of work for a mid-sized model.
  virtual int32_t n_prefill() const { return 256; }
  /// Tokens of a pass below which it is not worth while, even if others wait longer for its end.
  virtual int32_t n_least_prefill() const { return 32; }
  /// Tokens of a pass while nobody else waits for its end. Whoever comes meanwhile waits for a layer or two, if a pass
  /// may be given up for it, and else for all of it.
  virtual int32_t n_lone_prefill() const { return n_least_prefill(); }

  /// Runs `operations`, which issue a whole forward pass and return where its logits will lie. The tokens, runs and
  /// rows that they hand on are those of `inputs`. A device may have recorded an earlier pass with inputs of this shape
  /// and repeat that in place of calling `operations`.
  /// @throws EngineError kOutOfMemory: nothing reads or writes the memory of passes any more, which may be given back
  virtual DeviceSpan<const float> run_pass(const PassInputs&,
                                           const std::function<DeviceSpan<const float>()>& operations) {
    return operations();
  }

  /// Before a layer's operations, and before it is asked whether the pass goes on: a device that computes later than it
  /// is told waits here, so as not to be far behind when a pass is given up.
  virtual void begin_layer() {}

  // Memory. All throw EngineError kOutOfMemory, and kModelUnsupported for a tensor type without a kernel.
  virtual std::unique_ptr<Weight> load_weight(const WeightView& view) = 0;
  using KvAllocator::alloc_kv;
  std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, const KvFormat& format, int32_t n_page) override;
  virtual std::unique_ptr<Buffer> alloc_f32(size_t n) = 0;
  /// For `read`, which takes other memory of the host too, and then copies twice. On any thread; may outlive the
  /// backend.
  virtual std::unique_ptr<HostBuffer> alloc_host(size_t n) = 0;
  /// A small f32 or f16 tensor (a norm's weight) as f32.
  virtual std::unique_ptr<Buffer> load_vector(const WeightView& view) = 0;
  /// @param view the heads' matrices on one another, [n_head * n_rows, n_cols]
  virtual std::unique_ptr<HeadWeights> load_heads(const WeightView& view, int32_t n_head) = 0;
  virtual std::unique_ptr<Rope> create_rope(const RopeParams& params) = 0;
  /// @pre the views are mapped: experts that do not fit into the budget are prepared from there again and again
  virtual std::unique_ptr<Experts> load_experts(const ExpertViews& views, const RouterParams& router, Gate gate) = 0;
  virtual ExpertCacheStats expert_cache_stats() const = 0;
  /// Whether what was made of this view computes with its bytes, where they are: the file's pages are wanted then.
  virtual bool reads_in_place(const WeightView&) const { return false; }

  /// Makes the table ready for `embed`, which finds it by its bytes: what is wrong is said while loading, not in the
  /// middle of a reply.
  virtual void load_table(const WeightView& table) = 0;
  /// Whether a weight of this view has the memory of its table (tied embeddings).
  virtual bool shares_table(const WeightView&) const { return false; }

  // Operations.
  /// y[t] = row tokens[t] of `table`, dequantized. The table stays in its file layout: only rows are read.
  virtual void embed(DeviceSpan<float> y, const WeightView& table, std::span<const int32_t> tokens) = 0;
  /// y[t, i] = x[t, i] * weight[i] / sqrt(mean_i(x[t, i]^2) + eps)   (arXiv:1910.07467); y may be x. A head is a row
  /// too: n_rows is n_tokens * n_head there.
  virtual void rms_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight, int32_t n_rows,
                        float eps) = 0;
  /// y[t, i] = (x[t, i] - mean) * weight[i] / sqrt(variance + eps) + bias[i]   (arXiv:1607.06450); y may be x, bias may
  /// be empty.
  virtual void layer_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight,
                          DeviceSpan<const float> bias, int32_t n_rows, float eps) = 0;
  /// result = x * weight^T + bias for each task; x is [n_tokens, n_cols] and prepared once for all of them.
  virtual void matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) = 0;
  /// y = gate function of x * gate^T and x * up^T, [n_tokens, n_ff]
  virtual void matmul_gated(DeviceSpan<float> y, const GatedPair& pair, DeviceSpan<const float> x, int32_t n_tokens,
                            Gate gate) = 0;
  /// Each head has a matrix of its own: y[t, h, 0..n_rows) = x[t, h, 0..n_cols) * weights[h]^T. Heads of x lie
  /// x_stride elements apart, heads of y y_stride; a token has as many as `weights`. What lies between is left.
  virtual void matmul_heads(DeviceSpan<float> y, int32_t y_stride, const HeadWeights& weights,
                            DeviceSpan<const float> x, int32_t x_stride, int32_t n_tokens) = 0;
  /// y[t] = sum over the chosen experts e of weight_e * down_e(gate function of gate_e(x[t]), up_e(x[t])), in the order
  /// of their probability. logits is [n_tokens, n_expert].
  virtual void expert_ffn(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> logits,
                          int32_t n_tokens, Experts& experts) = 0;
  /// x += scale * y
  virtual void add(DeviceSpan<float> x, DeviceSpan<const float> y, float scale = 1.0f) = 0;
  /// x[t] += sigmoid(logits[t]) * y[t], rows of y.size / n_tokens
  virtual void add_gated(DeviceSpan<float> x, DeviceSpan<const float> y, DeviceSpan<const float> logits,
                         int32_t n_tokens) = 0;
  /// Says that x is not read before it is written again: what was to make it may become a part of what takes it, and
  /// need not be there itself.
  virtual void discard(DeviceSpan<const float>) {}
  /// x *= factor
  virtual void scale(DeviceSpan<float> x, float factor) = 0;
  /// x = cap * tanh(x / cap)
  virtual void softcap(DeviceSpan<float> x, float cap) = 0;
  virtual void activate(DeviceSpan<float> x, Activation activation) = 0;
  /// y[r, y_col + i] = x[r, x_col + i] for n_cols columns; rows are y_width and x_width elements apart.
  virtual void copy_columns(DeviceSpan<float> y, int32_t y_width, int32_t y_col, DeviceSpan<const float> x,
                            int32_t x_width, int32_t x_col, int32_t n_cols, int32_t n_rows) = 0;
  /// Rotates q [n_tokens, n_head, head_dim_k] in place, and writes rotated k [n_tokens, n_head_kv, head_dim_k] and
  /// v [n_tokens, n_head_kv, head_dim_v] into the pages of layer `il`. Without a rope nothing is rotated.
  virtual void rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v,
                                 KvStorage& kv, int32_t il, std::span<const SequenceRun> runs,
                                 const AttentionParams& params, Rope* rope) = 0;
  /// Causal attention of q over the pages of layer `il`, which already hold the runs' own keys and values.
  /// y is [n_tokens, n_head, head_dim_v]. What q holds afterwards is not said: a device may rotate it here alone.
  virtual void attention(DeviceSpan<float> y, DeviceSpan<const float> q, const KvStorage& kv, int32_t il,
                         std::span<const SequenceRun> runs, const AttentionParams& params) = 0;
  /// Whether there is `shortlist`: where bringing rows of logits to the host, and looking through them there, takes
  /// longer.
  virtual bool has_shortlists() const { return false; }
  /// Of each row of logits [n_rows, n_vocab] a Shortlist (kernels/common/shortlist.h), as the bits of its words
  /// [n_rows, kShortlistWords]. @pre has_shortlists()
  virtual void shortlist(DeviceSpan<float> /*lists*/, DeviceSpan<const float> /*logits*/, int32_t /*n_rows*/) {}
  /// y[i] = row rows[i] of x, rows of `width`.
  virtual void gather_rows(DeviceSpan<float> y, DeviceSpan<const float> x, std::span<const int32_t> rows,
                           int64_t width) = 0;
  /// x = PassInputs::activations of the pass that is computed, which `host` must be: a pass that was recorded is
  /// repeated with those of another.
  virtual void write(DeviceSpan<float> x, std::span<const float> host) = 0;
  /// Copies to the host after everything issued before has finished.
  virtual void read(std::span<float> host, DeviceSpan<const float> device) = 0;
};

}  // namespace outpost
