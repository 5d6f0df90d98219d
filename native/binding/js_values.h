// Engine structures as JavaScript objects: the one place where names become camelCase.
#pragma once

#include "binding/arguments.h"

namespace outpost::binding {

Napi::Object to_js(Napi::Env env, const ModelInfo& info);
Napi::Object to_js(Napi::Env env, const GenerateStats& stats);
Napi::Object to_js(Napi::Env env, const EngineStats& stats);
Napi::Object to_js(Napi::Env env, const CacheFile& file);
Napi::Object to_js(Napi::Env env, const KvDivergence& divergence);
Napi::Object to_js(Napi::Env env, const KvCheck& check);
Napi::Object to_js(Napi::Env env, const ExpertCacheStats& stats);
Napi::Value to_js(Napi::Env env, double number);
Napi::Object to_js(Napi::Env env, const LayerSpeed& speed);
Napi::Value to_js(Napi::Env env, const std::vector<float>& numbers);
Napi::Value to_js(Napi::Env env, const std::vector<DeviceInfo>& devices);
Napi::Object to_js(Napi::Env env, const DraftCompatibility& compatibility);
Napi::Object to_js(Napi::Env env, const ExpertUsage& usage);

/// Calls a listener from an event of ours. There is no JavaScript caller to throw to: what it throws becomes an
/// uncaught exception of the process, and the next event is delivered all the same.
void call_listener(Napi::Env env, const Napi::FunctionReference& listener, std::initializer_list<napi_value> arguments);

LoadOptions read_load_options(const Fields& fields);
TokenizeOptions read_tokenize_options(const Fields& fields);
EngineOptions read_engine_options(const Fields& fields);
/// Everything but the tokens.
GenerateRequest read_generate_request(const Fields& fields);

}  // namespace outpost::binding
