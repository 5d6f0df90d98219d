// Metadata of a model under "<architecture>.", read with its bounds.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/strings.h"
#include "engine.h"
#include "gguf/gguf_file.h"

namespace outpost {

class ModelKeys {
 public:
  /// @throws EngineError kModelInvalid if general.architecture is missing
  explicit ModelKeys(const GgufFile& file);

  const std::string& architecture() const { return architecture_; }

  // A value outside [min, max], or of another type, throws kModelInvalid; so does a missing one without a fallback.
  int32_t get(std::string_view name, int64_t min, int64_t max) const;
  int32_t get(std::string_view name, int64_t min, int64_t max, int32_t fallback) const;
  float get_float(std::string_view name, double min, double max) const;
  float get_float(std::string_view name, double min, double max, double fallback) const;
  bool get_bool(std::string_view name, bool fallback) const;
  std::string get_string(std::string_view name, std::string_view fallback) const;
  bool has(std::string_view name) const;

  /// Which layers have a sliding window: listed one by one under `name`, or every one but the last of each `period`.
  std::vector<bool> get_layer_pattern(std::string_view name, int32_t n_layer, int32_t period) const;

  /// Logs the keys that nobody asked for: what a forward pass does not know of may matter.
  void warn_of_unread() const;

  template <typename... Args>
  [[noreturn]] void fail(std::string_view name, const Args&... what) const {
    throw EngineError(ErrorCode::kModelInvalid, concat(file_.path(), ": ", prefix_, name, what..., "."));
  }
  template <typename... Args>
  [[noreturn]] void fail_unsupported(std::string_view name, const Args&... what) const {
    throw EngineError(ErrorCode::kModelUnsupported, concat(file_.path(), ": ", prefix_, name, what..., "."));
  }

 private:
  /// The full key, remembered as asked for.
  std::string key(std::string_view name) const;
  int32_t checked(std::string_view name, uint64_t value, int64_t min, int64_t max) const;

  const GgufFile& file_;
  std::string architecture_, prefix_;
  mutable std::set<std::string> asked_;
};

}  // namespace outpost
