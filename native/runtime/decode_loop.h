// The decode thread: asks the scheduler who takes part, computes one pass over all of them, and lets every reply choose
// its next tokens. Between passes a more urgent request starts and a cancelled one ends; a pass that only cancelled
// ones are in ends between two layers, and so does one that an inline completion would have to wait for.
//
// A pass holds, of each request, tokens whose keys and values are missing: a slice of its prompt, or the last token it
// said and behind it the tokens of a draft. The logits after each of these are what computing them one by one would
// have given, to the bit. So the reply chooses after the first, and as long as it chooses what was drafted, after the
// next; what was drafted behind that is forgotten.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "kv/kv_cache.h"
#include "runtime/decode_engine.h"
#include "runtime/decode_queue.h"
#include "runtime/draft_model.h"
#include "runtime/drafter.h"
#include "runtime/loaded_model.h"
#include "runtime/mtp_draft.h"
#include "runtime/request.h"
#include "runtime/row_logits.h"
#include "runtime/scheduler.h"
#include "runtime/thermal_pace.h"

namespace outpost {

class DecodeLoop {
 public:
  /// @throws EngineError kInvalidArgument, kOutOfMemory
  DecodeLoop(std::shared_ptr<const LoadedModel> model, const EngineOptions& options, DecodeParts parts,
             DecodeQueue& queue);

  /// On the decode thread: until the queue is closed and every request is over.
  void run();

  int32_t n_ctx() const { return n_ctx_; }
  /// Tokens that are kept of the texts that drafts come from.
  size_t n_draft_tokens() const { return drafts_.library.capacity(); }
  /// For tasks of the queue only, once the loop runs.
  KvCache& cache() { return kv_; }
  void count_cache();

 private:
  using Clock = Request::Clock;
  /// Rows of a pass whose logits are kept: of 150 thousand tokens they are 60 MB.
  static constexpr int32_t kMaxLogitRows = 96;
  static constexpr int32_t kLeastSlice = 32;  // where a pass has no room for more tokens of prompts

  /// What a request does in a pass.
  struct Part {
    std::shared_ptr<Request> request;
    KvSequence* sequence = nullptr;
    std::span<const int32_t> tokens;        // of its history, whose keys and values are missing
    std::vector<int32_t> draft;             // behind them
    bool chooses = false;                   // its history is complete: it may say its next tokens
    CandidateSearch::Path* path = nullptr;  // of a search; null: the request's own sequence
    int32_t first_logit_row = 0, n_logit_rows = 0;

    int32_t n_tokens() const { return static_cast<int32_t>(tokens.size()); }
  };

  int32_t n_chunk() const;
  uint64_t kv_budget(const EngineOptions& options) const;
  double now_ms() const;

  // Requests come.
  void take_texts(Request& request);
  void end_unwanted();

  // Pages.
  static int32_t n_room(const Request& request);
  void find_pages(Request& request, int32_t n_tokens);
  bool try_pages(Request& request, int32_t n_tokens);
  void start(Request& request);
  void park(Request& request);

  // A pass.
  std::vector<Part> plan();
  void run_pass();
  void cool_down(double pass_ms);
  void draft(std::vector<Part>& parts);
  void compute(std::vector<Part>& parts, double draft_ms);
  void hand_over_hidden(const std::vector<Part>& parts, const std::vector<SequenceRun>& runs);
  static void account(Request& request, const Part& part, double ms);
  void conclude(std::span<Part> parts);
  std::optional<StopReason> say(Part& part);

  // A search (decode_loop_search.cpp).
  CandidateSearch::Cache search_cache(const Request& request);
  bool take_pages(const Request& request, const std::function<bool()>& attempt);
  bool wait_with_search(Request& request);
  void plan_search(const std::shared_ptr<Request>& request, std::vector<Part>& parts);
  void search(std::span<const Part> parts);
  std::vector<CandidateSearch::Computed> computed_ways(std::span<const Part> parts) const;
  void finish_search(const std::shared_ptr<Request>& request);
  std::string end_search(Request& request);

  // Requests go.
  void shrink(std::vector<Part> parts, const EngineError& error);
  void fail(const std::vector<Part>& parts, const EngineError& error);
  void finish(const std::shared_ptr<Request>& request, StopReason reason, const EngineError* error);
  void remember(const Request& request);

  const std::shared_ptr<const LoadedModel> model_;
  const int32_t n_ctx_;
  const DecodeParts parts_;
  const int32_t n_prefill_;
  const Clock::time_point started_ = Clock::now();
  DecodeQueue& queue_;
  KvCache kv_;
  int32_t n_counted_pages_ = 0;  // when the cache was counted last
  Scheduler scheduler_;
  ThermalPace pace_;
  std::unique_ptr<DraftModel> draft_model_;
  std::unique_ptr<MtpDrafts> mtp_;  // null: the model has no head for further tokens
  SharedDrafts drafts_;
  std::map<uint64_t, std::shared_ptr<Request>> running_;
  RowLogits logits_;           // of the rows of the last pass that choose
  std::vector<float> hidden_;  // of all its tokens, [n_tokens, n_embd], where a drafter wants them
};

}  // namespace outpost
