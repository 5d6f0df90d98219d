#include "binding/js_values.h"

namespace outpost::binding {
namespace {

/// { source: { nDrafted, nAccepted } }
Napi::Object to_js(Napi::Env env, const DraftStats& drafts) {
  auto object = Napi::Object::New(env);
  for (size_t i = 0; i < kDraftSources; ++i) {
    auto counts = Napi::Object::New(env);
    counts.Set("nDrafted", static_cast<double>(drafts[i].n_drafted));
    counts.Set("nAccepted", static_cast<double>(drafts[i].n_accepted));
    object.Set(kDraftSourceNames[i], counts);
  }
  return object;
}

/// What there is no sensor for is null.
Napi::Value to_js(Napi::Env env, const DeviceSensors& sensors) {
  auto object = Napi::Object::New(env);
  const auto set = [&](const char* name, double value) {
    if (value >= 0) {
      object.Set(name, value);
    } else {
      object.Set(name, env.Null());
    }
  };
  set("temperatureC", sensors.temperature_c);
  set("slowdownC", sensors.slowdown_c);
  set("powerWatts", sensors.power_watts);
  set("powerLimitWatts", sensors.power_limit_watts);
  set("clockMhz", sensors.clock_mhz);
  set("memoryClockMhz", sensors.memory_clock_mhz);
  set("busy", sensors.busy);
  object.Set("usedBytes", static_cast<double>(sensors.used_bytes));
  return object;
}

}  // namespace

Napi::Object to_js(Napi::Env env, const ModelInfo& info) {
  auto object = Napi::Object::New(env);
  object.Set("path", info.path);
  object.Set("name", info.name);
  object.Set("architecture", info.architecture);
  object.Set("fileType", info.file_type);
  object.Set("fileBytes", static_cast<double>(info.file_bytes));
  object.Set("weightBytes", static_cast<double>(info.weight_bytes));
  object.Set("nParams", static_cast<double>(info.n_params));
  object.Set("nCtxTrain", info.n_ctx_train);
  object.Set("nVocab", info.n_vocab);
  object.Set("nLayer", info.n_layer);
  object.Set("nEmbd", info.n_embd);
  object.Set("nHead", info.n_head);
  object.Set("nHeadKv", info.n_head_kv);
  object.Set("nExpert", info.n_expert);
  object.Set("nExpertUsed", info.n_expert_used);
  object.Set("kvBytesPerToken", static_cast<double>(info.kv_bytes_per_token));
  object.Set("chatTemplate", info.chat_template);
  object.Set("bosText", info.bos_text);
  object.Set("eosText", info.eos_text);
  object.Set("hasFim", info.has_fim);
  auto fim = Napi::Object::New(env);
  fim.Set("prefix", info.fim.prefix);
  fim.Set("suffix", info.fim.suffix);
  fim.Set("middle", info.fim.middle);
  fim.Set("repository", info.fim.repository);
  fim.Set("fileSeparator", info.fim.file_separator);
  object.Set("fim", fim);
  object.Set("backend", info.backend);
  auto shares = Napi::Array::New(env, info.shares.size());
  for (uint32_t i = 0; i < info.shares.size(); ++i) {
    auto share = Napi::Object::New(env);
    share.Set("device", info.shares[i].device);
    share.Set("firstLayer", info.shares[i].first_layer);
    share.Set("nLayer", info.shares[i].n_layer);
    share.Set("weightBytes", static_cast<double>(info.shares[i].weight_bytes));
    shares.Set(i, share);
  }
  object.Set("shares", shares);
  return object;
}

Napi::Object to_js(Napi::Env env, const GenerateStats& stats) {
  auto object = Napi::Object::New(env);
  object.Set("nPrompt", stats.n_prompt);
  object.Set("nReused", stats.n_reused);
  object.Set("nDecoded", stats.n_decoded);
  object.Set("nCtx", stats.n_ctx);
  object.Set("queueMs", stats.queue_ms);
  object.Set("prefillMs", stats.prefill_ms);
  object.Set("decodeMs", stats.decode_ms);
  object.Set("ttftMs", stats.ttft_ms);
  object.Set("nPasses", stats.n_passes);
  object.Set("nParked", stats.n_parked);
  object.Set("drafts", to_js(env, stats.drafts));
  object.Set("plainTokenMs", stats.plain_token_ms);
  auto log_probs = Napi::Float32Array::New(env, stats.log_probs.size());
  std::copy(stats.log_probs.begin(), stats.log_probs.end(), log_probs.Data());
  object.Set("logProbs", log_probs);
  return object;
}

Napi::Object to_js(Napi::Env env, const KvDivergence& divergence) {
  auto object = Napi::Object::New(env);
  object.Set("nTokens", static_cast<double>(divergence.n_tokens));
  object.Set("meanKld", divergence.mean_kld);
  object.Set("p99Kld", divergence.p99_kld);
  object.Set("flips", divergence.flips);
  object.Set("perplexity", divergence.perplexity);
  object.Set("perplexityExact", divergence.perplexity_exact);
  object.Set("bitsLong", divergence.bits_long);
  return object;
}

Napi::Object to_js(Napi::Env env, const KvCheck& check) {
  auto results = Napi::Array::New(env, check.divergences.size());
  for (uint32_t i = 0; i < check.divergences.size(); ++i) results.Set(i, to_js(env, check.divergences[i]));
  auto object = Napi::Object::New(env);
  object.Set("calibration", kKvCalibrationSourceNames[static_cast<size_t>(check.calibration)]);
  object.Set("results", results);
  return object;
}

Napi::Object to_js(Napi::Env env, const LayerSpeed& speed) {
  auto object = Napi::Object::New(env);
  object.Set("secondsPerLayer", speed.seconds_per_layer);
  object.Set("kvBytesPerSecond", speed.kv_bytes_per_second);
  return object;
}

Napi::Object to_js(Napi::Env env, const CacheFile& file) {
  auto object = Napi::Object::New(env);
  object.Set("nTokens", static_cast<double>(file.n_tokens));
  object.Set("nBytes", static_cast<double>(file.n_bytes));
  return object;
}

Napi::Object to_js(Napi::Env env, const EngineStats& stats) {
  auto object = Napi::Object::New(env);
  object.Set("nActive", stats.n_active);
  object.Set("nWaiting", stats.n_waiting);
  object.Set("nDecoded", static_cast<double>(stats.n_decoded));
  object.Set("nPasses", static_cast<double>(stats.n_passes));
  object.Set("decodeMs", stats.decode_ms);
  object.Set("plainTokenMs", stats.plain_token_ms);
  object.Set("pauseMs", stats.pause_ms);
  object.Set("drafts", to_js(env, stats.drafts));
  auto pass_ms = Napi::Float64Array::New(env, stats.pass_ms.size());
  std::copy(stats.pass_ms.begin(), stats.pass_ms.end(), pass_ms.Data());
  object.Set("passMs", pass_ms);
  object.Set("kvBytesUsed", static_cast<double>(stats.kv_bytes_used));
  object.Set("kvBytesTotal", static_cast<double>(stats.kv_bytes_total));
  object.Set("kvBytesSpare", static_cast<double>(stats.kv_bytes_spare));
  object.Set("headKvBytes", static_cast<double>(stats.head_kv_bytes));
  object.Set("nKvPages", stats.n_kv_pages);
  object.Set("nKvTokens", static_cast<double>(stats.n_kv_tokens));
  object.Set("nPrompt", static_cast<double>(stats.n_prompt));
  object.Set("nReused", static_cast<double>(stats.n_reused));
  object.Set("experts", to_js(env, stats.experts));
  return object;
}

Napi::Object to_js(Napi::Env env, const ExpertCacheStats& stats) {
  auto object = Napi::Object::New(env);
  object.Set("nHits", static_cast<double>(stats.n_hits));
  object.Set("nMisses", static_cast<double>(stats.n_misses));
  object.Set("nEvictions", static_cast<double>(stats.n_evictions));
  object.Set("residentBytes", static_cast<double>(stats.resident_bytes));
  object.Set("totalBytes", static_cast<double>(stats.total_bytes));
  object.Set("budgetBytes", static_cast<double>(stats.budget_bytes));
  object.Set("hitRate", stats.hit_rate());
  return object;
}

Napi::Value to_js(Napi::Env env, double number) { return Napi::Number::New(env, number); }

Napi::Value to_js(Napi::Env env, const std::vector<float>& numbers) {
  auto array = Napi::Float32Array::New(env, numbers.size());
  std::copy(numbers.begin(), numbers.end(), array.Data());
  return array;
}

Napi::Value to_js(Napi::Env env, const std::vector<DeviceInfo>& devices) {
  auto array = Napi::Array::New(env, devices.size());
  for (uint32_t i = 0; i < devices.size(); ++i) {
    auto object = Napi::Object::New(env);
    object.Set("id", devices[i].id);
    object.Set("name", devices[i].name);
    object.Set("totalBytes", static_cast<double>(devices[i].total_bytes));
    object.Set("freeBytes", static_cast<double>(devices[i].free_bytes));
    object.Set("sharesMemory", devices[i].shares_memory);
    object.Set("sensors", devices[i].sensors.has_value() ? to_js(env, *devices[i].sensors) : env.Null());
    if (!devices[i].unusable.empty()) object.Set("unusable", devices[i].unusable);
    array.Set(i, object);
  }
  return array;
}

Napi::Object to_js(Napi::Env env, const DraftCompatibility& compatibility) {
  static constexpr const char* kKinds[] = {"same_tokens", "same_text", "none"};  // in the order of Kind
  auto object = Napi::Object::New(env);
  object.Set("kind", kKinds[static_cast<size_t>(compatibility.kind)]);
  object.Set("reason", compatibility.reason);
  return object;
}

Napi::Object to_js(Napi::Env env, const ExpertUsage& usage) {
  auto n_tokens = Napi::Float64Array::New(env, usage.n_tokens.size());
  for (size_t i = 0; i < usage.n_tokens.size(); ++i) n_tokens[i] = static_cast<double>(usage.n_tokens[i]);
  auto object = Napi::Object::New(env);
  object.Set("layer", usage.il);
  object.Set("nTokens", n_tokens);
  return object;
}

void call_listener(Napi::Env env, const Napi::FunctionReference& listener,
                   std::initializer_list<napi_value> arguments) {
  if (listener.IsEmpty()) return;
  try {
    listener.Call(arguments);
  } catch (const Napi::Error& error) {
    napi_fatal_exception(env, error.Value());
  }
}

LoadOptions read_load_options(const Fields& fields) {
  LoadOptions options;
  fields.read_one_or_more("device", options.devices);
  fields.read_one_or_more("nDeviceLayers", options.n_device_layers);
  fields.read("nDevicePositions", options.n_device_positions);
  fields.read("deviceKv", options.device_kv);
  fields.read("nThreads", options.n_threads);
  fields.read("expertCacheBytes", options.expert_cache_bytes);
  fields.read("deviceExpertBytes", options.device_expert_bytes);
  fields.read("cpuKernels", options.cpu_kernels, kCpuKernelNames);
  return options;
}

TokenizeOptions read_tokenize_options(const Fields& fields) {
  TokenizeOptions options;
  fields.read("addBos", options.add_bos);
  fields.read("parseSpecial", options.parse_special);
  fields.read("addEos", options.add_eos);
  return options;
}

EngineOptions read_engine_options(const Fields& fields) {
  EngineOptions options;
  fields.read("nCtx", options.n_ctx);
  fields.read("kvBytes", options.kv_bytes);
  fields.read("nPrefill", options.n_prefill);
  fields.read("nSequences", options.n_sequences);
  fields.read("paceAboveC", options.pace_above_c);
  fields.read("kv", options.kv, kKvPresetNames);
  fields.read("passMs", options.pass_ms);
  return options;
}

GenerateRequest read_generate_request(const Fields& fields) {
  static constexpr const char* kPriorities[] = {"inline", "chat", "agent", "background"};  // in the order of Priority
  GenerateRequest request;
  fields.read("nPredict", request.n_predict);
  fields.read("temperature", request.sampler.temperature);
  fields.read("topK", request.sampler.top_k);
  fields.read("topP", request.sampler.top_p);
  fields.read("minP", request.sampler.min_p);
  fields.read("repeatPenalty", request.sampler.repeat_penalty);
  fields.read("repeatLastN", request.sampler.repeat_last_n);
  fields.read("seed", request.sampler.seed);
  fields.read("stop", request.stop);
  fields.read("beginWith", request.begin_with);
  fields.read("priority", request.priority, kPriorities);
  fields.read("draft", request.draft.is_enabled);
  fields.read("nDraftMax", request.draft.n_max);
  fields.read("original", request.draft.original);
  fields.read("texts", request.draft.texts);
  fields.read("grammar", request.grammar);
  fields.read("jsonSchema", request.json_schema);
  fields.read("deadlineMs", request.deadline_ms);
  fields.read("logProbs", request.log_probs);
  fields.read("candidates", request.candidates.n);
  fields.read("followedBy", request.candidates.followed_by);
  return request;
}

}  // namespace outpost::binding
