// Computes on a GPU, by the runtime that the build has. Everything is put on one stream, in the order of the calls.
//
// gpu_backend.cpp: passes and the small operations; gpu_weights.cpp: what is loaded; gpu_products.cpp: products and
// the forms of activations that they take; gpu_attention.cpp and gpu_experts.cpp: these; gpu_expert_weights.cpp:
// experts as they are loaded; gpu_codes.cpp: the pages of a KV cache in codes; gpu_devices.cpp: what there is.
#pragma once

#include <array>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backend/device_experts.h"
#include "backend/gpu/gpu_codes.h"
#include "backend/gpu/gpu_experts.h"
#include "backend/gpu/gpu_inputs.h"
#include "backend/gpu/gpu_memory.h"
#include "backend/gpu/gpu_recordings.h"
#include "core/strings.h"

namespace outpost {

/// What kernels count with. @throws EngineError kInternal for more than they count to
int32_t int_of(size_t n);

class GpuBackend final : public Backend {
 public:
  /// What it makes, but memory of the host, it outlives.
  /// @param n_planned what its model is going to take of the device, at most
  GpuBackend(int32_t device, const DeviceExperts& experts, uint64_t n_planned);
  ~GpuBackend() override;

  const char* name() const override { return name_.c_str(); }
  int32_t n_prefill() const override { return prefill_tokens_.best; }
  int32_t n_least_prefill() const override { return prefill_tokens_.least; }
  int32_t n_lone_prefill() const override { return prefill_tokens_.best; }

  // ---- what is loaded

  std::unique_ptr<Weight> load_weight(const WeightView& view) override;
  std::unique_ptr<HeadWeights> load_heads(const WeightView& view, int32_t n_head) override;
  std::unique_ptr<Buffer> load_vector(const WeightView& view) override;
  void load_table(const WeightView& table) override { tables_[table.bytes.data()] = load_matrix(table); }
  bool shares_table(const WeightView& view) const override;
  std::unique_ptr<Experts> load_experts(const ExpertViews& views, const RouterParams& router, Gate gate) override;
  ExpertCacheStats expert_cache_stats() const override;
  bool reads_in_place(const WeightView& view) const override { return lent_.contains(view.bytes.data()); }
  std::unique_ptr<Rope> create_rope(const RopeParams& params) override;
  std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, int32_t n_page) override;
  std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, const KvFormat& format, int32_t n_page) override;
  std::unique_ptr<Buffer> alloc_f32(size_t n) override;
  std::unique_ptr<HostBuffer> alloc_host(size_t n) override;

  // ---- passes

  DeviceSpan<const float> run_pass(const PassInputs& inputs,
                                   const std::function<DeviceSpan<const float>()>& operations) override;
  void begin_layer() override;
  void write(DeviceSpan<float> x, std::span<const float> host) override;
  void read(std::span<float> host, DeviceSpan<const float> device) override;

  // ---- operations

  void embed(DeviceSpan<float> y, const WeightView& table, std::span<const int32_t> tokens) override;
  void rms_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight, int32_t n_rows,
                float eps) override;
  void layer_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight,
                  DeviceSpan<const float> bias, int32_t n_rows, float eps) override;
  void matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) override;
  void matmul_gated(DeviceSpan<float> y, const GatedPair& pair, DeviceSpan<const float> x, int32_t n_tokens,
                    Gate gate) override;
  void matmul_heads(DeviceSpan<float> y, int32_t y_stride, const HeadWeights& weights, DeviceSpan<const float> x,
                    int32_t x_stride, int32_t n_tokens) override;
  void expert_ffn(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> logits, int32_t n_tokens,
                  Experts& layer) override;
  void add(DeviceSpan<float> x, DeviceSpan<const float> y, float scale) override;
  void discard(DeviceSpan<const float> x) override;
  void add_gated(DeviceSpan<float> x, DeviceSpan<const float> y, DeviceSpan<const float> logits,
                 int32_t n_tokens) override;
  void scale(DeviceSpan<float> x, float factor) override;
  void softcap(DeviceSpan<float> x, float cap) override;
  void activate(DeviceSpan<float> x, Activation activation) override;
  void copy_columns(DeviceSpan<float> y, int32_t y_width, int32_t y_col, DeviceSpan<const float> x, int32_t x_width,
                    int32_t x_col, int32_t n_cols, int32_t n_rows) override;
  void rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v, KvStorage& kv,
                         int32_t il, std::span<const SequenceRun> runs, const AttentionParams& params,
                         Rope* rope) override;
  void attention(DeviceSpan<float> y, DeviceSpan<const float> q, const KvStorage& kv, int32_t il,
                 std::span<const SequenceRun> runs, const AttentionParams& params) override;
  bool has_shortlists() const override { return true; }
  void shortlist(DeviceSpan<float> lists, DeviceSpan<const float> logits, int32_t n_rows) override;
  void gather_rows(DeviceSpan<float> y, DeviceSpan<const float> x, std::span<const int32_t> rows,
                   int64_t width) override;

 private:
  // What was asked for and is not issued yet, as it may become a part of another launch.
  /// x += factor * y
  struct PendingAdd {
    DeviceSpan<float> x;
    DeviceSpan<const float> y;
    float factor = 1.0f;
  };
  /// One token's product, which may add its result if nobody wants it besides. Nothing else is issued before it.
  struct PendingProduct {
    const GpuMatrix* matrix = nullptr;
    DeviceSpan<float> y;
    DeviceSpan<const float> x;
    const float* bias = nullptr;
    bool is_discarded = false;  ///< y is read by the pending addition alone
  };
  /// y = rms_norm(x) of one row, or of many. Products take x and do it themselves, or many have it as f16 along with
  /// the addition to x before it; who else reads y, or writes x, has it issued.
  struct PendingNorm {
    DeviceSpan<float> y;
    DeviceSpan<const float> x, weight;
    float eps = 0;
    int32_t n_rows = 0;
  };
  /// y = gate(y, up) of many rows. Products have it as f16; who else reads y has it issued.
  struct PendingGate {
    DeviceSpan<float> y;
    DeviceSpan<const float> up;  ///< in memory that nobody else takes
    int32_t kind = 0;
  };
  /// Rotation and storing of a pass of few tokens, which attention takes along.
  struct PendingKv {
    DeviceSpan<float> q;
    DeviceSpan<const float> k, v;
    const GpuKvStorage* kv = nullptr;
    int32_t il = 0;
    const GpuRope* rope = nullptr;
    int32_t n_head = 0;
  };

  /// An UnpackedPlan on the device. Passes that have one are not recorded.
  struct UnpackedPass {
    int32_t n_group, n_rows, n_window;
    bool is_current = false;  ///< made for this pass
    int32_t n_pages = 0, n_tiles = 0;
    const gpu::UnpackedPage* pages = nullptr;
    const int32_t* page_tables = nullptr;
    const gpu::AttentionTile* tiles = nullptr;
    DeviceBytes memory;
    PinnedBytes pinned;
  };

  void use() { check_gpu(gpu::choose_device(device_), "choosing the device"); }

  void launched(gpu::Error error, const char* kernel) { check_gpu(error, kernel); }

  static bool overlap(DeviceSpan<const float> a, DeviceSpan<const float> b) {
    return a.data < b.data + b.size && b.data < a.data + a.size;
  }

  /// Issues what was put off, but a norm or a gate that none of these spans needs.
  void settle(std::initializer_list<DeviceSpan<const float>> reads = {});
  void issue_product();
  void issue_norm();
  void issue_gate();
  /// An addition that is put off to what the pending norm reads, which was asked for before it; empty if there is none.
  PendingAdd take_addend();
  void launch_norm(const PendingNorm& norm, const PendingAdd& addend);
  /// For an operation that writes to `y`: codes of what was there are stale.
  float* write(DeviceSpan<float> y);
  /// Room for n floats that no other user of this memory needs now.
  float* reserve(DeviceBytes& memory, size_t n);
  void free_intermediates();

  // ---- passes

  /// What a pass brings along from the host, and the rotations of its positions.
  void stage(const PassInputs& inputs);
  /// Copies the activations that a pass brings along to where recorded ones look for them.
  void stage_activations(std::span<const float> activations);
  /// A pass whose inputs are on the device: as it was recorded, or by its operations. @return its logits
  DeviceSpan<const float> run_operations(const PassInputs& inputs,
                                         const std::function<DeviceSpan<const float>()>& operations);
  /// What was put off, and what is known of what the device has: of another pass, or of operations it never got.
  void forget_operations();
  /// Everything that a pass asks for, nothing put off. @return its logits
  DeviceSpan<const float> finish_operations(const std::function<DeviceSpan<const float>()>& operations);
  /// What a pass asks for, as a graph that is kept by its key; without a recording where the device has no room for it.
  GpuRecordings::Pass record(const GpuRecordings::Key& key, const std::function<DeviceSpan<const float>()>& operations);

  // ---- products

  /// Whether most weights take rows of this width as codes in groups of 256.
  bool takes_super_groups(int32_t width) const { return width % 256 == 0 && super_bytes_ * 2 >= weight_bytes_; }
  gpu::QuantizedOutput reserve_codes(size_t n);
  /// x as weights of this type are multiplied by.
  gpu::QuantizedInput quantize(DeviceSpan<const float> x, gpu::DeviceType type);
  /// The image of n_tokens rows, for products with many tokens. What x was put off as is taken along, and stays put
  /// off.
  gpu::HalvedInput halve(DeviceSpan<const float> x, int32_t n_tokens, int32_t n_cols);
  static bool takes_halves(const GpuMatrix& matrix, int32_t n_tokens) {
    return n_tokens > gpu::kMatvecMaxTokens && gpu::can_gemm(matrix.type(), matrix.n_cols());
  }
  /// Matrices of one kind, of which `first` is one.
  void multiply_halves(const GpuMatrix& first, std::span<const gpu::MatrixProduct> products, DeviceSpan<const float> x,
                       int32_t n_tokens);
  void multiply(const GpuMatrix& matrix, DeviceSpan<float> y, DeviceSpan<const float> x, const float* bias,
                int32_t n_tokens);
  bool is_quantized(DeviceSpan<const float> x, gpu::DeviceType type) const;
  bool is_norm(DeviceSpan<const float> x) const {
    return norm_.y.data != nullptr && norm_.y.data == x.data && norm_.y.size == x.size;
  }
  bool is_gate(DeviceSpan<const float> x) const {
    return gate_.y.data != nullptr && gate_.y.data == x.data && gate_.y.size == x.size;
  }
  /// Whether products of this matrix with x may do its pending norm themselves.
  bool takes_norm(const GpuMatrix& matrix, DeviceSpan<const float> x) const {
    return is_norm(x) && norm_.n_rows == 1 && gpu::can_fuse(matrix.type(), matrix.n_cols());
  }
  gpu::FusedInput normed_input() const { return {norm_.x.data, norm_.weight.data, norm_.eps}; }
  /// The first task and those after it that one launch can take along. @return how many these were
  size_t multiply_alike(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens);
  /// Which expert of the pass is in which slot, if they are not all on the device.
  void resolve(GpuExpertPass& pass);
  /// Copies of these matrices what a round lacks.
  void copy_experts(const GpuExpertPass& pass, std::initializer_list<const GpuMatrix*> matrices, int32_t round);
  /// y = the sum of what the chosen experts make of x. @param weights of the choices
  void compute_experts(DeviceSpan<float> y, DeviceSpan<const float> x, const float* weights, GpuExpertPass& pass);
  /// What experts' products multiply.
  struct ExpertInput {
    DeviceSpan<const float> values;
    int32_t n_used;  ///< choices that share a row
    /// Not empty: values are gates of these, and products take them as f16.
    DeviceSpan<const float> up = {};
    int32_t gate = 0;
  };
  /// All experts' products with one of their matrices, for every choice.
  void multiply_experts(const GpuMatrix& matrix, DeviceSpan<float> y, const ExpertInput& x, const float* bias,
                        GpuExpertPass& pass);
  /// The choices of many tokens as rows of an image, and that image.
  gpu::ArrangedChoices arrange(const int32_t* choices, int32_t n_choices, int32_t n_expert);
  gpu::HalvedInput halve_choices(const ExpertInput& x, GpuExpertPass& pass, int32_t n_cols);

  /// Heads side by side, x [n_tokens, n_head, n_cols] and y [n_tokens, n_head, n_rows], of at most kMostHeadRows rows.
  void multiply_heads(const GpuHeads& heads, float* y, DeviceSpan<const float> x, int32_t n_tokens, bool is_halved);
  /// Heads of floats without a kernel for many tokens, one after the other.
  void multiply_each_head(const GpuHeads& heads, DeviceSpan<float> y, int32_t y_stride, DeviceSpan<const float> x,
                          int32_t x_stride, int32_t n_tokens);
  /// Every token has chosen all heads, in order: what experts' products of few tokens want to know of that.
  gpu::ExpertLists list_heads(int32_t n_head, int32_t n_tokens);

  // ---- attention

  int32_t blocks_that_fill() const { return 4 * n_multiprocessors_; }
  /// Gives `shape`, whose tiles are there, larger ones if they are worth it. @param n_blocks_of_tile of its launch
  void enlarge_tiles(GpuInputs::TileShape& shape, int32_t n_blocks_of_tile, int32_t n_most_rows);

  // ---- keys and values

  static gpu::RopeKvParams rope_params(const PendingKv& pending);
  /// Rotates and stores in a launch of its own.
  void store(const PendingKv& pending);

  // ---- keys and values in codes

  gpu::RopeCodesParams codes_params(const GpuCodesStorage& storage, int32_t il, int32_t n_head) const;
  /// What this pass unpacks for layers with that window and way of sharing heads.
  const UnpackedPass& unpacked_pass(int32_t n_group, int32_t n_rows, int32_t n_window);
  /// Up to kMatvecMaxTokens tokens.
  void attend_codes(DeviceSpan<float> y, DeviceSpan<const float> q, const GpuCodesStorage& storage, int32_t il,
                    const AttentionParams& params);
  /// More tokens: by kernels that read f16.
  void attend_unpacked(DeviceSpan<float> y, DeviceSpan<const float> q, const GpuCodesStorage& storage, int32_t il,
                       const AttentionParams& params);

  // ---- what is loaded

  /// @throws EngineError kModelUnsupported
  void check_kv_shape(const KvShape& shape);
  void forget_passes();
  std::shared_ptr<GpuMatrix> load_matrix(const WeightView& view);
  std::unique_ptr<GpuMatrix> upload_matrix(const WeightView& view);
  /// One matrix of all experts as it lies in the file: `width` bytes of each, `pitch` apart.
  struct ExpertRuns {
    const WeightView& view;
    const std::byte* first;
    size_t pitch, width;
    int64_t n_rows;  ///< of one expert

    gpu::DeviceType type() const { return {view.type, gpu::can_widen(view.type, view.n_cols)}; }
    /// Of one expert on the device.
    size_t device_bytes() const { return gpu::device_bytes(type(), n_rows * view.n_cols); }
  };
  /// @param n_slots n_expert: all experts are on the device
  std::unique_ptr<GpuMatrix> load_expert_matrix(const ExpertRuns& runs, int32_t n_expert, int32_t n_slots);
  /// The first experts in slots, and all of them in pinned memory, in the layout of the device.
  std::unique_ptr<GpuMatrix> to_slots(const ExpertRuns& runs, int32_t n_expert, int32_t n_slots);
  /// @param pitch bytes from one run of `width` bytes to the next; all of them make n_rows rows
  std::unique_ptr<GpuMatrix> to_device(const WeightView& view, const std::byte* bytes, size_t pitch, size_t width,
                                       int64_t n_rows);
  std::unique_ptr<GpuBuffer> upload(std::span<const float> values);

  int32_t device_;
  PlannedMemory plan_;  // before all that takes memory
  std::string name_;
  int32_t n_multiprocessors_ = 0;
  gpu::Stream stream_ = nullptr;
  std::mutex stream_mutex_;  // held for the length of a pass; see SharedStream
  std::map<std::pair<const std::byte*, int64_t>, std::weak_ptr<GpuMatrix>> matrices_;
  std::map<const std::byte*, std::shared_ptr<GpuMatrix>> tables_;
  std::set<const std::byte*> lent_;  // of views that are computed with in place
  std::vector<GpuRope*> ropes_;      // owned by the network, which outlives every pass
  DeviceExperts expert_budget_;
  uint64_t resident_expert_bytes_ = 0, expert_bytes_ = 0;  // of slots, and of all experts
  DeviceBytes expert_counters_;                            // [kSlotCounters]; none where all experts are resident

  GpuInputs inputs_;
  GpuRecordings recordings_;
  PinnedBytes pinned_, pinned_activations_;
  std::shared_ptr<PinnedResults> pinned_results_ = std::make_shared<PinnedResults>();
  DeviceBytes activations_;  // of the stage before
  bool is_in_pass_ = false;
  std::array<gpu::Mark, 2> layer_marks_ = {};  // before the layers that were begun last, of long passes
  size_t n_layers_begun_ = 0;
  bool is_long_pass_ = false;                // which is not recorded, and may be given up between layers
  std::span<const int32_t> pass_tokens_;     // of the pass that is computed
  std::span<const float> pass_activations_;  // likewise
  int32_t n_splits_ = 1;
  std::vector<std::unique_ptr<UnpackedPass>> unpacked_passes_;
  PendingAdd pending_;
  PendingProduct product_;
  PendingNorm norm_;
  PendingGate gate_;
  PendingKv pending_kv_;
  DeviceSpan<const float> quantized_;  // whose codes are in codes_, scales_, sums_ and pairs_
  bool is_quantized_super_ = false;
  uint64_t weight_bytes_ = 0, super_bytes_ = 0;  // of all weights, and of those that take codes in groups of 256
  DeviceSpan<const float> halved_;               // whose image is in image_ and image_scales_
  bool has_stream_ = false;
  gpu::PassTokens prefill_tokens_ = {};
  std::set<DeviceBytes*> intermediates_;  // those of the following that have memory: nothing in them outlives a pass
  DeviceBytes image_, image_scales_, up_;
  DeviceBytes vocabulary_groups_;
  DeviceBytes unpacked_;
  DeviceBytes codes_, scales_, sums_, pairs_, partial_, states_, spare_, other_spare_;
  DeviceBytes choices_, choice_weights_, order_, tiles_, n_tiles_, hidden_, other_hidden_, expert_results_;
  std::map<int32_t, DeviceBytes> head_choices_;  // by the number of heads: 0, 1, ... and again, kMostHeadRows in all
  DeviceBytes head_order_, head_tiles_, n_head_tiles_;
  std::pair<int32_t, int32_t> listed_heads_ = {};  // heads and tokens that these are for, in this pass
  DeviceBytes expert_places_, expert_copies_, n_expert_copies_, expert_rows_, row_tiles_;
};

}  // namespace outpost
