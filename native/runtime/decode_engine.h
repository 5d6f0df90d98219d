// The engine with parts that tests replace.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine.h"

namespace outpost {

struct DecodeParts {
  /// Whether a drafted token counts as what was chosen. Anything but equality changes replies.
  std::function<bool(int32_t drafted, int32_t chosen)> accepts = [](int32_t drafted, int32_t chosen) {
    return drafted == chosen;
  };
  /// Replaces all draft sources: the tokens to check behind the history.
  std::function<std::vector<int32_t>(std::span<const int32_t> history)> draft;
  /// Changes the logits behind a history before anything is chosen from them: a replay makes the model say what was
  /// recorded.
  std::function<void(std::span<const int32_t> history, std::span<float> logits)> steer;
  /// Called before every layer of a pass, on the decode thread.
  std::function<void()> before_layer;
  /// Replaces the device's sensor: °C.
  std::function<double()> temperature;
};

/// @throws as Engine::create
std::unique_ptr<Engine> create_engine(std::shared_ptr<Model> model, const EngineOptions& options, DecodeParts parts);

}  // namespace outpost
