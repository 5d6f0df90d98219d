// Events of one request on their way from the decode thread to JavaScript.
//
// The decode thread never waits for JavaScript: what JavaScript has not taken yet is merged (text appended,
// progress replaced), so a slow listener costs the memory of the text and nothing more.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "binding/arguments.h"

namespace outpost::binding {

class EventChannel : public std::enable_shared_from_this<EventChannel> {
 public:
  /// Called on the JavaScript thread. `listener` is the sink object {onPrefill?, onText?, onDone}.
  static std::shared_ptr<EventChannel> create(Napi::Env env, const Napi::Value& listener);

  /// The native side, for Engine::submit; it keeps the channel alive until on_done.
  GenerateSink sink();
  /// Called on the JavaScript thread instead, if the request was refused and on_done will never come.
  void abandon() { wake_.Release(); }

 private:
  struct Pending {
    std::optional<std::pair<int32_t, int32_t>> prefill;
    std::string text;
    int32_t n_decoded = 0;
    struct Done {
      StopReason reason;
      GenerateStats stats;
      std::optional<EngineError> error;
    };
    std::optional<Done> done;
  };

  void notify();
  void deliver(Napi::Env env);

  // JavaScript thread only.
  Napi::FunctionReference on_prefill_, on_text_, on_done_;
  Napi::ThreadSafeFunction wake_;

  std::mutex mutex_;
  Pending pending_;
  bool is_notified_ = false;
};

}  // namespace outpost::binding
