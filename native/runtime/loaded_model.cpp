#include "runtime/loaded_model.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <new>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "backend/devices.h"
#include "core/log.h"
#include "core/paths.h"
#include "core/strings.h"
#include "model/layer_plan.h"
#include "runtime/expert_budget.h"

namespace outpost {
namespace {

constexpr const char* kProcessor = "cpu";

/// The type that most weights of the file have.
std::string main_type(const GgufFile& file) {
  std::map<std::string, uint64_t> elements;
  for (const TensorInfo& tensor : file.tensors()) elements[tensor_type_traits(tensor.type).name] += tensor.n_elements;
  const auto most =
      std::max_element(elements.begin(), elements.end(), [](auto& a, auto& b) { return a.second < b.second; });
  return most == elements.end() ? "" : most->first;
}

/// A name of parse_kv_format, and whether "-plain" was behind it.
std::pair<std::string, bool> split_kv_name(const std::string& name) {
  constexpr std::string_view kPlain = "-plain";
  if (!name.ends_with(kPlain)) return {name, false};
  return {name.substr(0, name.size() - kPlain.size()), true};
}

/// That experts leave room for.
uint64_t positions(const LayerBytes& bytes, const LoadOptions& options) {
  return options.n_device_positions > 0 ? options.n_device_positions : usual_positions(bytes);
}

/// The host's memory while a model's backends are made.
struct HostMemory {
  const AvailableMemory& ask;
  uint64_t n_taken = 0;  ///< what GPUs are going to take of it

  std::optional<uint64_t> available() const {
    std::optional<uint64_t> n_bytes = ask();
    if (n_bytes.has_value()) *n_bytes -= std::min(*n_bytes, n_taken);
    return n_bytes;
  }
};

/// The expert cache's budget if the caller leaves it to us. @param end_layer the first layer that another device
/// computes
uint64_t automatic_expert_budget(const GgufFile& file, int32_t end_layer, const HostMemory& host) {
  uint64_t expert_bytes = 0, other_bytes = 0;
  for (const TensorInfo& tensor : file.tensors()) {
    if (layer_of_tensor(tensor.name).value_or(0) >= end_layer) continue;
    (tensor.name.find("_exps.") != std::string_view::npos ? expert_bytes : other_bytes) += tensor.bytes.size();
  }
  return expert_cache_budget(expert_bytes, other_bytes, host.available());
}

/// @param end_layer the first layer that another device computes
std::unique_ptr<Backend> create_backend(const std::string& device, const GgufFile& file, const LoadOptions& options,
                                        int32_t end_layer, const HostMemory& host) {
  return outpost::create_backend(
      device, options,
      options.expert_cache_bytes > 0 ? options.expert_cache_bytes : automatic_expert_budget(file, end_layer, host));
}

/// @param need of the layers that the GPU computes
/// @param host of which the GPUs before it have taken their part; this one takes its own
std::unique_ptr<Backend> create_gpu_backend(const DeviceRoom& room, const LoadOptions& options, const DeviceNeed& need,
                                            HostMemory& host) {
  const uint64_t wanted = options.device_expert_bytes;
  const uint64_t budget = wanted > 0                ? wanted
                          : room.shares_host_memory ? UINT64_MAX  // others would be in the same memory, pinned
                                                    : device_expert_budget(need, room.free_bytes);
  check_pinned_experts(room.id, need, budget, host.available());
  if (budget < need.experts) host.n_taken += need.experts;  // pinned, all of them
  const uint64_t n_planned = need.total() - need.experts + std::min(need.experts, budget);
  if (room.shares_host_memory) host.n_taken += n_planned;
  // The next model finds a headroom of its own: of this one's, nothing is promised to anybody.
  return outpost::create_backend(room.id, options, 0, {budget, need.experts},
                                 std::min(n_planned, room.free_bytes) - std::min(need.headroom, room.free_bytes));
}

std::unique_ptr<Stages> create_stages(const GgufFile& file, const LoadOptions& options,
                                      const AvailableMemory& available) {
  const std::vector<std::string>& devices = options.devices;
  const std::vector<int32_t>& wanted = options.n_device_layers;
  check_devices(devices, wanted);
  HostMemory host{available};
  std::vector<std::unique_ptr<Backend>> backends;
  if (devices.size() == 1 && devices[0] == kProcessor && wanted[0] == kAllLayers) {
    // Nothing is asked of its memory: most of what it computes with is the mapped file's.
    backends.push_back(create_backend(kProcessor, file, options, INT32_MAX, host));
    return std::make_unique<Stages>(std::move(backends), std::vector<int32_t>());
  }
  check_architecture(file);  // of a file that cannot be loaded, who plans would say something else
  std::vector<DeviceRoom> rooms;
  for (const std::string& device : devices) rooms.push_back(room_of(device));
  const LayerBytes bytes = read_layer_bytes(file, split_kv_name(options.device_kv).first);
  std::vector<int32_t> numbers =
      plan_layers(bytes, file.path(), rooms, wanted, options.n_device_positions, options.device_expert_bytes);
  const int32_t n_left = bytes.n_layer() - std::accumulate(numbers.begin(), numbers.end(), 0);
  int32_t first = n_left;
  for (size_t i = 0; i < devices.size(); ++i) {
    const LayerRange range = {first, first + numbers[i]};
    first = range.end;
    if (devices[i] == kProcessor) {
      backends.push_back(create_backend(kProcessor, file, options, INT32_MAX, host));
    } else {
      const DeviceNeed need = device_need(bytes, range, n_left > 0, positions(bytes, options));
      backends.push_back(create_gpu_backend(rooms[i], options, need, host));
    }
  }
  // After those of GPUs: its experts may have what they leave of the host's memory.
  if (n_left > 0)
    backends.insert(backends.begin(), create_backend(kProcessor, file, options, n_left, host));
  else
    numbers.erase(numbers.begin());  // those of the first stage are what the others leave
  return std::make_unique<Stages>(std::move(backends), numbers);
}

/// Loads of this process take turns: what a device has free, and the host for experts, counts without what another one
/// is about to take, or to give back because it was cancelled.
class LoadingTurn {
 public:
  /// @throws EngineError kCancelled while it waits
  explicit LoadingTurn(const LoadOptions& options) {
    constexpr std::chrono::milliseconds kBetweenQuestions(50);
    std::unique_lock lock(shared().mutex);
    while (!shared().has_ended.wait_for(lock, kBetweenQuestions, [] { return !shared().is_taken; })) {
      lock.unlock();
      if (options.on_progress && !options.on_progress(0))
        throw EngineError(ErrorCode::kCancelled, "Loading the model was cancelled.");
      lock.lock();
    }
    shared().is_taken = true;
  }
  ~LoadingTurn() {
    {
      const std::lock_guard lock(shared().mutex);
      shared().is_taken = false;
    }
    shared().has_ended.notify_one();
  }
  LoadingTurn(const LoadingTurn&) = delete;
  LoadingTurn& operator=(const LoadingTurn&) = delete;

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable has_ended;
    bool is_taken = false;
  };
  static Shared& shared() {
    static Shared& instance = *new Shared;  // for threads that are there when the process ends
    return instance;
  }
};

}  // namespace

std::shared_ptr<Model> Model::load(const std::string& path, const LoadOptions& options) {
  const LoadingTurn turn(options);
  try {
    return std::make_shared<LoadedModel>(path, options);
  } catch (const std::bad_alloc&) {
    throw EngineError(ErrorCode::kOutOfMemory, concat("There is not enough memory to load ", path, "."));
  }
}

LoadedModel::LoadedModel(const std::string& path, const LoadOptions& options, const AvailableMemory& available)
    : file_(GgufFile::open(path)),
      fingerprint_(file_.fingerprint()),  // before there are weights: it maps much of the file for a moment
      tokenizer_(Tokenizer::create(file_)),
      prefix_index_(*tokenizer_),
      stages_(create_stages(file_, options, available)) {
  const WeightProgress on_progress = [&](uint64_t n_done, uint64_t n_total) {
    return !options.on_progress ||
           options.on_progress(static_cast<float>(static_cast<double>(n_done) / static_cast<double>(n_total)));
  };
  network_ = load_network(file_, tokenizer_->vocabulary().n_tokens(), *stages_, on_progress);
  find_calibration();
  fill_info(options);
}

bool LoadedModel::find_calibration() const {
  std::shared_ptr<const KvCalibration> found;
  try {
    found = load_calibration(network_->kv_shape(), fingerprint(), kv_calibration_path(file_.path()));
  } catch (const EngineError& error) {
    log_warning(error.what());
  }
  const bool is_there = found != nullptr;
  set_calibration(std::move(found));
  return is_there;
}

KvFormat LoadedModel::kv_format(const std::string& name) const {
  const auto [bits, is_plain] = split_kv_name(name);
  KvFormat format = parse_kv_format(bits, network_->kv_shape().n_layer);
  const std::lock_guard lock(calibration_mutex_);
  if (!is_plain && !format.is_exact()) format.calibration = calibration_;
  return format;
}

void LoadedModel::fill_info(const LoadOptions& options) {
  const Hparams& hp = network_->hparams();
  const Vocabulary& vocab = tokenizer_->vocabulary();
  info_.path = file_.path();
  const auto name = file_.get_string("general.name").value_or("");
  info_.name = name.empty() ? utf8_of(path_of(file_.path()).stem()) : std::string(name);
  info_.architecture = hp.architecture;
  info_.file_type = main_type(file_);
  info_.file_bytes = file_.file_bytes();
  const size_t n_before = stages_->size() - options.devices.size();  // the processor, where it has layers of its own
  for (size_t i = 0; i < stages_->size(); ++i) {
    const size_t weight_bytes = network_->weight_bytes()[i];
    const int32_t first_layer = stages_->first_layer(i);
    info_.weight_bytes += weight_bytes;
    info_.shares.push_back({i < n_before ? kProcessor : options.devices[i - n_before], first_layer,
                            stages_->end_layer(i) - first_layer, weight_bytes});
  }
  info_.table_bytes = network_->table_bytes();
  for (const TensorInfo& tensor : file_.tensors()) {
    info_.n_params += tensor.n_elements;
    if (layer_of_tensor(tensor.name).has_value()) info_.n_layer_params += tensor.n_elements;
  }
  info_.n_ctx_train = hp.n_ctx_train;
  info_.n_vocab = hp.n_vocab;
  info_.n_layer = hp.n_layer;
  info_.n_embd = hp.n_embd;
  info_.n_head = hp.n_head;
  info_.n_head_kv = hp.n_head_kv;
  if (stages_->expert_cache_stats().total_bytes > 0) {  // the loader has checked both numbers
    info_.n_expert = static_cast<int32_t>(file_.get_uint(hp.architecture + ".expert_count").value_or(0));
    info_.n_expert_used = static_cast<int32_t>(file_.get_uint(hp.architecture + ".expert_used_count").value_or(0));
  }
  const KvShape kv = network_->kv_shape();
  info_.kv_bytes_per_token = sizeof(uint16_t) * static_cast<uint64_t>(kv.n_layer) *
                             static_cast<uint64_t>(kv.n_head_kv) * static_cast<uint64_t>(kv.head_dim_k + kv.head_dim_v);
  info_.chat_template = std::string(file_.get_string("tokenizer.chat_template").value_or(""));
  if (vocab.bos >= 0) info_.bos_text = vocab.text(vocab.bos);
  if (vocab.eos >= 0) info_.eos_text = vocab.text(vocab.eos);
  info_.fim = vocab.fim;
  info_.has_fim = vocab.fim.prefix >= 0 && vocab.fim.suffix >= 0 && vocab.fim.middle >= 0;
  info_.backend = stages_->name();
}

void LoadedModel::set_calibration(std::shared_ptr<const KvCalibration> calibration) const {
  const std::lock_guard lock(calibration_mutex_);
  calibration_ = std::move(calibration);
}

std::vector<int32_t> LoadedModel::tokenize(std::string_view text, const TokenizeOptions& options) const {
  return tokenizer_->encode(text, options);
}

std::string LoadedModel::detokenize(std::span<const int32_t> tokens) const {
  check_ids(tokens);
  std::string out;
  for (const int32_t id : tokens) out += tokenizer_->bytes(id);
  return out;
}

void LoadedModel::check_ids(std::span<const int32_t> tokens) const {
  const int32_t n_vocab = tokenizer_->vocabulary().n_tokens();
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= n_vocab) {
      throw EngineError(ErrorCode::kInvalidArgument,
                        concat("Token number ", i, " is ", tokens[i], "; expected 0 to ", n_vocab - 1, "."));
    }
  }
}

}  // namespace outpost
