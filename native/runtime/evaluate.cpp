// evaluate_logits: a prompt's logits outside of any request, for tests and self-checks.
#include <algorithm>

#include "core/strings.h"
#include "runtime/loaded_model.h"

namespace outpost {

std::vector<float> evaluate_logits(const Model& model, std::span<const int32_t> tokens, int32_t n_last,
                                   int32_t n_chunk) {
  const auto& loaded = static_cast<const LoadedModel&>(model);
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  if (n_tokens == 0) throw EngineError(ErrorCode::kInvalidArgument, "There are no tokens to evaluate.");
  if (n_last < 1 || n_last > n_tokens) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("n_last is ", n_last, "; expected 1 to the number of tokens, ", n_tokens, "."));
  }
  if (n_chunk < 1)
    throw EngineError(ErrorCode::kInvalidArgument, concat("n_chunk is ", n_chunk, "; expected at least 1."));
  if (n_tokens > loaded.info().n_ctx_train) {
    throw EngineError(ErrorCode::kContextFull,
                      concat(n_tokens, " tokens do not fit into the context of ", loaded.info().n_ctx_train, "."));
  }
  loaded.check_ids(tokens);

  const std::lock_guard lock(loaded.device_mutex());
  const int32_t n_page = (n_tokens + kKvPageSize - 1) / kKvPageSize;
  const auto kv = loaded.backend().alloc_kv(loaded.network().kv_shape(), n_page);
  std::vector<int32_t> page_table(static_cast<size_t>(n_page));
  for (int32_t page = 0; page < n_page; ++page) page_table[static_cast<size_t>(page)] = page;

  const auto n_vocab = static_cast<size_t>(loaded.info().n_vocab);
  std::vector<float> logits(static_cast<size_t>(n_last) * n_vocab);
  size_t n_written = 0;
  for (int32_t n_past = 0; n_past < n_tokens; n_past += n_chunk) {
    const int32_t n = std::min(n_chunk, n_tokens - n_past);
    std::vector<int32_t> rows;
    for (int32_t i = std::max(0, n_tokens - n_last - n_past); i < n; ++i) rows.push_back(i);
    const SequenceRun run{page_table, n_past, n};
    const Batch batch{tokens.subspan(static_cast<size_t>(n_past), static_cast<size_t>(n)),
                      {&run, 1},
                      rows,
                      loaded.info().n_ctx_train};
    loaded.network().forward(batch, *kv, std::span(logits).subspan(n_written, rows.size() * n_vocab));
    n_written += rows.size() * n_vocab;
  }
  return logits;
}

}  // namespace outpost
