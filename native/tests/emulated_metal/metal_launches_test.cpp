// Whether every kernel that a launcher launches has a name by which Metal finds it, and gets its arguments where it
// expects them. Launches are only recorded here: nothing is computed.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/emulated_metal/emulated_metal.h"
#include "kernels/launchers/launchers.h"
#include "kernels/metal/device_launch.h"
#include "kernels/metal/kernel_table.h"

using namespace outpost;
using namespace outpost::gpu;

namespace {

const int32_t kTokenCounts[] = {1, 8, 16};
const int32_t kHeadDims[][2] = {{64, 64}, {256, 256}, {576, 512}};

std::vector<TensorType> types(bool have_blocks) {
  std::vector<TensorType> found;
  for (uint32_t id = 0; id < 64; ++id) {
    const TensorTypeTraits* traits = tensor_type_traits(id);
    const auto type = static_cast<TensorType>(id);
    const bool is_float = type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16;
    const bool is_block = traits != nullptr && traits->block_elements > 1 && type != TensorType::kQ8_1;
    if (have_blocks ? is_block : is_float) found.push_back(type);
  }
  return found;
}

/// Types with blocks, those of the device too.
std::vector<DeviceType> block_types() {
  std::vector<DeviceType> all;
  for (const TensorType type : types(true)) all.push_back(type);
  all.push_back({TensorType::kQ8_0, true});
  all.push_back({TensorType::kQ6_K, true});
  return all;
}

/// What products on matrix units multiply by.
std::vector<DeviceType> gemm_types() {
  std::vector<DeviceType> all = block_types();
  all.insert(all.end(), {TensorType::kF16, TensorType::kBF16});
  return all;
}

/// All launchers by their names, each called so that it launches every kernel that it may.
class Launches {
 public:
  Launches() {
    REQUIRE(create_stream(stream_) == Error::kNone);
    void* data = nullptr;
    REQUIRE(allocate(data, size_t{1} << 20) == Error::kNone);
    f_ = static_cast<float*>(data);
    i_ = static_cast<int32_t*>(data);
    u_ = static_cast<uint32_t*>(data);
    h_ = static_cast<uint16_t*>(data);
    l_ = static_cast<int64_t*>(data);
    add_vectors();
    add_attention();
    add_products();
    add_experts();
  }
  ~Launches() {
    release(f_);
    destroy_stream(stream_);
  }

  /// The first error of a launch. What was recorded is thrown away.
  Error record(const std::string& name) {
    REQUIRE(begin_recording(stream_) == Error::kNone);
    error_ = Error::kNone;
    launches_.at(name)();
    Recording recording = nullptr;
    REQUIRE(end_recording(stream_, recording) == Error::kNone);
    REQUIRE(destroy_recording(recording) == Error::kNone);
    return error_;
  }

  std::set<std::string> names() const {
    std::set<std::string> all;
    for (const auto& [name, launch] : launches_) all.insert(name);
    return all;
  }

 private:
  void check(Error error) {
    if (error_ == Error::kNone) error_ = error;
  }
  QuantizedInput input() const { return {u_, f_, u_, u_}; }
  QuantizedOutput output() const { return {u_, f_, u_, u_}; }

  void add_vectors() {
    const ElementParams elements{8, 1, 0};
    const RowParams rows{1, 8, 8, 0, 8, 0};
    const auto s = stream_;
    launches_["launch_residual_norm"] = [=, this] {
      check(launch_residual_norm(s, f_, f_, nullptr, f_, output(), 1, {256, 1, 0, 1, 1}));
    };
    launches_["launch_widen"] = [=, this] {
      for (const TensorType type : {TensorType::kQ8_0, TensorType::kQ6_K}) check(launch_widen(s, type, h_, h_, 256));
    };
    launches_["launch_quantize"] = [=, this] { check(launch_quantize(s, f_, output(), {8, 0})); };
    launches_["launch_rms_norm"] = [=, this] { check(launch_rms_norm(s, f_, f_, f_, 1, {8, 1, 0, 0})); };
    launches_["launch_layer_norm"] = [=, this] { check(launch_layer_norm(s, f_, f_, f_, nullptr, 1, {8, 1, 0, 0})); };
    launches_["launch_add"] = [=, this] { check(launch_add(s, f_, f_, elements)); };
    launches_["launch_scale"] = [=, this] { check(launch_scale(s, f_, elements)); };
    launches_["launch_softcap"] = [=, this] { check(launch_softcap(s, f_, elements)); };
    launches_["launch_activate"] = [=, this] { check(launch_activate(s, f_, elements)); };
    launches_["launch_gate"] = [=, this] { check(launch_gate(s, f_, f_, elements)); };
    launches_["launch_add_gated"] = [=, this] { check(launch_add_gated(s, f_, f_, f_, rows)); };
    launches_["launch_copy_columns"] = [=, this] { check(launch_copy_columns(s, f_, f_, rows)); };
    launches_["launch_gather_rows"] = [=, this] { check(launch_gather_rows(s, f_, f_, i_, rows)); };
    launches_["launch_shortlist"] = [=, this] { check(launch_shortlist(s, f_, f_, f_, 1, {8, 32, 1, 1})); };
  }

  void add_attention() {
    const auto s = stream_;
    launches_["launch_rope_and_store_kv"] = [=, this] {
      check(launch_rope_and_store_kv(s, f_, f_, f_, nullptr, i_, i_, h_, 1, {{1, 8, 8, 0, 0}, 1, 0, 0, 0}));
    };
    launches_["launch_attention"] = [=, this] {
      for (const auto& [dim_k, dim_v] : kHeadDims) {
        for (float* partial : {static_cast<float*>(nullptr), f_}) {
          const AttentionArrays arrays{f_, h_, i_, tiles(), i_, nullptr, f_, partial, partial};
          check(launch_attention(s, arrays, 1, 2, attention_params(dim_k, dim_v)));
        }
      }
      const QuantizedOutput codes = output();
      check(
          launch_attention(s, {f_, h_, i_, tiles(), i_, nullptr, f_, f_, f_, &codes}, 1, 2, attention_params(64, 64)));
    };
    launches_["launch_rope_and_attention"] = [=, this] {
      for (const int32_t dim : {128, 256}) {
        for (float* partial : {static_cast<float*>(nullptr), f_}) {
          const AttentionArrays arrays{f_, h_, i_, tiles(), i_, nullptr, f_, partial, partial};
          const RopeAttentionParams params{attention_params(dim, dim), 0, 0, 0};
          check(launch_rope_and_attention(s, arrays, {f_, f_, nullptr, h_}, 1, 2, params));
        }
      }
    };
    launches_["launch_flash"] = [=, this] {
      const AttentionArrays arrays{f_, h_, i_, tiles(), nullptr, nullptr, f_, nullptr, nullptr};
      for (const int32_t dim : {64, 80, 96, 128, 256}) check(launch_flash(s, arrays, 1, attention_params(dim, dim)));
    };
    const CodesMemory memory{nullptr, l_};
    for_dims("launch_rope_and_store_codes", [=, this](const CodesLayout& kv) {
      for (const int32_t n_tokens : {1, 2}) {
        check(launch_rope_and_store_codes(s, f_, f_, f_, nullptr, i_, i_, memory, {f_, f_},
                                          {kv, 1, n_tokens, 1, 0, 0, 0, 0}));
      }
    });
    for_dims("launch_turn_back", [=, this](const CodesLayout& kv) {
      check(launch_turn_back(s, f_, {f_, f_}, {kv, 1, 1, 1, 0, 0, 0, 0}));
    });
    for_dims("launch_pack_pages", [=, this](const CodesLayout& kv) { check(launch_pack_pages(s, i_, 1, memory, kv)); });
    for_dims("launch_unpack_pages", [=, this](const CodesLayout& kv) {
      check(launch_unpack_pages(s, reinterpret_cast<UnpackedPage*>(i_), 1, memory, h_, kv, {}));
    });
    for_dims("launch_attention_codes", [=, this](const CodesLayout& kv) {
      const CodesAttentionArrays arrays{f_, memory, i_, tiles(), i_, nullptr, f_, f_, f_};
      check(launch_attention_codes(s, arrays, 1, 1, {f_, f_}, {kv, 1, 1, 1, 0, 0, 0, 0},
                                   attention_params(kv.head_dim_k, kv.head_dim_v)));
    });
  }

  void add_products() {
    const auto s = stream_;
    const auto for_counts = [](const auto& visit) {
      for (const int32_t n_tokens : kTokenCounts) visit(n_tokens);
    };
    launches_["launch_float_matvec"] = [=, this] {
      for (const TensorType type : types(false))
        for_counts([&](int32_t n) { check(launch_float_matvec(s, type, h_, f_, nullptr, f_, {8, 8, n, 0})); });
    };
    launches_["launch_halve"] = [=, this] { check(launch_halve(s, f_, nullptr, u_, f_, {40, 256, 0, 0})); };
    launches_["launch_halve_normed"] = [=, this] {
      check(launch_halve_normed(s, f_, nullptr, f_, u_, f_, {40, 256, 1e-5f, 0, 0}));
    };
    launches_["launch_gemm"] = [=, this] {
      const MatrixProduct products[] = {{h_, nullptr, f_, 8}, {h_, f_, f_, 8}};
      for (const DeviceType type : gemm_types()) check(launch_gemm(s, type, products, 2, {u_, f_}, 8, 40));
    };
    launches_["launch_embed"] = [=, this] {
      for (const TensorType type : types(false)) check(launch_embed(s, type, h_, i_, f_, {1, 256}));
      for (const DeviceType type : block_types()) check(launch_embed(s, type, h_, i_, f_, {1, 256}));
    };
    launches_["launch_matvec"] = [=, this] {
      for (const DeviceType type : block_types())
        for_counts([&](int32_t n) { check(launch_matvec(s, type, h_, input(), nullptr, f_, {8, 8, n, 0, 0})); });
    };
    launches_["launch_matvec_set"] = [=, this] {
      const MatrixProduct products[] = {{h_, nullptr, f_, 8}, {h_, f_, f_, 8}};
      for (const DeviceType type : block_types())
        for_counts([&](int32_t n) { check(launch_matvec_set(s, type, products, 2, input(), 8, n)); });
    };
    launches_["launch_matvec_gated"] = [=, this] {
      for (const DeviceType type : block_types()) {
        for_counts([&](int32_t n) {
          check(launch_matvec_gated(s, type, h_, h_, input(), nullptr, nullptr, f_, {8, 8, n, 0, 0}));
        });
      }
    };
  }

  void add_experts() {
    const auto s = stream_;
    const ExpertLists lists{i_, i_, i_, 4, 8};
    const ExpertParams params{{8, 8, 0, 0, 0}, 1, 0, 0};
    launches_["launch_route_experts"] = [=, this] {
      check(launch_route_experts(s, f_, nullptr, i_, f_, 1, {0, 8, 2, 1, 1, 0, 0, 1}));
    };
    launches_["launch_group_experts"] = [=, this] { check(launch_group_experts(s, i_, i_, i_, i_, {8, 4})); };
    launches_["launch_combine_experts"] = [=, this] { check(launch_combine_experts(s, f_, f_, f_, {1, 2, 8})); };
    launches_["launch_float_experts"] = [=, this] {
      for (const TensorType type : types(false))
        check(launch_float_experts(s, type, h_, f_, nullptr, i_, nullptr, f_, {{8, 8, 4, 0}, 1, 0, 0}));
    };
    launches_["launch_experts_gated"] = [=, this] {
      for (const DeviceType type : block_types())
        check(launch_experts_gated(s, type, h_, h_, input(), nullptr, nullptr, lists, f_, params));
    };
    launches_["launch_experts_matvec"] = [=, this] {
      for (const DeviceType type : block_types())
        check(launch_experts_matvec(s, type, h_, input(), nullptr, lists, f_, params));
    };
    const SlotPlan plan{i_, i_, i_};
    launches_["launch_arrange_choices"] = [=, this] { check(launch_arrange_choices(s, i_, i_, i_, {8, 4, 64})); };
    launches_["launch_halve_choices"] = [=, this] {
      check(launch_halve_choices(s, f_, nullptr, i_, u_, f_, {expert_rows(4, 8), 32, 2, 0, 0}));
    };
    launches_["launch_experts_gemm"] = [=, this] {
      const ArrangedChoices choices{i_, i_, expert_rows(4, 8), expert_tiles(4, 8, 64), expert_tile_rows(4, 8)};
      for (const DeviceType type : gemm_types())
        check(launch_experts_gemm(s, type, h_, {u_, f_}, nullptr, choices, f_, {{8, 8, choices.n_rows, 0}, 0, 0}));
    };
    launches_["launch_resolve_experts"] = [=, this] {
      check(launch_resolve_experts(s, lists, {i_, i_, l_, l_}, plan, {8, 4}));
    };
    launches_["launch_copy_experts"] = [=, this] {
      const ExpertCopy copy{h_, h_, 16};
      check(launch_copy_experts(s, &copy, 1, plan, 4, 4, 0));
    };
  }

  void for_dims(const std::string& name, const std::function<void(const CodesLayout&)>& launch) {
    launches_[name] = [launch] {
      for (const auto& [dim_k, dim_v] : kHeadDims) launch({1, dim_k, dim_v, 4, 4, 0, 0, 0});
    };
  }
  static AttentionKernelParams attention_params(int32_t dim_k, int32_t dim_v) {
    return {{1, dim_k, dim_v, 0, 0}, 1, 1, 0, 0, 1, 0};
  }
  const AttentionTile* tiles() const { return reinterpret_cast<AttentionTile*>(i_); }

  Stream stream_ = nullptr;
  float* f_ = nullptr;  // all are the same memory
  int32_t* i_ = nullptr;
  uint32_t* u_ = nullptr;
  uint16_t* h_ = nullptr;
  int64_t* l_ = nullptr;
  Error error_ = Error::kNone;
  std::map<std::string, std::function<void()>> launches_;
};

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  REQUIRE(file.good());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("metal: every launcher's kernels have names, and every name is a launcher's") {
  Launches launches;
  for (const std::string& name : launches.names()) {
    CAPTURE(name);
    CHECK(error_text(launches.record(name)) == error_text(Error::kNone));
  }
  const std::set<std::string> asked = emulator::asked_kernels();
  std::set<std::string> known;
  for (const metal::KernelName& kernel : metal::kernel_names()) {
    CAPTURE(kernel.name);
    CHECK(known.insert(kernel.name).second);
    CHECK(std::string(metal::name_of(kernel.function)) == kernel.name);  // no two are one function
    CHECK(asked.contains(kernel.name));
  }
}

TEST_CASE("metal: no launcher is forgotten above") {
  std::set<std::string> declared;
  const std::string text = text_of("kernels/launchers/launchers.h");
  const std::regex declaration(R"(\nError (launch_\w+)\()");
  for (std::sregex_iterator it(text.begin(), text.end(), declaration), end; it != end; ++it)
    declared.insert((*it)[1].str());
  CHECK(declared.erase("launch_matrix_rate") == 1);  // for measurements on CUDA
  for (const char* name : {"launch_fused", "launch_fused_gated"}) CHECK(declared.erase(name) == 1);  // below
  CHECK(Launches().names() == declared);
}

TEST_CASE("metal: products that take along what is before and after them are refused") {
  const DeviceType type{TensorType::kQ4_K, false};
  CHECK_FALSE(has_stream());
  CHECK_FALSE(can_fuse(type, 256));
  const MatrixProduct product{nullptr, nullptr, nullptr, 8};
  CHECK(launch_fused(nullptr, type, &product, 1, {}, {}, 8) == Error::kInvalidValue);
  CHECK(launch_fused_gated(nullptr, type, nullptr, nullptr, {}, nullptr, nullptr, nullptr, {8, 8, 1, 0, 0}) ==
        Error::kInvalidValue);
}

TEST_CASE("metal: argument i of every portable kernel is its i-th parameter") {
  int n_kernels = 0;
  for (const auto& entry : std::filesystem::directory_iterator("kernels/portable")) {
    const std::string text = text_of(entry.path());
    const std::regex kernel(R"(\nGPU_KERNEL\([^()]+\)\s*(\w+)\(([^{]*?)GPU_GRID\))");
    for (std::sregex_iterator it(text.begin(), text.end(), kernel), end; it != end; ++it) {
      CAPTURE((*it)[1].str());
      const std::string parameters = (*it)[2].str();
      const std::regex parameter(R"(GPU_(IN|RESULT|IO|PARAMS)\((\d+),)");
      int i = 0;
      for (std::sregex_iterator p(parameters.begin(), parameters.end(), parameter); p != end; ++p)
        CHECK(std::stoi((*p)[2].str()) == i++);
      CHECK(i > 1);
      ++n_kernels;
    }
  }
  CHECK(n_kernels > 30);
}

TEST_CASE("metal: a kernel without a name is an error that says so") {
  Stream stream = nullptr;
  REQUIRE(create_stream(stream) == Error::kNone);
  void (*const nameless)(emulator::Pointer<float>) = [](emulator::Pointer<float>) {};
  const Error error = metal::launch(stream, reinterpret_cast<metal::KernelFunction>(nameless), Grid(1), 32, {});
  CHECK(error_text(error).find("instances.h lacks") != std::string::npos);
  CHECK(destroy_stream(stream) == Error::kNone);
}
