#include "runtime/computed_source.h"

#include <algorithm>
#include <optional>

#include "runtime/grammar_filter.h"

namespace outpost {

void ComputedSource::observe_price(double ms, size_t n) {
  if (n == 0) return;
  const double ms_each = ms / static_cast<double>(n);
  ms_per_token_ = ms_per_token_ == 0 ? ms_each : 0.8 * ms_per_token_ + 0.2 * std::min(ms_each, 2 * ms_per_token_);
}

std::vector<int32_t> draw_ahead(const Reply& reply, Sampler& sampler, const Tokenizer& tokenizer,
                                const RowLogits& logits, int32_t n, const std::function<bool(int32_t)>& go_on) {
  std::vector<int32_t> history(reply.history().begin(), reply.history().end()), drafted;
  sampler.follow(reply.sampler());
  GrammarProgram* grammar = reply.grammar();
  GrammarProgram::State state = reply.grammar_state();
  for (;;) {
    std::optional<GrammarFilter> filter;
    if (grammar != nullptr) filter.emplace(*grammar, state);
    int32_t id = 0;
    try {
      id = sampler.sample(logits.row(0), history, {}, filter ? &*filter : nullptr);
    } catch (const EngineError& error) {
      // A guess has led to where the vocabulary cannot spell what the grammar wants. The reply need not go there.
      if (error.code() != ErrorCode::kInvalidArgument) throw;
      break;
    }
    if (tokenizer.vocabulary().is_end(id)) break;
    drafted.push_back(id);
    history.push_back(id);
    if (grammar != nullptr) state = grammar->next(state, tokenizer.bytes(id));
    if (static_cast<int32_t>(drafted.size()) == n || !go_on(id)) break;
  }
  return drafted;
}

}  // namespace outpost
