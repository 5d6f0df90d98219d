// One request on its way through the engine. Everything but `is_cancelled` belongs to the decode thread once it runs.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "engine.h"
#include "kv/kv_cache.h"
#include "runtime/candidate_search.h"
#include "runtime/drafter.h"
#include "runtime/reply.h"

namespace outpost {

struct Request {
  using Clock = std::chrono::steady_clock;

  Request(uint64_t id_, const LoadedModel& model, GenerateRequest params_, GenerateSink sink_, int32_t n_ctx,
          std::shared_ptr<GrammarProgram> grammar)
      : id(id_), params(std::move(params_)), sink(std::move(sink_)), reply(model, params, n_ctx, std::move(grammar)) {
    stats.n_prompt = static_cast<int32_t>(params.tokens.size());
    stats.n_ctx = n_ctx;
    if (params.candidates.n > 1) search = std::make_unique<CandidateSearch>(model, params, n_ctx);
  }

  bool is_searching() const { return search != nullptr && search->has_started(); }
  /// Tokens to compute before the reply's next one can be chosen. A search counts as one: it is no prompt.
  int32_t n_pending() const {
    if (is_searching()) return 1;
    const auto n = static_cast<int32_t>(reply.history().size());
    return sequence == nullptr ? n : n - sequence->n_past();
  }
  double age_ms() const { return std::chrono::duration<double, std::milli>(Clock::now() - submitted).count(); }
  /// When it ends with what there is of it; far away if it has no deadline.
  Clock::time_point deadline() const {
    if (params.deadline_ms <= 0) return Clock::time_point::max();
    return submitted + std::chrono::milliseconds(params.deadline_ms);
  }

  const uint64_t id;
  const GenerateRequest params;
  const GenerateSink sink;
  std::atomic<bool> is_cancelled{false};

  Reply reply;
  std::vector<int32_t> original;                ///< tokens of the text that is rewritten
  std::vector<std::vector<int32_t>> new_texts;  ///< for the suffix index, until the decode thread has taken them
  std::unique_ptr<Drafter> drafter;             ///< null until the first step
  std::unique_ptr<KvSequence> sequence;         ///< null while it has no pages; of a search the prompt's
  std::unique_ptr<CandidateSearch> search;      ///< of more than one candidate; null of a reply that is said
  bool has_started = false;
  GenerateStats stats;
  const Clock::time_point submitted = Clock::now();
};

}  // namespace outpost
