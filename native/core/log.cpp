#include "core/log.h"

#include <mutex>
#include <utility>

namespace outpost {
namespace {

struct Log {
  std::mutex mutex;  // held while the sink runs: messages of several threads arrive one by one
  LogSink sink;
};

/// Made on first use and never destroyed: threads may log while the process exits.
Log& the_log() {
  static Log* const log = new Log;
  return *log;
}

}  // namespace

void set_log_sink(LogSink sink) {
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  log.sink = std::move(sink);
}

void log_message(LogLevel level, const std::string& message) {
  Log& log = the_log();
  const std::lock_guard lock(log.mutex);
  if (log.sink) log.sink(level, message);
}

}  // namespace outpost
