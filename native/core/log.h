// Messages that end nothing. The library never prints: they go to the sink that `set_log_sink` (engine.h) set.
#pragma once

#include "core/strings.h"
#include "engine.h"

namespace outpost {

/// Any thread; dropped while no sink is set.
void log_message(LogLevel level, const std::string& message);

template <typename... Args>
void log_warning(const Args&... args) {
  log_message(LogLevel::kWarning, concat(args...));
}

}  // namespace outpost
