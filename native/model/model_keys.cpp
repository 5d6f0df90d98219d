#include "model/model_keys.h"

#include <algorithm>
#include <array>

#include "core/log.h"

namespace outpost {

ModelKeys::ModelKeys(const GgufFile& file) : file_(file) {
  const auto architecture = file.get_string("general.architecture");
  if (!architecture.has_value())
    throw EngineError(ErrorCode::kModelInvalid, concat(file.path(), ": general.architecture is missing."));
  architecture_ = *architecture;
  prefix_ = architecture_ + ".";
}

std::string ModelKeys::key(std::string_view name) const { return *asked_.insert(prefix_ + std::string(name)).first; }

int32_t ModelKeys::checked(std::string_view name, uint64_t value, int64_t min, int64_t max) const {
  if (value < static_cast<uint64_t>(min) || value > static_cast<uint64_t>(max))
    fail(name, " is ", value, "; expected ", min, " to ", max);
  return static_cast<int32_t>(value);
}

int32_t ModelKeys::get(std::string_view name, int64_t min, int64_t max) const {
  const auto value = file_.get_uint(key(name));
  if (!value.has_value()) fail(name, " is missing");
  return checked(name, *value, min, max);
}

int32_t ModelKeys::get(std::string_view name, int64_t min, int64_t max, int32_t fallback) const {
  const auto value = file_.get_uint(key(name));
  return value.has_value() ? checked(name, *value, min, max) : fallback;
}

float ModelKeys::get_float(std::string_view name, double min, double max) const {
  if (!has(name)) fail(name, " is missing");
  return get_float(name, min, max, min);
}

float ModelKeys::get_float(std::string_view name, double min, double max, double fallback) const {
  const double value = file_.get_float(key(name)).value_or(fallback);
  if (!(value >= min && value <= max)) fail(name, " is ", value, "; expected ", min, " to ", max);
  return static_cast<float>(value);
}

bool ModelKeys::get_bool(std::string_view name, bool fallback) const {
  return file_.get_bool(key(name)).value_or(fallback);
}

std::string ModelKeys::get_string(std::string_view name, std::string_view fallback) const {
  return std::string(file_.get_string(key(name)).value_or(fallback));
}

bool ModelKeys::has(std::string_view name) const { return file_.find(key(name)) != nullptr; }

std::vector<bool> ModelKeys::get_layer_pattern(std::string_view name, int32_t n_layer, int32_t period) const {
  std::vector<bool> pattern(static_cast<size_t>(n_layer));
  const GgufValue* value = file_.find(key(name));
  const auto* array = value == nullptr ? nullptr : std::get_if<GgufArray>(&value->value);
  if (array != nullptr) {
    if (array->element_type != GgufType::kBool || array->n_elements != static_cast<uint64_t>(n_layer))
      fail(name, " is ", describe(*value), "; expected a number, or ", n_layer, " booleans");
    for (size_t il = 0; il < pattern.size(); ++il) pattern[il] = array->bytes[il] != std::byte{0};
  } else {
    period = get(name, 0, 4096, period);
    for (int32_t il = 0; il < n_layer; ++il) pattern[static_cast<size_t>(il)] = period == 0 || il % period < period - 1;
  }
  return pattern;
}

void ModelKeys::warn_of_unread() const {
  // Counts that tensors tell as well, and hints for training.
  static constexpr std::array<std::string_view, 4> kKnown = {"vocab_size", "tensor_data_layout", "attention.causal",
                                                             "expert_used_count"};
  for (const auto& [name, value] : file_.metadata()) {
    if (!name.starts_with(prefix_) || asked_.contains(std::string(name))) continue;
    const std::string_view rest = name.substr(prefix_.size());
    if (std::find(kKnown.begin(), kKnown.end(), rest) != kKnown.end()) continue;
    log_warning(file_.path(), ": the key ", in_quotes(name), " = ", describe(value), " has no effect.");
  }
}

}  // namespace outpost
