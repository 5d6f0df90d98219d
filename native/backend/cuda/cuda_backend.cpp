#include "backend/cuda_devices.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "backend/cuda/cuda_graphs.h"
#include "backend/cuda/cuda_inputs.h"
#include "backend/cuda/cuda_memory.h"
#include "core/strings.h"
#include "quant/dequantize.h"

namespace outpost {
namespace {

using gpu::DeviceType;

// Passes of more tokens are long enough to hide their launches, and come in more sizes.
constexpr int32_t kMaxGraphTokens = 64;

int32_t int_of(size_t n) { return static_cast<int32_t>(n); }

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(int32_t device) : device_(device) {
    use();
    cudaDeviceProp properties{};
    check_cuda(cudaGetDeviceProperties(&properties, device), "reading the properties of the device");
    name_ = concat("cuda:", device, " (", properties.name, ")");
    n_multiprocessors_ = properties.multiProcessorCount;
    has_gemm_ = gpu::has_gemm();
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }

  ~CudaBackend() override {
    cudaSetDevice(device_);
    cudaStreamSynchronize(stream_);
    graphs_.clear();
    cudaStreamDestroy(stream_);
  }

  const char* name() const override { return name_.c_str(); }
  // Tiles of products are large where they are fast: it takes many tokens to fill the device with them.
  int32_t n_prefill() const override { return has_gemm_ ? 2048 : 512; }

  // ---- memory

  std::unique_ptr<Weight> load_weight(const WeightView& view) override {
    return std::make_unique<CudaWeight>(load_matrix(view));
  }

  using Backend::alloc_kv;  // refuses formats other than f16
  std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, int32_t n_page) override {
    use();
    if (shape.head_dim_k % 4 != 0 || shape.head_dim_v % 4 != 0 || shape.head_dim_k > 576 || shape.head_dim_v > 512) {
      throw EngineError(
          ErrorCode::kModelUnsupported,
          concat("Heads of ", shape.head_dim_k, " and ", shape.head_dim_v, " elements cannot be computed ",
                 "on a GPU; expected multiples of 4 up to 576 and 512. Choose the CPU."));
    }
    return std::make_unique<CudaKvStorage>(shape, n_page, stream_, [this] {
      cudaStreamSynchronize(stream_);
      graphs_.clear();
    });
  }

  std::unique_ptr<Buffer> alloc_f32(size_t n) override {
    use();
    return std::make_unique<CudaBuffer>(n);
  }

  std::unique_ptr<Buffer> load_vector(const WeightView& view) override {
    if (!can_dequantize(view.type)) fail_unsupported(view);
    std::vector<float> values(static_cast<size_t>(view.n_rows * view.n_cols));
    dequantize(view.type, view.bytes.data(), values.data(), int64_t(values.size()));
    return upload(values);
  }

  std::unique_ptr<Rope> create_rope(const RopeParams& params) override {
    use();
    auto rope = std::make_unique<CudaRope>(params);
    ropes_.push_back(rope.get());
    return rope;
  }

  std::unique_ptr<Experts> load_experts(const ExpertViews& views, const RouterParams& router, Gate gate) override {
    if (router.n_expert > gpu::kMaxExperts || router.n_used > gpu::kMaxExpertsUsed) {
      throw EngineError(
          ErrorCode::kModelUnsupported,
          concat("Layer ", views.il, " has ", router.n_expert, " experts of which a token uses ", router.n_used,
                 "; a GPU computes up to ", gpu::kMaxExperts, " and ", gpu::kMaxExpertsUsed, ". Choose the CPU."));
    }
    auto experts = std::make_unique<CudaExperts>();
    experts->il = views.il;
    experts->router = router;
    experts->gate_kind = gate;
    if (views.is_merged) {
      experts->gate = load_half(views.gate, router.n_expert, 0);
      experts->up = load_half(views.gate, router.n_expert, 1);
    } else {
      experts->gate = upload_matrix(views.gate);
      experts->up = upload_matrix(views.up);
    }
    experts->down = upload_matrix(views.down);
    const auto optional = [&](std::span<const float> values) { return values.empty() ? nullptr : upload(values); };
    experts->gate_bias = optional(views.gate_bias);
    experts->up_bias = optional(views.up_bias);
    experts->down_bias = optional(views.down_bias);
    experts->selection_bias = optional(views.selection_bias);
    expert_bytes_ += experts->gate->size_bytes() + experts->up->size_bytes() + experts->down->size_bytes();
    return experts;
  }

  ExpertCacheStats expert_cache_stats() const override {
    ExpertCacheStats stats;
    stats.resident_bytes = stats.total_bytes = expert_bytes_;
    stats.budget_bytes = UINT64_MAX;
    return stats;
  }

  void load_table(const WeightView& table) override { tables_[table.bytes.data()] = load_matrix(table); }

  // ---- passes

  DeviceSpan<const float> run_pass(const PassInputs& inputs,
                                   const std::function<DeviceSpan<const float>()>& operations) override {
    use();
    pending_ = {};
    quantized_ = {};
    halved_ = {};
    pass_tokens_ = inputs.tokens;
    if (inputs_.stage(stream_, inputs.tokens, inputs.runs, inputs.logit_rows)) graphs_.clear();
    for (CudaRope* rope : ropes_) {
      if (rope->reserve(inputs_.last_position())) graphs_.clear();
    }
    n_splits_ = 1;
    while (n_splits_ * gpu::kKvSplit <= inputs_.last_position()) n_splits_ *= 2;

    struct InPass {  // also when an operation throws
      bool& flag;
      explicit InPass(bool& f) : flag(f) { flag = true; }
      ~InPass() { flag = false; }
    } in_pass(is_in_pass_);
    if (int_of(inputs.tokens.size()) > kMaxGraphTokens) return finish_operations(operations);

    CudaGraphs::Key key = {reinterpret_cast<int64_t>(inputs.network),
                           reinterpret_cast<int64_t>(static_cast<CudaKvStorage&>(inputs.kv).pages()),
                           inputs.n_ctx,
                           n_splits_,
                           int64_t(inputs.tokens.size()),
                           int64_t(inputs.logit_rows.size()),
                           int64_t(inputs.wants_hidden)};
    for (const SequenceRun& run : inputs.runs) key.push_back(run.n_tokens);
    if (const CudaGraphs::Graph* known = graphs_.find(key)) {
      const CudaGraphs::Graph graph = known->graph != nullptr ? *known : record(key, operations);
      check_cuda(cudaGraphLaunch(graph.graph, stream_), "starting a recorded pass");
      return graph.logits;
    }
    const auto logits = finish_operations(operations);
    graphs_.add(key, {nullptr, logits});
    return logits;
  }

  void read(std::span<float> host, DeviceSpan<const float> device) override {
    use();
    settle();
    if (host.empty()) return;
    std::byte* staged = pinned_.reserve(host.size_bytes());
    check_cuda(cudaMemcpyAsync(staged, device.data, host.size_bytes(), cudaMemcpyDeviceToHost, stream_),
               "copying results");
    check_cuda(cudaStreamSynchronize(stream_), "computing");
    std::memcpy(host.data(), staged, host.size_bytes());
  }

  // ---- operations

  void embed(DeviceSpan<float> y, const WeightView& table, std::span<const int32_t> tokens) override {
    settle();
    if (!is_in_pass_) inputs_.stage(stream_, tokens, {}, {});
    // What is not the pass's tokens are its positions: other ids a recorded pass would not find.
    const bool are_tokens = !is_in_pass_ || tokens.data() == pass_tokens_.data();
    if (!are_tokens && !inputs_.are_positions(tokens))
      throw EngineError(ErrorCode::kInternal, "A pass looks up ids that are neither its tokens nor their positions.");
    const int32_t* ids = are_tokens ? inputs_.tokens() : inputs_.positions();
    const CudaMatrix& matrix = *tables_.at(table.bytes.data());
    const gpu::EmbedParams params{int_of(tokens.size()), int_of(static_cast<size_t>(table.n_cols))};
    launched(gpu::launch_embed(stream_, matrix.type(), matrix.data(), ids, write(y), params), "embed");
  }

  void rms_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight, int32_t n_rows,
                float eps) override {
    const int32_t width = int_of(weight.size);
    // Heads are normalized alone: what follows is no product. A row is a whole layer's input otherwise.
    if (width % 32 != 0 || y.data == x.data) {
      settle();
      launched(gpu::launch_rms_norm(stream_, write(y), x.data, weight.data, n_rows, {width, eps, 0}), "rms_norm");
      return;
    }
    Pending addend;
    if (pending_.x.data == x.data && pending_.x.size == x.size && !overlap(y, pending_.y)) {
      addend = pending_;
      pending_ = {};
    }
    settle();
    write(y);
    const bool is_super = width % 256 == 0 && super_bytes_ * 2 >= weight_bytes_;
    const gpu::ResidualNormParams params{width, eps, addend.y.data != nullptr ? 1 : 0, addend.factor, is_super ? 1 : 0};
    launched(gpu::launch_residual_norm(stream_, y.data, const_cast<float*>(x.data), addend.y.data, weight.data,
                                       reserve_codes(y.size), n_rows, params),
             "residual_norm");
    quantized_ = y;
    is_quantized_super_ = is_super;
  }

  void layer_norm(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> weight,
                  DeviceSpan<const float> bias, int32_t n_rows, float eps) override {
    settle();
    const gpu::NormParams params{int_of(weight.size), eps, bias.size > 0 ? 1 : 0};
    launched(gpu::launch_layer_norm(stream_, write(y), x.data, weight.data, bias.data, n_rows, params), "layer_norm");
  }

  void matmul(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) override {
    settle();
    while (!tasks.empty()) tasks = tasks.subspan(multiply_alike(tasks, x, n_tokens));
  }

  void matmul_gated(DeviceSpan<float> y, const GatedPair& pair, DeviceSpan<const float> x, int32_t n_tokens,
                    Gate gate) override {
    settle();
    const CudaMatrix& a = static_cast<const CudaWeight*>(pair.gate)->matrix();
    const CudaMatrix& b = static_cast<const CudaWeight*>(pair.up)->matrix();
    const bool is_alike = a.type().type == b.type().type && a.type().is_wide == b.type().is_wide &&
                          (pair.gate_bias.size > 0) == (pair.up_bias.size > 0);
    if (a.has_blocks() && is_alike && n_tokens <= gpu::kMatvecMaxTokens) {
      const gpu::QuantizedInput input = quantize(x, a.type());
      const gpu::MatvecParams params{a.n_rows(), a.n_cols() / 32, n_tokens, pair.gate_bias.size > 0 ? 1 : 0,
                                     static_cast<int32_t>(gate)};
      launched(gpu::launch_matvec_gated(stream_, a.type(), a.data(), b.data(), input, pair.gate_bias.data,
                                        pair.up_bias.data, write(y), params),
               "matvec_gated");
      return;
    }
    const DeviceSpan<float> other = {reserve(spare_, y.size), y.size};
    multiply(a, y, x, pair.gate_bias.data, n_tokens);
    multiply(b, other, x, pair.up_bias.data, n_tokens);
    launched(gpu::launch_gate(stream_, write(y), y.data, other.data, {int_of(y.size), 0, static_cast<int32_t>(gate)}),
             "gate");
  }

  void matmul_heads(DeviceSpan<float> y, int32_t y_stride, std::span<const std::unique_ptr<Weight>> weights,
                    DeviceSpan<const float> x, int32_t x_stride, int32_t n_tokens) override {
    settle();
    write(y);
    const int32_t n_head = int_of(weights.size());
    for (int32_t h = 0; h < n_head; ++h) {
      const CudaMatrix& matrix = static_cast<const CudaWeight&>(*weights[static_cast<size_t>(h)]).matrix();
      const auto n_x = static_cast<size_t>(n_tokens) * static_cast<size_t>(matrix.n_cols());
      const auto n_y = static_cast<size_t>(n_tokens) * static_cast<size_t>(matrix.n_rows());
      const DeviceSpan<float> inputs = {reserve(spare_, n_x), n_x}, results = {reserve(other_spare_, n_y), n_y};
      quantized_ = {};
      halved_ = {};
      launched(
          gpu::launch_copy_columns(stream_, inputs.data, x.data,
                                   {n_tokens, matrix.n_cols(), matrix.n_cols(), 0, n_head * x_stride, h * x_stride}),
          "copy_columns");
      multiply(matrix, results, inputs, nullptr, n_tokens);
      launched(
          gpu::launch_copy_columns(stream_, y.data, results.data,
                                   {n_tokens, matrix.n_rows(), n_head * y_stride, h * y_stride, matrix.n_rows(), 0}),
          "copy_columns");
    }
  }

  void expert_ffn(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> logits, int32_t n_tokens,
                  Experts& layer) override;

  void add(DeviceSpan<float> x, DeviceSpan<const float> y, float scale) override {
    settle();
    write(x);
    pending_ = {x, y, scale};  // the norm that mostly follows takes it along
    pending_.x.size = y.size;
  }

  void add_gated(DeviceSpan<float> x, DeviceSpan<const float> y, DeviceSpan<const float> logits,
                 int32_t n_tokens) override {
    settle();
    if (n_tokens == 0) return;
    const gpu::RowParams params{n_tokens, int_of(y.size) / n_tokens, 0, 0, 0, 0};
    launched(gpu::launch_add_gated(stream_, write(x), y.data, logits.data, params), "add_gated");
  }

  void scale(DeviceSpan<float> x, float factor) override {
    settle();
    launched(gpu::launch_scale(stream_, write(x), {int_of(x.size), factor, 0}), "scale");
  }

  void softcap(DeviceSpan<float> x, float cap) override {
    settle();
    launched(gpu::launch_softcap(stream_, write(x), {int_of(x.size), cap, 0}), "softcap");
  }

  void activate(DeviceSpan<float> x, Activation activation) override {
    settle();
    launched(gpu::launch_activate(stream_, write(x), {int_of(x.size), 0, static_cast<int32_t>(activation)}),
             "activate");
  }

  void copy_columns(DeviceSpan<float> y, int32_t y_width, int32_t y_col, DeviceSpan<const float> x, int32_t x_width,
                    int32_t x_col, int32_t n_cols, int32_t n_rows) override {
    settle();
    launched(gpu::launch_copy_columns(stream_, write(y), x.data, {n_rows, n_cols, y_width, y_col, x_width, x_col}),
             "copy_columns");
  }

  void rope_and_store_kv(DeviceSpan<float> q, DeviceSpan<const float> k, DeviceSpan<const float> v, KvStorage& kv,
                         int32_t il, std::span<const SequenceRun> runs, const AttentionParams& params,
                         Rope* rope) override {
    settle();
    if (!is_in_pass_) inputs_.stage(stream_, {}, runs, {});
    auto& storage = static_cast<CudaKvStorage&>(kv);
    auto* turns = static_cast<CudaRope*>(rope);
    if (turns != nullptr) turns->reserve(inputs_.last_position());  // one that was made in the middle of this pass
    const gpu::RopeKvParams kernel_params{storage.layout(il), params.n_head, turns != nullptr ? turns->n_pairs() : 0,
                                          turns != nullptr ? turns->params().offset : 0,
                                          turns != nullptr && turns->params().pairing == RopePairing::kHalves ? 1 : 0};
    launched(gpu::launch_rope_and_store_kv(stream_, write(q), k.data, v.data,
                                           turns != nullptr ? turns->turns() : nullptr, inputs_.positions(),
                                           inputs_.slots(), storage.pages(), inputs_.n_tokens(), kernel_params),
             "rope_and_store_kv");
  }

  void attention(DeviceSpan<float> y, DeviceSpan<const float> q, const KvStorage& kv, int32_t il,
                 std::span<const SequenceRun> runs, const AttentionParams& params) override {
    settle();
    if (!is_in_pass_) {
      inputs_.stage(stream_, {}, runs, {});
      n_splits_ = inputs_.last_position() / gpu::kKvSplit + 1;
    }
    const auto& storage = static_cast<const CudaKvStorage&>(kv);
    const int32_t n_group = params.n_head / params.n_head_kv, n_tokens = inputs_.n_tokens();
    // By the tokens of the pass, as products are: what a token gets does not depend on how many there are above that.
    const bool is_flash = n_tokens > gpu::kMatvecMaxTokens && gpu::has_flash(params.head_dim_k, params.head_dim_v);
    const CudaInputs::TileShape shape = {n_group, is_flash ? gpu::kFlashRows : gpu::kAttentionRows};
    if (inputs_.need_tiles(stream_, shape)) graphs_.clear();
    const int32_t n_tiles = inputs_.n_tiles(shape);
    // Splits are computed by blocks of their own where there would be too few to fill the device.
    const bool is_split = !is_flash && n_splits_ > 1 && n_tiles * params.n_head_kv < 4 * n_multiprocessors_;
    gpu::AttentionArrays arrays{q.data,
                                storage.pages(),
                                inputs_.page_tables(),
                                inputs_.tiles(shape),
                                inputs_.positions(),
                                params.sinks.size > 0 ? params.sinks.data : nullptr,
                                write(y),
                                nullptr,
                                nullptr};
    if (is_split) {
      const auto n_rows = static_cast<size_t>(n_splits_) * static_cast<size_t>(n_tokens * params.n_head);
      arrays.partial = reserve(partial_, n_rows * static_cast<size_t>(params.head_dim_v));
      arrays.states = reserve(states_, n_rows * 2);
    }
    const gpu::AttentionKernelParams kernel_params{
        storage.layout(il), params.n_head, n_tokens, params.n_window, params.sinks.size > 0 ? 1 : 0,
        params.scale,       params.softcap};
    if (is_flash)
      launched(gpu::launch_flash(stream_, arrays, n_tiles, kernel_params), "flash_prefill");
    else
      launched(gpu::launch_attention(stream_, arrays, n_tiles, n_splits_, kernel_params), "attention");
  }

  void gather_rows(DeviceSpan<float> y, DeviceSpan<const float> x, std::span<const int32_t> rows,
                   int64_t width) override {
    settle();
    if (!is_in_pass_) inputs_.stage(stream_, {}, {}, rows);
    const gpu::RowParams params{int_of(rows.size()), static_cast<int32_t>(width), 0, 0, 0, 0};
    launched(gpu::launch_gather_rows(stream_, write(y), x.data, inputs_.rows(), params), "gather_rows");
  }

 private:
  /// An addition that was asked for and not issued yet: x += factor * y.
  struct Pending {
    DeviceSpan<float> x;
    DeviceSpan<const float> y;
    float factor = 1.0f;
  };

  void use() { check_cuda(cudaSetDevice(device_), "choosing the device"); }

  void launched(cudaError_t error, const char* kernel) { check_cuda(error, kernel); }

  static bool overlap(DeviceSpan<const float> a, DeviceSpan<const float> b) {
    return a.data < b.data + b.size && b.data < a.data + a.size;
  }

  /// Issues what was put off.
  void settle() {
    if (pending_.x.data == nullptr) return;
    const Pending pending = std::exchange(pending_, {});
    launched(gpu::launch_add(stream_, pending.x.data, pending.y.data, {int_of(pending.y.size), pending.factor, 0}),
             "add");
  }

  /// For an operation that writes to `y`: codes of what was there are stale.
  float* write(DeviceSpan<float> y) {
    if (quantized_.data != nullptr && overlap(y, quantized_)) quantized_ = {};
    if (halved_.data != nullptr && overlap(y, halved_)) halved_ = {};
    return y.data;
  }

  /// Room for n floats that no other user of this memory needs now.
  float* reserve(DeviceBytes& memory, size_t n) {
    if (memory.size() < n * sizeof(float)) {
      check_cuda(cudaStreamSynchronize(stream_), "computing");
      graphs_.clear();
      memory = DeviceBytes(n * sizeof(float) * 5 / 4, "intermediate results");
    }
    return memory.as<float>();
  }

  gpu::QuantizedOutput reserve_codes(size_t n) {
    reserve(codes_, n / 4);
    reserve(scales_, n / 32);
    reserve(sums_, n / 32);
    reserve(pairs_, n / 64);
    return {codes_.as<uint32_t>(), scales_.as<float>(), sums_.as<uint32_t>(), pairs_.as<uint32_t>()};
  }

  /// x as weights of this type are multiplied by.
  gpu::QuantizedInput quantize(DeviceSpan<const float> x, DeviceType type) {
    const bool is_super = gpu::takes_super_groups(type);
    const gpu::QuantizedOutput codes = reserve_codes(x.size);
    if (quantized_.data != x.data || quantized_.size != x.size || is_quantized_super_ != is_super) {
      launched(gpu::launch_quantize(stream_, x.data, codes, {int_of(x.size / 32), is_super ? 1 : 0}),
               "quantize_activations");
      quantized_ = x;
      is_quantized_super_ = is_super;
    }
    return {codes.codes, codes.scales, codes.sums, codes.pairs};
  }

  /// The first task and those after it that one launch can take along. @return how many these were
  size_t multiply_alike(std::span<const MatmulTask> tasks, DeviceSpan<const float> x, int32_t n_tokens) {
    const CudaMatrix& first = static_cast<const CudaWeight*>(tasks[0].weight)->matrix();
    size_t n = 0;
    gpu::MatrixProduct products[gpu::kSuperMatrices];
    for (; n < std::min(tasks.size(), size_t{gpu::kSuperMatrices}); ++n) {
      const CudaMatrix& matrix = static_cast<const CudaWeight*>(tasks[n].weight)->matrix();
      if (matrix.type().type != first.type().type || matrix.type().is_wide != first.type().is_wide) break;
      products[n] = {matrix.data(), tasks[n].bias.data, tasks[n].result.data, matrix.n_rows()};
    }
    if (n < 2 || !gpu::is_superblock(first.type()) || n_tokens > gpu::kMatvecMaxTokens) {
      multiply(first, tasks[0].result, x, tasks[0].bias.data, n_tokens);
      return 1;
    }
    const gpu::QuantizedInput input = quantize(x, first.type());
    for (size_t i = 0; i < n; ++i) write(tasks[i].result);
    launched(gpu::launch_matvec_set(stream_, first.type(), products, int_of(n), input, first.n_cols() / 32, n_tokens),
             "matvec_set");
    return n;
  }

  /// The image of n_tokens rows, for products with many tokens.
  gpu::HalvedInput halve(DeviceSpan<const float> x, int32_t n_tokens, int32_t n_cols) {
    const size_t size = static_cast<size_t>(n_tokens) * static_cast<size_t>(n_cols);
    auto* image = reinterpret_cast<uint32_t*>(reserve(image_, gpu::image_words(n_tokens, n_cols)));
    float* scales = reserve(image_scales_, static_cast<size_t>(n_tokens));
    if (halved_.data != x.data || halved_.size != size) {
      launched(gpu::launch_halve(stream_, x.data, image, scales, {n_tokens, n_cols}), "halve_activations");
      halved_ = {x.data, size};
    }
    return {image, scales};
  }

  void multiply(const CudaMatrix& matrix, DeviceSpan<float> y, DeviceSpan<const float> x, const float* bias,
                int32_t n_tokens) {
    if (has_gemm_ && n_tokens > gpu::kMatvecMaxTokens && gpu::can_gemm(matrix.type(), matrix.n_cols())) {
      const gpu::HalvedInput input = halve(x, n_tokens, matrix.n_cols());
      const gpu::GemmParams params{matrix.n_rows(), matrix.n_cols() / 32, n_tokens, bias != nullptr ? 1 : 0};
      launched(gpu::launch_gemm(stream_, matrix.type(), matrix.data(), input, bias, write(y), params), "gemm_wgmma");
      return;
    }
    if (!matrix.has_blocks()) {
      const gpu::FloatMatvecParams params{matrix.n_rows(), matrix.n_cols(), n_tokens, bias != nullptr ? 1 : 0};
      launched(gpu::launch_float_matvec(stream_, matrix.type().type, matrix.data(), x.data, bias, write(y), params),
               "float_matvec");
      return;
    }
    const gpu::QuantizedInput input = quantize(x, matrix.type());
    const gpu::MatvecParams params{matrix.n_rows(), matrix.n_cols() / 32, n_tokens, bias != nullptr ? 1 : 0, 0};
    launched(gpu::launch_matvec(stream_, matrix.type(), matrix.data(), input, bias, write(y), params), "matvec");
  }

  /// All experts' products with one of their matrices, for every choice. @param n_used choices that share a row of x
  void multiply_experts(const CudaMatrix& matrix, DeviceSpan<float> y, DeviceSpan<const float> x, const float* bias,
                        const gpu::ExpertLists& lists, const int32_t* choices, int32_t n_expert, int32_t n_used);

  DeviceSpan<const float> finish_operations(const std::function<DeviceSpan<const float>()>& operations) {
    const auto logits = operations();
    settle();
    return logits;
  }

  CudaGraphs::Graph record(const CudaGraphs::Key& key, const std::function<DeviceSpan<const float>()>& operations) {
    check_cuda(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "recording a pass");
    CudaGraphs::Graph result;
    cudaGraph_t graph = nullptr;
    try {
      result.logits = finish_operations(operations);
    } catch (...) {
      cudaStreamEndCapture(stream_, &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      throw;
    }
    check_cuda(cudaStreamEndCapture(stream_, &graph), "recording a pass");
    const cudaError_t error = cudaGraphInstantiate(&result.graph, graph, 0);
    cudaGraphDestroy(graph);
    check_cuda(error, "preparing a recorded pass");
    graphs_.add(key, result);
    return result;
  }

  [[noreturn]] static void fail_unsupported(const WeightView& view) {
    throw EngineError(ErrorCode::kModelUnsupported,
                      concat("Tensor ", quoted(view.name), " has the type ", tensor_type_traits(view.type).name,
                             ", which no kernel of the GPU multiplies by. Choose the CPU or another file."));
  }

  std::shared_ptr<CudaMatrix> load_matrix(const WeightView& view) {
    // A tied embedding is loaded twice, as the table and as the head.
    std::weak_ptr<CudaMatrix>& known = matrices_[{view.bytes.data(), view.n_rows}];
    if (auto matrix = known.lock(); matrix != nullptr && view.bytes.size() > kSmallMatrix) return matrix;
    std::shared_ptr<CudaMatrix> matrix = upload_matrix(view);
    known = matrix;
    return matrix;
  }

  std::unique_ptr<CudaMatrix> upload_matrix(const WeightView& view) {
    use();
    if (!can_dequantize(view.type)) fail_unsupported(view);
    return to_device(view, view.bytes.data(), view.bytes.size(), view.bytes.size(), view.n_rows);
  }

  /// Of experts whose gate and up alternate: all gates (i_half 0) or all ups (1).
  std::unique_ptr<CudaMatrix> load_half(const WeightView& view, int32_t n_expert, size_t i_half) {
    use();
    if (!can_dequantize(view.type)) fail_unsupported(view);
    const size_t pitch = view.bytes.size() / static_cast<size_t>(n_expert);
    return to_device(view, view.bytes.data() + i_half * (pitch / 2), pitch, pitch / 2, view.n_rows / 2);
  }

  /// @param pitch bytes from one run of `width` bytes to the next; all of them make n_rows rows
  std::unique_ptr<CudaMatrix> to_device(const WeightView& view, const std::byte* bytes, size_t pitch, size_t width,
                                        int64_t n_rows) {
    if (view.n_rows > INT32_MAX || view.n_cols > INT32_MAX) fail_unsupported(view);
    const int64_t n_elements = n_rows * view.n_cols;
    const size_t n_bytes = gpu::device_bytes(view.type, n_elements);
    DeviceBytes memory(n_bytes, view.name);
    check_cuda(cudaMemcpy2D(memory.data(), width, bytes, pitch, width, n_bytes / width, cudaMemcpyHostToDevice),
               "copying a weight");
    wait_for_copies();
    DeviceType type = view.type;
    if (gpu::can_widen(view.type, view.n_cols)) {
      type.is_wide = true;
      DeviceBytes wide(gpu::device_bytes(type, n_elements), view.name);
      launched(gpu::launch_widen(stream_, view.type, memory.data(), wide.data(), n_elements), "widen");
      check_cuda(cudaStreamSynchronize(stream_), "preparing a weight");
      memory = std::move(wide);
    }
    weight_bytes_ += n_bytes;
    if (gpu::takes_super_groups(type)) super_bytes_ += n_bytes;
    return std::make_unique<CudaMatrix>(type, n_rows, view.n_cols, std::move(memory));
  }

  std::unique_ptr<CudaBuffer> upload(std::span<const float> values) {
    use();
    auto buffer = std::make_unique<CudaBuffer>(values.size());
    check_cuda(cudaMemcpy(buffer->span().data, values.data(), values.size_bytes(), cudaMemcpyHostToDevice),
               "copying a weight");
    wait_for_copies();
    return buffer;
  }

  // Only a large tensor is worth finding again: the bytes of a computed one may lie where another's were.
  static constexpr size_t kSmallMatrix = size_t{1} << 20;

  int32_t device_;
  std::string name_;
  int32_t n_multiprocessors_ = 0;
  cudaStream_t stream_ = nullptr;
  std::map<std::pair<const std::byte*, int64_t>, std::weak_ptr<CudaMatrix>> matrices_;
  std::map<const std::byte*, std::shared_ptr<CudaMatrix>> tables_;
  std::vector<CudaRope*> ropes_;  // owned by the network, which outlives every pass
  uint64_t expert_bytes_ = 0;

  CudaInputs inputs_;
  CudaGraphs graphs_;
  PinnedBytes pinned_;
  bool is_in_pass_ = false;
  std::span<const int32_t> pass_tokens_;  // of the pass that is computed
  int32_t n_splits_ = 1;
  Pending pending_;
  DeviceSpan<const float> quantized_;  // whose codes are in codes_, scales_, sums_ and pairs_
  bool is_quantized_super_ = false;
  uint64_t weight_bytes_ = 0, super_bytes_ = 0;  // of all weights, and of those that take codes in groups of 256
  DeviceSpan<const float> halved_;               // whose image is in image_ and image_scales_
  bool has_gemm_ = false;
  DeviceBytes image_, image_scales_;
  DeviceBytes codes_, scales_, sums_, pairs_, partial_, states_, spare_, other_spare_;
  DeviceBytes choices_, choice_weights_, order_, tiles_, n_tiles_, hidden_, other_hidden_, expert_results_;
};

void CudaBackend::multiply_experts(const CudaMatrix& matrix, DeviceSpan<float> y, DeviceSpan<const float> x,
                                   const float* bias, const gpu::ExpertLists& lists, const int32_t* choices,
                                   int32_t n_expert, int32_t n_used) {
  const int32_t n_rows = matrix.n_rows() / n_expert, has_bias = bias != nullptr ? 1 : 0;
  if (!matrix.has_blocks()) {
    const gpu::FloatExpertParams params{{n_rows, matrix.n_cols(), lists.n_choices, has_bias}, n_used};
    launched(
        gpu::launch_float_experts(stream_, matrix.type().type, matrix.data(), x.data, bias, choices, write(y), params),
        "float_experts");
    return;
  }
  const gpu::QuantizedInput input = quantize(x, matrix.type());
  const gpu::ExpertParams params{{n_rows, matrix.n_cols() / 32, 0, has_bias, 0}, n_used};
  launched(gpu::launch_experts_matvec(stream_, matrix.type(), matrix.data(), input, bias, lists, write(y), params),
           "experts_matvec");
}

void CudaBackend::expert_ffn(DeviceSpan<float> y, DeviceSpan<const float> x, DeviceSpan<const float> logits,
                             int32_t n_tokens, Experts& layer) {
  settle();
  if (n_tokens == 0) return;
  const auto& experts = static_cast<const CudaExperts&>(layer);
  const RouterParams& router = experts.router;
  const int32_t n_expert = router.n_expert, n_used = router.n_used, n_choices = n_tokens * n_used;
  const auto count = static_cast<size_t>(n_choices);
  const auto data_of = [](const std::unique_ptr<CudaBuffer>& buffer) {
    return buffer == nullptr ? nullptr : buffer->span().data;
  };
  auto* choices = reinterpret_cast<int32_t*>(reserve(choices_, count));
  float* weights = reserve(choice_weights_, count);
  auto* order = reinterpret_cast<int32_t*>(reserve(order_, count));
  auto* tiles = reinterpret_cast<int32_t*>(reserve(tiles_, 3 * count));
  auto* n_tiles = reinterpret_cast<int32_t*>(reserve(n_tiles_, 1));
  const gpu::RouterKernelParams router_params{static_cast<int32_t>(router.gating),
                                              n_expert,
                                              n_used,
                                              router.n_groups,
                                              router.n_groups_used,
                                              router.is_normalized ? 1 : 0,
                                              experts.selection_bias != nullptr ? 1 : 0,
                                              router.scale};
  launched(gpu::launch_route_experts(stream_, logits.data, data_of(experts.selection_bias), choices, weights, n_tokens,
                                     router_params),
           "route_experts");
  launched(gpu::launch_group_experts(stream_, choices, order, tiles, n_tiles, {n_expert, n_choices}), "group_experts");
  const gpu::ExpertLists lists{order, tiles, n_tiles, n_choices};

  const CudaMatrix &gate = *experts.gate, &up = *experts.up;
  const int32_t n_ff = gate.n_rows() / n_expert;
  const auto n_hidden = count * static_cast<size_t>(n_ff);
  const DeviceSpan<float> hidden = {reserve(hidden_, n_hidden), n_hidden};
  const float *gate_bias = data_of(experts.gate_bias), *up_bias = data_of(experts.up_bias);
  const bool is_alike = gate.type().type == up.type().type && gate.type().is_wide == up.type().is_wide &&
                        (gate_bias == nullptr) == (up_bias == nullptr);
  const auto gate_kind = static_cast<int32_t>(experts.gate_kind);
  if (gate.has_blocks() && is_alike) {
    const gpu::QuantizedInput input = quantize(x, gate.type());
    const gpu::ExpertParams params{{n_ff, gate.n_cols() / 32, 0, gate_bias != nullptr ? 1 : 0, gate_kind}, n_used};
    launched(gpu::launch_experts_gated(stream_, gate.type(), gate.data(), up.data(), input, gate_bias, up_bias, lists,
                                       write(hidden), params),
             "experts_gated");
  } else {
    const DeviceSpan<float> other = {reserve(other_hidden_, n_hidden), n_hidden};
    multiply_experts(gate, hidden, x, gate_bias, lists, choices, n_expert, n_used);
    multiply_experts(up, other, x, up_bias, lists, choices, n_expert, n_used);
    launched(gpu::launch_gate(stream_, write(hidden), hidden.data, other.data, {int_of(n_hidden), 0, gate_kind}),
             "gate");
  }
  const int32_t n_embd = experts.down->n_rows() / n_expert;
  const auto n_results = count * static_cast<size_t>(n_embd);
  const DeviceSpan<float> results = {reserve(expert_results_, n_results), n_results};
  multiply_experts(*experts.down, results, hidden, data_of(experts.down_bias), lists, choices, n_expert, 1);
  launched(gpu::launch_combine_experts(stream_, results.data, weights, write(y), {n_tokens, n_used, n_embd}),
           "combine_experts");
}

}  // namespace

std::vector<DeviceInfo> list_cuda_devices(std::string& reason) {
  int n = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&n); error != cudaSuccess) {
    (void)cudaGetLastError();
    reason =
        error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice
            ? concat("there is no NVIDIA GPU, or its driver is older than this build's CUDA ", CUDART_VERSION / 1000)
            : concat("CUDA does not start: ", cudaGetErrorString(error));
    return {};
  }
  std::vector<DeviceInfo> devices;
  for (int i = 0; i < n; ++i) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess || properties.major < 8) continue;
    DeviceInfo info{concat("cuda:", i), properties.name, properties.totalGlobalMem, 0};
    size_t n_free = 0, n_total = 0;
    int before = 0;
    cudaGetDevice(&before);
    if (cudaSetDevice(i) == cudaSuccess && cudaMemGetInfo(&n_free, &n_total) == cudaSuccess) info.free_bytes = n_free;
    cudaSetDevice(before);
    devices.push_back(info);
  }
  if (devices.empty()) reason = "there is no NVIDIA GPU of compute capability 8.0 or above";
  return devices;
}

double measure_cuda_copy(int32_t device) {
  check_cuda(cudaSetDevice(device), "choosing the device");
  constexpr size_t kBytes = size_t{1} << 30;  // far beyond any cache
  const DeviceBytes from(kBytes, "the measurement"), to(kBytes, "the measurement");
  cudaEvent_t begin = nullptr, end = nullptr;
  check_cuda(cudaEventCreate(&begin), "measuring");
  check_cuda(cudaEventCreate(&end), "measuring");
  float best_ms = 1e30f;
  for (int i = 0; i < 6; ++i) {
    float ms = 0;
    check_cuda(cudaEventRecord(begin), "measuring");
    check_cuda(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice), "measuring");
    check_cuda(cudaEventRecord(end), "measuring");
    check_cuda(cudaEventSynchronize(end), "measuring");
    check_cuda(cudaEventElapsedTime(&ms, begin, end), "measuring");
    best_ms = std::min(best_ms, ms);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return 2.0 * static_cast<double>(kBytes) / best_ms * 1000;
}

std::unique_ptr<Backend> create_cuda_backend(int32_t device) {
  std::string reason;
  const std::string id = concat("cuda:", device);
  std::string known;
  for (const DeviceInfo& info : list_cuda_devices(reason)) {
    if (info.id == id) return std::make_unique<CudaBackend>(device);
    known += concat(known.empty() ? "" : ", ", info.id, " (", info.name, ")");
  }
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat("The device ", id,
                           " cannot be used: ", reason.empty() ? concat("this machine has ", known) : reason, "."));
}

}  // namespace outpost
