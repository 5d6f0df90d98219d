// The Node addon: loadModel and the objects it leads to. Types are in electron/engine/native.d.ts.
//
// Loading runs on a libuv worker; generating on the engine's own decode thread. This file checks arguments,
// keeps native objects alive through their JavaScript wrappers and turns EngineErrors into Errors with a code.
#include <atomic>
#include <functional>
#include <memory>

#include "binding/arguments.h"
#include "binding/event_channel.h"
#include "binding/js_values.h"

namespace outpost::binding {
namespace {

/// Constructors of the wrapped classes, one set per environment: the addon may be loaded in several.
struct AddonData {
  Napi::FunctionReference model, engine;
};

/// Runs `body`; an EngineError becomes a JavaScript exception with its code.
template <typename Body>
auto guarded(Napi::Env env, const Body& body) {
  try {
    return body();
  } catch (const EngineError& error) {
    throw to_js_error(env, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    throw to_js_error(env, ErrorCode::kOutOfMemory, "There is not enough memory.");
  }
}

std::vector<int32_t> get_tokens(Napi::Env env, const Napi::Value& value, const std::string& name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
    fail_type(env, name, "an Int32Array");
  const auto array = value.As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

/// Runs `work` on a worker thread and settles a promise with what came of it.
template <typename Result>
class PromiseWorker final : public Napi::AsyncWorker {
 public:
  /// @param work keeps alive what it uses; no JavaScript values
  /// @param memory what there may be too little of, for the message
  static Napi::Promise start(Napi::Env env, std::function<Result()> work, std::string memory) {
    auto* worker = new PromiseWorker(env, std::move(work), std::move(memory));  // deletes itself
    const Napi::Promise promise = worker->deferred_.Promise();
    worker->Queue();
    return promise;
  }

 protected:
  void Execute() override {
    try {
      result_ = work_();
    } catch (const EngineError& error) {
      code_ = error.code();
      SetError(error.what());
    } catch (const std::bad_alloc&) {
      code_ = ErrorCode::kOutOfMemory;
      SetError("There is not enough memory for " + memory_ + ".");
    }
    work_ = nullptr;
  }
  void OnOK() override { deferred_.Resolve(to_js(Env(), result_)); }
  void OnError(const Napi::Error& error) override {
    deferred_.Reject(to_js_error(Env(), code_, error.Message().c_str()).Value());
  }

 private:
  PromiseWorker(Napi::Env env, std::function<Result()> work, std::string memory)
      : AsyncWorker(env), deferred_(env), work_(std::move(work)), memory_(std::move(memory)) {}

  Napi::Promise::Deferred deferred_;
  std::function<Result()> work_;
  std::string memory_;
  Result result_{};
  ErrorCode code_ = ErrorCode::kInternal;  // of an exception that was not an EngineError
};

class EngineObject final : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Engine",
        {InstanceMethod<&EngineObject::submit>("submit"), InstanceMethod<&EngineObject::cancel>("cancel"),
         InstanceMethod<&EngineObject::stats>("stats"), InstanceMethod<&EngineObject::save_cache>("saveCache"),
         InstanceMethod<&EngineObject::restore_cache>("restoreCache"),
         InstanceMethod<&EngineObject::forget_cache>("forgetCache"),
         InstanceMethod<&EngineObject::dispose>("dispose")});
  }

  explicit EngineObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) fail_type(info.Env(), "Engine", "made by model.createEngine()");
    engine_ = std::move(*info[0].As<Napi::External<std::unique_ptr<Engine>>>().Data());
  }
  ~EngineObject() override { napi_remove_env_cleanup_hook(Env(), stop_with_environment, this); }

 private:
  Engine& engine(Napi::Env env) const {
    if (engine_ == nullptr) throw to_js_error(env, ErrorCode::kInvalidArgument, "The engine was disposed of.");
    return *engine_;
  }

  Napi::Value submit(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const Fields fields(env, info[0], "request");
    GenerateRequest request = read_generate_request(fields);
    const auto tokens = fields.find("tokens");
    request.tokens = get_tokens(env, tokens.value_or(env.Undefined()), "request.tokens");
    const auto channel = EventChannel::create(env, info[1]);
    // An environment that ends closes the channels, and waits for whoever is using one. Its hooks run last in, first
    // out: added again after each channel, this one joins the decode thread before any of them is closed.
    napi_remove_env_cleanup_hook(env, stop_with_environment, this);
    napi_add_env_cleanup_hook(env, stop_with_environment, this);
    return guarded(env, [&] {
      try {
        return Napi::Number::New(env, static_cast<double>(engine(env).submit(std::move(request), channel->sink())));
      } catch (...) {
        channel->abandon();  // else it would keep the process alive
        throw;
      }
    });
  }

  void cancel(const Napi::CallbackInfo& info) {
    if (!info[0].IsNumber()) fail_type(info.Env(), "requestId", "a number");
    if (engine_ != nullptr) engine_->cancel(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  }

  Napi::Value stats(const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&] { return to_js(info.Env(), engine(info.Env()).stats()); });
  }

  Napi::Value save_cache(const Napi::CallbackInfo& info) { return start(info, &Engine::save_cache); }
  Napi::Value restore_cache(const Napi::CallbackInfo& info) { return start(info, &Engine::restore_cache); }
  Napi::Value forget_cache(const Napi::CallbackInfo& info) { return start(info, &Engine::forget_cache); }

  Napi::Value start(const Napi::CallbackInfo& info, CacheFile (Engine::*method)(const std::string& path)) {
    const Napi::Env env = info.Env();
    const std::string path = get_string(env, info[0], "path");
    engine(env);
    return PromiseWorker<CacheFile>::start(
        env, [engine = engine_, method, path] { return (*engine.*method)(path); }, "the cache of " + path);
  }

  void dispose(const Napi::CallbackInfo&) { engine_.reset(); }

  static void stop_with_environment(void* self) { static_cast<EngineObject*>(self)->engine_.reset(); }

  std::shared_ptr<Engine> engine_;  // a worker may still use it
};

class ModelObject final : public Napi::ObjectWrap<ModelObject> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "Model",
        {InstanceAccessor<&ModelObject::info>("info"), InstanceMethod<&ModelObject::tokenize>("tokenize"),
         InstanceMethod<&ModelObject::detokenize>("detokenize"), InstanceMethod<&ModelObject::embed>("embed"),
         InstanceMethod<&ModelObject::expert_usage>("expertUsage"),
         InstanceMethod<&ModelObject::draft_compatibility>("draftCompatibility"),
         InstanceMethod<&ModelObject::create_engine>("createEngine"), InstanceMethod<&ModelObject::check_kv>("checkKv"),
         InstanceMethod<&ModelObject::dispose>("dispose")});
  }

  explicit ModelObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) fail_type(info.Env(), "Model", "made by loadModel()");
    model_ = *info[0].As<Napi::External<std::shared_ptr<Model>>>().Data();
  }

 private:
  const std::shared_ptr<Model>& model(Napi::Env env) const {
    if (model_ == nullptr) throw to_js_error(env, ErrorCode::kInvalidArgument, "The model was disposed of.");
    return model_;
  }

  Napi::Value info(const Napi::CallbackInfo& info) { return to_js(info.Env(), model(info.Env())->info()); }

  Napi::Value tokenize(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const std::string text = get_string(env, info[0], "text");
    const TokenizeOptions options = read_tokenize_options(Fields(env, info[1], "options"));
    const auto ids = guarded(env, [&] { return model(env)->tokenize(text, options); });
    auto array = Napi::Int32Array::New(env, ids.size());
    std::copy(ids.begin(), ids.end(), array.Data());
    return array;
  }

  Napi::Value detokenize(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const auto tokens = get_tokens(env, info[0], "tokens");
    return Napi::String::New(env, guarded(env, [&] { return model(env)->detokenize(tokens); }));
  }

  Napi::Value embed(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    auto tokens = get_tokens(env, info[0], "tokens");
    return PromiseWorker<std::vector<float>>::start(
        env, [model = model(env), tokens = std::move(tokens)] { return outpost::embed(*model, tokens); },
        "the embedding of a text");
  }

  Napi::Value expert_usage(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const auto layers = model(env)->expert_usage();
    auto array = Napi::Array::New(env, layers.size());
    for (uint32_t i = 0; i < layers.size(); ++i) array.Set(i, to_js(env, layers[i]));
    return array;
  }

  static std::shared_ptr<Model> get_model(Napi::Env env, const Napi::Value& value, const std::string& name) {
    const bool is_model = value.IsObject() && value.As<Napi::Object>().InstanceOf(
                                                  env.GetInstanceData<AddonData>()->model.Value().As<Napi::Function>());
    if (!is_model) fail_type(env, name, "a model made by loadModel()");
    return Unwrap(value.As<Napi::Object>())->model(env);
  }

  Napi::Value draft_compatibility(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    return to_js(env, outpost::draft_compatibility(*model(env), *get_model(env, info[0], "draft")));
  }

  Napi::Value create_engine(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const Fields fields(env, info[0], "options");
    EngineOptions options = read_engine_options(fields);
    if (const auto draft = fields.find("draftModel"))
      options.draft_model = get_model(env, *draft, "options.draftModel");
    auto engine = guarded(env, [&] { return Engine::create(model(env), options); });
    return env.GetInstanceData<AddonData>()->engine.New({Napi::External<std::unique_ptr<Engine>>::New(env, &engine)});
  }

  Napi::Value check_kv(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    auto calibration = get_tokens(env, info[0], "calibration"), tokens = get_tokens(env, info[1], "tokens");
    if (!info[2].IsNumber()) fail_type(env, "nCtx", "a number");
    const int32_t n_ctx = info[2].As<Napi::Number>().Int32Value();
    if (!info[3].IsArray()) fail_type(env, "presets", "an array of strings");
    const auto array = info[3].As<Napi::Array>();
    std::vector<std::string> presets;
    for (uint32_t i = 0; i < array.Length(); ++i) presets.push_back(get_string(env, array.Get(i), "presets"));
    const auto is_cancelled = std::make_shared<std::atomic<bool>>(false);
    auto work = [model = model(env), calibration = std::move(calibration), tokens = std::move(tokens), n_ctx,
                 presets = std::move(presets), is_cancelled] {
      return outpost::check_kv(*model, calibration, tokens, n_ctx, presets, [&] { return !is_cancelled->load(); });
    };
    auto handle = Napi::Object::New(env);
    handle.Set("promise",
               PromiseWorker<KvCheck>::start(env, std::move(work), "measuring how keys and values may be kept"));
    handle.Set("cancel", Napi::Function::New(env, [is_cancelled](const Napi::CallbackInfo&) { *is_cancelled = true; }));
    return handle;
  }

  void dispose(const Napi::CallbackInfo&) { model_.reset(); }

  std::shared_ptr<Model> model_;
};

/// Loads a model off the JavaScript thread and settles a promise with it. AsyncProgressWorker keeps what()
/// only, so the code is kept here.
class LoadWorker final : public Napi::AsyncProgressWorker<float> {
 public:
  LoadWorker(Napi::Env env, std::string path, LoadOptions options, Napi::FunctionReference on_progress,
             std::shared_ptr<std::atomic<bool>> is_cancelled)
      : AsyncProgressWorker(env),
        deferred_(env),
        path_(std::move(path)),
        options_(std::move(options)),
        on_progress_(std::move(on_progress)),
        is_cancelled_(std::move(is_cancelled)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute(const ExecutionProgress& progress) override {  // worker thread: no JavaScript values here
    options_.on_progress = [&](float fraction) {
      progress.Send(&fraction, 1);
      return !is_cancelled_->load();
    };
    try {
      model_ = Model::load(path_, options_);
    } catch (const EngineError& error) {
      code_ = error.code();
      SetError(error.what());
    } catch (const std::bad_alloc&) {
      code_ = ErrorCode::kOutOfMemory;
      SetError("There is not enough memory to load " + path_ + ".");
    }
  }

  void OnProgress(const float* fraction, size_t n) override {
    if (n > 0) call_listener(Env(), on_progress_, {Napi::Number::New(Env(), fraction[n - 1])});
  }

  void OnOK() override {
    deferred_.Resolve(
        Env().GetInstanceData<AddonData>()->model.New({Napi::External<std::shared_ptr<Model>>::New(Env(), &model_)}));
  }

  void OnError(const Napi::Error& error) override {
    deferred_.Reject(to_js_error(Env(), code_, error.Message().c_str()).Value());
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::string path_;
  LoadOptions options_;
  Napi::FunctionReference on_progress_;
  std::shared_ptr<std::atomic<bool>> is_cancelled_;
  std::shared_ptr<Model> model_;
  ErrorCode code_ = ErrorCode::kInternal;  // of an exception that was not an EngineError
};

Napi::Value load_model(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string path = get_string(env, info[0], "path");
  const Fields fields(env, info[1], "options");
  LoadOptions options = read_load_options(fields);
  Napi::FunctionReference on_progress;
  if (const auto value = fields.find("onProgress"))
    on_progress = Napi::Persistent(get_function(env, *value, "options.onProgress"));

  const auto is_cancelled = std::make_shared<std::atomic<bool>>(false);
  auto* worker =
      new LoadWorker(env, std::move(path), std::move(options), std::move(on_progress), is_cancelled);  // deletes itself
  auto handle = Napi::Object::New(env);
  handle.Set("promise", worker->promise());
  handle.Set("cancel", Napi::Function::New(env, [is_cancelled](const Napi::CallbackInfo&) { *is_cancelled = true; }));
  worker->Queue();
  return handle;
}

/// checkGrammar(text, 'gbnf' | 'json_schema'): throws what is wrong with it.
Napi::Value check_grammar_text(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string text = get_string(env, info[0], "text");
  const std::string kind = get_string(env, info[1], "kind");
  if (kind != "gbnf" && kind != "json_schema") fail_type(env, "kind", "'gbnf' or 'json_schema'");
  return guarded(env, [&]() -> Napi::Value {
    kind == "gbnf" ? check_grammar(text) : check_json_schema(text);
    return env.Undefined();
  });
}

/// measureWeightSpeed(type, {device, nThreads}): a promise of bytes per second.
Napi::Value measure_weights(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string type = get_string(env, info[0], "type");
  const LoadOptions options = read_load_options(Fields(env, info[1], "options"));
  return PromiseWorker<double>::start(
      env, [type, options] { return measure_weight_speed(type, options); }, "the speed measurement");
}

/// measureLayerSpeed({device, nThreads}): a promise of {secondsPerLayer, kvBytesPerSecond}.
Napi::Value measure_layers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const LoadOptions options = read_load_options(Fields(env, info[0], "options"));
  return PromiseWorker<LayerSpeed>::start(
      env, [options] { return measure_layer_speed(options); }, "the speed measurement");
}

/// listDevices(): a promise, as the first look at a GPU takes its time.
Napi::Value list_all_devices(const Napi::CallbackInfo& info) {
  return PromiseWorker<std::vector<DeviceInfo>>::start(
      info.Env(),
      [] {
        std::string reason;  // why there is no GPU: the list says that there is none
        return list_devices(reason);
      },
      "the list of devices");
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* data = new AddonData{Napi::Persistent(ModelObject::define(env)), Napi::Persistent(EngineObject::define(env))};
  env.SetInstanceData(data);  // freed with the environment
  exports.Set("loadModel", Napi::Function::New<load_model>(env, "loadModel"));
  exports.Set("measureWeightSpeed", Napi::Function::New<measure_weights>(env, "measureWeightSpeed"));
  exports.Set("measureLayerSpeed", Napi::Function::New<measure_layers>(env, "measureLayerSpeed"));
  exports.Set("listDevices", Napi::Function::New<list_all_devices>(env, "listDevices"));
  exports.Set("checkGrammar", Napi::Function::New<check_grammar_text>(env, "checkGrammar"));
  return exports;
}

}  // namespace

NODE_API_MODULE(outpost_engine, init)

}  // namespace outpost::binding
