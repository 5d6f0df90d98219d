// What a piece of code throws, as a value that a CHECK can compare.
#pragma once

#include <optional>
#include <string>

#include "engine.h"

namespace outpost::test {

/// @return nullopt if nothing is thrown. Anything but EngineError passes through and fails the test.
template <typename Action>
std::optional<ErrorCode> error_of(Action&& action) {
  try {
    action();
  } catch (const EngineError& error) {
    return error.code();
  }
  return std::nullopt;
}

/// @return "" if nothing is thrown
template <typename Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const EngineError& error) {
    return error.what();
  }
  return {};
}

}  // namespace outpost::test
