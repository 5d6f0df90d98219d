#include "binding/event_channel.h"

#include "binding/js_values.h"

namespace outpost::binding {

std::shared_ptr<EventChannel> EventChannel::create(Napi::Env env, const Napi::Value& listener) {
  const Fields fields(env, listener, "sink");
  auto channel = std::make_shared<EventChannel>();
  const auto bind = [&](const char* name, Napi::FunctionReference& reference) {
    if (const auto value = fields.find(name))
      reference = Napi::Persistent(get_function(env, *value, fields.path(name)));
  };
  bind("onPrefill", channel->on_prefill_);
  bind("onText", channel->on_text_);
  bind("onDone", channel->on_done_);
  if (channel->on_done_.IsEmpty()) fail_type(env, "sink.onDone", "a function");
  const auto nothing = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  channel->wake_ = Napi::ThreadSafeFunction::New(env, nothing, "outpost generate", 0, 1);
  return channel;
}

GenerateSink EventChannel::sink() {
  const auto self = shared_from_this();
  GenerateSink sink;
  sink.on_prefill = [self](int32_t n_done, int32_t n_total) {
    {
      const std::lock_guard lock(self->mutex_);
      self->pending_.prefill = {n_done, n_total};
    }
    self->notify();
  };
  sink.on_text = [self](std::string_view text, int32_t n_decoded) {
    {
      const std::lock_guard lock(self->mutex_);
      self->pending_.text += text;
      self->pending_.n_decoded = n_decoded;
    }
    self->notify();
  };
  sink.on_done = [self](StopReason reason, const GenerateStats& stats, const EngineError* error) {
    {
      const std::lock_guard lock(self->mutex_);
      self->pending_.done = Pending::Done{reason, stats, error != nullptr ? std::optional(*error) : std::nullopt};
    }
    self->notify();
    self->wake_.Release();  // after this the decode thread does not touch the channel
  };
  return sink;
}

void EventChannel::notify() {
  {
    const std::lock_guard lock(mutex_);
    if (is_notified_) return;
    is_notified_ = true;
  }
  // The environment may be shutting down: then nobody listens any more, and the call is dropped.
  wake_.NonBlockingCall([self = shared_from_this()](Napi::Env env, Napi::Function) {
    if (env != nullptr) self->deliver(env);
  });
}

void EventChannel::deliver(Napi::Env env) {
  Pending events;
  {
    const std::lock_guard lock(mutex_);
    std::swap(events, pending_);
    is_notified_ = false;
  }
  const Napi::HandleScope scope(env);
  if (events.prefill.has_value()) {
    const auto& [n_done, n_total] = *events.prefill;
    call_listener(env, on_prefill_, {Napi::Number::New(env, n_done), Napi::Number::New(env, n_total)});
  }
  if (!events.text.empty()) {
    call_listener(env, on_text_, {Napi::String::New(env, events.text), Napi::Number::New(env, events.n_decoded)});
  }
  if (!events.done.has_value()) return;
  const auto& [reason, stats, error] = *events.done;
  const Napi::Value js_error =
      error.has_value() ? to_js_error(env, error->code(), error->what()).Value() : env.Undefined();
  call_listener(env, on_done_, {Napi::String::New(env, stop_reason_name(reason)), to_js(env, stats), js_error});
  // References must go on this thread; the last shared_ptr may be dropped by the decode thread.
  on_prefill_.Reset();
  on_text_.Reset();
  on_done_.Reset();
}

}  // namespace outpost::binding
