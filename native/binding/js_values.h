// Engine structures as JavaScript objects: the one place where names become camelCase.
#pragma once

#include "binding/arguments.h"

namespace outpost::binding {

Napi::Object to_js(Napi::Env env, const ModelInfo& info);
Napi::Object to_js(Napi::Env env, const GenerateStats& stats);
Napi::Object to_js(Napi::Env env, const EngineStats& stats);

LoadOptions read_load_options(const Fields& fields);
TokenizeOptions read_tokenize_options(const Fields& fields);
EngineOptions read_engine_options(const Fields& fields);
/// Everything but the tokens.
GenerateRequest read_generate_request(const Fields& fields);

}  // namespace outpost::binding
