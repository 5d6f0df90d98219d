// A search for a reply among the passes: each of its ways is a sequence of its own, that takes part in a pass like a
// request.
#include "core/strings.h"
#include "runtime/decode_loop.h"

namespace outpost {

CandidateSearch::Cache DecodeLoop::search_cache(const Request& request) {
  CandidateSearch::Cache cache;
  cache.fork = [this, &request](KvSequence& sequence) {
    std::unique_ptr<KvSequence> copy;
    take_pages(request, [&] { return (copy = kv_.fork(sequence)) != nullptr; });
    return copy;
  };
  cache.drop = [this](std::unique_ptr<KvSequence> sequence) { kv_.drop(std::move(sequence)); };
  return cache;
}

/// Tries until it succeeds, if need be with the pages of less urgent requests. @return whether it did
bool DecodeLoop::take_pages(const Request& request, const std::function<bool()>& attempt) {
  while (!attempt()) {
    const auto victim = scheduler_.victim_for(request.id);
    if (!victim.has_value()) return false;
    park(*running_.at(*victim));
  }
  return true;
}

/// There were no pages for all ways of a search. While others hold some it waits, and begins again, so that what it
/// finds does not depend on them; alone it has to do with fewer ways. @return whether it waits
bool DecodeLoop::wait_with_search(Request& request) {
  if (!scheduler_.others_hold_pages(request.id)) return false;
  park(request);
  scheduler_.wait_for_pages(request.id);
  return true;
}

/// A part for each way that a reply may go, if there is room for the rows of all.
void DecodeLoop::plan_search(const std::shared_ptr<Request>& request, std::vector<Part>& parts) {
  size_t n_rows = 0;
  for (const Part& part : parts) n_rows += static_cast<size_t>(part.n_logit_rows);
  for (const CandidateSearch::Path* path : request->search->paths()) n_rows += path->pending().size();
  if (!parts.empty() && n_rows > static_cast<size_t>(kMaxLogitRows)) return;
  for (CandidateSearch::Path* path : request->search->paths()) {
    if (path->pending().empty()) continue;
    const int32_t n_positions = path->sequence->n_past() + static_cast<int32_t>(path->pending().size());
    const auto extend = [&] { return kv_.extend(*path->sequence, n_positions); };
    if (!take_pages(*request, extend)) {
      if (wait_with_search(*request)) return;
      // The prompt's last page is that of nobody else: all ways have copies.
      kv_.truncate(*request->sequence, request->sequence->n_shared * kKvPageSize);
      if (!extend()) {
        request->search->give_up(*path, search_cache(*request));
        continue;
      }
    }
    Part part;
    part.request = request;
    part.sequence = path->sequence.get();
    part.tokens = path->pending();
    part.chooses = true;
    part.path = path;
    part.n_logit_rows = part.n_tokens();
    parts.push_back(std::move(part));
  }
  if (request->search->is_over()) finish_search(request);  // what was left of it had no room
}

/// The next step of a search: what was computed of its ways says which ones go on.
void DecodeLoop::search(std::span<const Part> parts) {
  Request& request = *parts.front().request;
  CandidateSearch& search = *request.search;
  bool has_all = true;
  CandidateSearch::Cache cache = search_cache(request);
  cache.fork = [&has_all, fork = std::move(cache.fork)](KvSequence& sequence) {
    auto copy = fork(sequence);
    has_all = has_all && copy != nullptr;
    return copy;
  };
  if (!search.has_started()) {
    search.start(*parts.front().sequence, logits_.row(static_cast<size_t>(parts.front().first_logit_row)), cache);
  } else {
    search.advance(computed_ways(parts), cache);
  }
  if (!has_all) wait_with_search(request);
}

/// What a pass computed of each way.
std::vector<CandidateSearch::Computed> DecodeLoop::computed_ways(std::span<const Part> parts) const {
  std::vector<CandidateSearch::Computed> computed;
  for (const Part& part : parts) {
    auto& rows = computed.emplace_back(CandidateSearch::Computed{part.path, {}}).rows;
    for (int32_t i = 0; i < part.n_logit_rows; ++i)
      rows.push_back(logits_.row(static_cast<size_t>(part.first_logit_row + i)));
  }
  return computed;
}

/// @pre nothing of the search is pending
void DecodeLoop::finish_search(const std::shared_ptr<Request>& request) {
  if (!request->search->paths().empty()) return finish(request, request->search->best_reason(), nullptr);
  const EngineError error(ErrorCode::kOutOfMemory, "There are no pages for the keys and values of candidates.");
  finish(request, StopReason::kError, &error);
}

/// What a search found is said. It stays in the cache: who accepts it goes on behind it.
std::string DecodeLoop::end_search(Request& request) {
  CandidateSearch::Result best = request.search->take_best();
  if (best.sequence != nullptr) kv_.retire(std::move(best.sequence));
  request.search->reset(search_cache(request));
  request.stats.n_decoded = best.n_decoded;
  if (request.params.log_probs) request.stats.log_probs = std::move(best.log_probs);
  if (!best.text.empty()) request.stats.ttft_ms = request.age_ms();
  queue_.change_stats([&](EngineStats& stats) { stats.n_decoded += static_cast<uint64_t>(best.n_decoded); });
  return best.text;
}

}  // namespace outpost
