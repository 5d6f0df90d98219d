#include "model/layer_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/strings.h"
#include "engine.h"

namespace outpost {
namespace {

constexpr const char* kProcessor = "cpu";
/// Of a context whose length nobody said.
constexpr int32_t kUsualContext = 8192;
constexpr uint64_t kAllExperts = UINT64_MAX;

std::string mib(uint64_t n_bytes) { return concat((n_bytes + (1 << 20) - 1) >> 20, " MiB"); }

/// Behind what is free.
std::string planned_text(const DeviceRoom& device) {
  if (device.planned_bytes == 0) return "";
  return concat(" beside ", mib(device.planned_bytes), " that were planned for other models");
}

std::string layers_text(int32_t n) { return concat(n, n == 1 ? " layer" : " layers"); }

/// "a, b and c"
std::string list_text(std::span<const std::string> names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += concat(i == 0 ? "" : i + 1 == names.size() ? " and " : ", ", names[i]);
  return text;
}

bool is_single(std::span<const int32_t> wanted, int32_t what) { return wanted.size() == 1 && wanted[0] == what; }

/// One model and the devices that are to share it.
class Plan {
 public:
  /// @param expert_budget most memory of a device for experts; those of one token have room in any case
  Plan(const LayerBytes& bytes, const std::string& path, std::span<const DeviceRoom> devices, uint64_t n_positions,
       uint64_t expert_budget)
      : bytes_(bytes), path_(path), devices_(devices), n_positions_(n_positions), expert_budget_(expert_budget) {
    for (int32_t il = 0; il < n_layer(); ++il) {
      LayerSum sum = before_.back();
      before_.push_back(sum += layer_sum(bytes, il));
    }
  }

  std::vector<int32_t> all() const;
  std::vector<int32_t> fitting() const;
  std::vector<int32_t> checked(std::vector<int32_t> numbers) const;
  /// @throws EngineError if the model cannot be shared by so many, whatever room they have
  void check_number() const;

 private:
  int32_t n_layer() const { return bytes_.n_layer(); }
  int32_t n_devices() const { return static_cast<int32_t>(devices_.size()); }
  const DeviceRoom& device(int32_t i) const { return devices_[static_cast<size_t>(i)]; }
  /// With as many experts as the budget has room for. A file may have thousands of layers, and many pairs of borders
  /// are looked at.
  DeviceNeed need(LayerRange range, bool has_processor) const {
    const LayerSum layers = before_[static_cast<size_t>(range.end)] - before_[static_cast<size_t>(range.first)];
    DeviceNeed need = device_need(bytes_, range, layers, has_processor, n_positions_);
    const uint64_t n_resident = std::min(need.experts, std::max(expert_budget_, bytes_of_one_token(need.experts)));
    need.weights -= need.experts - n_resident;
    need.experts = n_resident;
    return need;
  }
  bool has_all_experts() const { return bytes_.n_expert == 0 || expert_budget_ == kAllExperts; }
  /// Of the experts of some layers.
  uint64_t bytes_of_one_token(uint64_t n_bytes) const {
    if (bytes_.n_expert == 0) return n_bytes;
    const double share = static_cast<double>(bytes_.n_expert_used) / static_cast<double>(bytes_.n_expert);
    return static_cast<uint64_t>(std::ceil(share * static_cast<double>(n_bytes)));
  }
  std::string names() const;

  /// All layers, shared out evenly. @param is_fitting only what there is room for; nothing if there is no such way
  std::vector<int32_t> balance(bool is_fitting) const;
  /// How many layers before `end` a device beside the processor has room for, of `most`.
  int32_t count_fitting(int32_t i, int32_t end, int32_t most) const;
  [[noreturn]] void refuse_all() const;
  [[noreturn]] void refuse(int32_t i, LayerRange range, bool has_processor) const;

  const LayerBytes& bytes_;
  const std::string& path_;
  const std::span<const DeviceRoom> devices_;
  const uint64_t n_positions_, expert_budget_;
  std::vector<LayerSum> before_ = {{}};  ///< of the layers before each, [n_layer + 1]
};

std::string Plan::names() const {
  std::vector<std::string> ids;
  for (const DeviceRoom& device : devices_) ids.push_back(device.id);
  return list_text(ids);
}

void Plan::check_number() const {
  if (n_devices() <= n_layer()) return;
  throw EngineError(ErrorCode::kInvalidArgument,
                    concat(path_, " has ", layers_text(n_layer()), ": too few for ", names(),
                           ", as each computes one at least. Name fewer devices."));
}

std::vector<int32_t> Plan::balance(bool is_fitting) const {
  // The sum of need^2 / free is least where all are equally full, of what is shared out freely.
  constexpr double kNever = std::numeric_limits<double>::infinity();
  const auto n_rows = static_cast<size_t>(n_devices()) + 1, n_ends = static_cast<size_t>(n_layer()) + 1;
  std::vector<std::vector<double>> cost(n_rows, std::vector<double>(n_ends, kNever));
  std::vector<std::vector<int32_t>> first_of(n_rows, std::vector<int32_t>(n_ends, 0));
  cost[0][0] = 0;
  for (int32_t i = 0; i < n_devices(); ++i) {
    const auto& before = cost[static_cast<size_t>(i)];
    auto& costs = cost[static_cast<size_t>(i) + 1];
    for (int32_t end = i + 1; end <= n_layer(); ++end) {
      for (int32_t first = i; first < end; ++first) {
        if (before[static_cast<size_t>(first)] == kNever) continue;
        const uint64_t n_bytes = need({first, end}, false).total(), n_free = device(i).free_bytes;
        if (is_fitting && n_bytes > n_free) continue;
        const double fullness = static_cast<double>(n_bytes) / static_cast<double>(std::max<uint64_t>(1, n_free));
        const double sum = before[static_cast<size_t>(first)] + fullness * static_cast<double>(n_bytes);
        if (sum >= costs[static_cast<size_t>(end)]) continue;
        costs[static_cast<size_t>(end)] = sum;
        first_of[static_cast<size_t>(i) + 1][static_cast<size_t>(end)] = first;
      }
    }
  }
  if (cost.back().back() == kNever) return {};
  std::vector<int32_t> numbers(devices_.size());
  int32_t end = n_layer();
  for (size_t i = numbers.size(); i > 0; --i) {
    const int32_t first = first_of[i][static_cast<size_t>(end)];
    numbers[i - 1] = end - first;
    end = first;
  }
  return numbers;
}

int32_t Plan::count_fitting(int32_t i, int32_t end, int32_t most) const {
  for (int32_t n = most; n > 0; --n) {
    if (need({end - n, end}, true).total() <= device(i).free_bytes) return n;
  }
  return 0;
}

std::vector<int32_t> Plan::all() const {
  std::vector<int32_t> numbers = balance(true);
  if (!numbers.empty()) return numbers;
  if (n_devices() == 1) refuse(0, {0, n_layer()}, false);
  refuse_all();
}

std::vector<int32_t> Plan::fitting() const {
  if (std::vector<int32_t> numbers = balance(true); !numbers.empty()) return numbers;
  // A layer is left for the processor and for each device that comes before: where that is more than there are, no way
  // to share them is left.
  if (n_devices() > 1 && n_devices() == n_layer()) refuse_all();
  std::vector<int32_t> numbers(devices_.size());
  int32_t end = n_layer();
  for (int32_t i = n_devices() - 1; i >= 0; --i) {
    const int32_t n = count_fitting(i, end, end - i - 1);
    if (n == 0) refuse(i, {end - 1, end}, end > 1);
    numbers[static_cast<size_t>(i)] = n;
    end -= n;
  }
  return numbers;
}

std::vector<int32_t> Plan::checked(std::vector<int32_t> numbers) const {
  if (n_devices() == 1) numbers[0] = std::min(numbers[0], n_layer());
  const int64_t sum = std::accumulate(numbers.begin(), numbers.end(), int64_t{0});
  if (sum > n_layer()) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat(names(), " are to compute ", sum, " layers of ", path_, ", which has ", n_layer(), "."));
  }
  const bool has_processor = sum < n_layer();
  int32_t end = n_layer();
  for (int32_t i = n_devices() - 1; i >= 0; --i) {
    const LayerRange range = {end - numbers[static_cast<size_t>(i)], end};
    if (need(range, has_processor).total() > device(i).free_bytes) refuse(i, range, has_processor);
    end = range.first;
  }
  return numbers;
}

void Plan::refuse_all() const {
  const std::vector<int32_t> numbers = balance(false);
  std::string parts;
  int32_t first = 0;
  for (int32_t i = 0; i < n_devices(); ++i) {
    const LayerRange range = {first, first + numbers[static_cast<size_t>(i)]};
    parts += concat(i == 0 ? "" : "; ", layers_text(range.size()), " on ", device(i).id, " would take ",
                    mib(need(range, false).total()), " of the ", mib(device(i).free_bytes), " that are free",
                    planned_text(device(i)));
    first = range.end;
  }
  throw EngineError(ErrorCode::kOutOfMemory,
                    concat("The ", layers_text(n_layer()), " of ", path_, " have no room on ", names(), ": ", parts,
                           ". Choose a shorter context, a smaller file or fewer layers than all."));
}

void Plan::refuse(int32_t i, LayerRange range, bool has_processor) const {
  const DeviceNeed needed = need(range, has_processor);
  const bool has_output = range.end == n_layer();
  const int32_t n_fitting = count_fitting(i, range.end, range.size() - 1);  // fewer leave some to the processor
  throw EngineError(
      ErrorCode::kOutOfMemory,
      concat(layers_text(range.size()), " of ", path_, has_output ? " and its output" : "",
             has_output || range.size() > 1 ? " take " : " takes ", mib(needed.total()), " on ", device(i).id, ": ",
             mib(needed.weights), has_all_experts() ? " of weights, " : " of weights with few of the experts, ",
             mib(needed.kv), " of keys and values, ", mib(needed.workspace), " to compute. ", mib(device(i).free_bytes),
             " are free", planned_text(device(i)),
             n_fitting > 0 ? concat(", which is room for ", layers_text(n_fitting), ".")
             : n_devices() > 1
                 ? ", which is too little for one layer. Choose a shorter context, a smaller file or other "
                   "devices."
                 : ", which is too little for one layer. Choose a shorter context, a smaller file or the "
                   "processor."));
}

}  // namespace

void check_devices(std::span<const std::string> devices, std::span<const int32_t> wanted) {
  const auto fail = [](const std::string& text) { throw EngineError(ErrorCode::kInvalidArgument, text); };
  if (devices.empty()) fail("No device is named; expected one at least.");
  const auto gpu = std::find_if(devices.begin(), devices.end(), [](const auto& id) { return id != kProcessor; });
  for (auto id = devices.begin(); gpu != devices.end() && id != devices.end(); ++id) {
    if (*id == kProcessor) {
      fail(concat("The processor is named beside ", in_quotes(*gpu),
                  ": it computes whatever layers the other devices leave. Leave it out."));
    }
    if (std::find(devices.begin(), id, *id) != id)
      fail(concat("The device ", in_quotes(*id), " is named twice. Name each once."));
  }
  const int32_t least = wanted.size() == 1 ? kAllLayers : 1;
  const bool is_shared_number = is_single(wanted, kAllLayers) || is_single(wanted, kFittingLayers);
  const bool are_numbers = std::all_of(wanted.begin(), wanted.end(), [&](int32_t n) { return n >= least; });
  if (are_numbers && (is_shared_number || wanted.size() == devices.size())) return;
  std::vector<std::string> numbers;
  for (const int32_t n : wanted) numbers.push_back(concat(n));
  fail(concat("n_device_layers is ", numbers.empty() ? "empty" : list_text(numbers), "; expected ", kAllLayers,
              " for all layers, ", kFittingLayers, " for those that fit, or ",
              devices.size() == 1 ? "their number." : concat("a number for each of ", list_text(devices), ".")));
}

uint64_t usual_positions(const LayerBytes& bytes) {
  return kDeviceContexts * static_cast<uint64_t>(std::min(kUsualContext, bytes.n_ctx_train));
}

std::vector<int32_t> plan_layers(const LayerBytes& bytes, const std::string& path, std::span<const DeviceRoom> devices,
                                 std::span<const int32_t> wanted, uint64_t n_positions, uint64_t expert_budget) {
  const bool is_all = is_single(wanted, kAllLayers), is_fitting = is_single(wanted, kFittingLayers);
  if ((is_all || is_fitting) && n_positions == 0) n_positions = usual_positions(bytes);
  const auto plan_with = [&](uint64_t budget) {
    const Plan plan(bytes, path, devices, n_positions, budget);
    plan.check_number();
    if (is_all) return plan.all();
    return is_fitting ? plan.fitting() : plan.checked({wanted.begin(), wanted.end()});
  };
  if (expert_budget > 0) return plan_with(expert_budget);
  const bool shares_memory = std::ranges::any_of(devices, &DeviceRoom::shares_host_memory);
  if (bytes.n_expert == 0 || shares_memory) return plan_with(kAllExperts);
  try {
    return plan_with(kAllExperts);
  } catch (const EngineError& error) {
    if (error.code() != ErrorCode::kOutOfMemory) throw;
    return plan_with(0);
  }
}

}  // namespace outpost
