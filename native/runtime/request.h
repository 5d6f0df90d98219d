// One request on its way through the engine. Everything but `is_cancelled` belongs to the decode thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "engine.h"
#include "kv/kv_cache.h"
#include "runtime/text_stream.h"
#include "sampling/sampler.h"

namespace outpost {

struct Request {
  using Clock = std::chrono::steady_clock;

  Request(uint64_t id_, GenerateRequest params_, GenerateSink sink_)
      : id(id_),
        params(std::move(params_)),
        sink(std::move(sink_)),
        sampler(params.sampler),
        text(params.stop),
        history(params.tokens) {
    stats.n_prompt = static_cast<int32_t>(params.tokens.size());
  }

  const uint64_t id;
  const GenerateRequest params;
  const GenerateSink sink;
  std::atomic<bool> is_cancelled{false};

  Sampler sampler;
  TextStream text;
  std::vector<int32_t> history;          ///< prompt and reply
  std::string begin;                     ///< bytes that the reply's tokens must begin with
  size_t n_begun = 0;                    ///< of these, said so far
  std::vector<float> logits;             ///< after the last computed token; empty until the prompt is done
  std::unique_ptr<KvSequence> sequence;  ///< null until the first step
  GenerateStats stats;
  const Clock::time_point submitted = Clock::now();
  uint64_t last_step = 0;  ///< when it last ran, counted in steps: requests of a class take turns
};

}  // namespace outpost
