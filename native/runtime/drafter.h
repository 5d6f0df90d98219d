// The draft sources of one request, and which of them drafts the next pass. At most one does: the one whose draft is
// expected to give the most tokens for the time. Sources that were not asked are still compared with what the model
// says, so that their estimates stay true at no cost. Belongs to the decode thread.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "draft/draft_policy.h"
#include "draft/edit_cursor.h"
#include "draft/suffix_index.h"
#include "runtime/computed_source.h"
#include "runtime/reply.h"

namespace outpost {

/// What the requests of one engine learn from each other.
struct SharedDrafts {
  /// Texts given with requests, and earlier replies.
  SuffixIndex library{1 << 18};
  Acceptance acceptance;
  PassCost cost;
  /// Passes before a computed source that does not pay is asked again.
  std::array<int32_t, kDraftSources> n_until_probe{};
};

class Drafter {
 public:
  /// @param original tokens of DraftOptions::original
  /// @param computed sources that draft for this request too; often none
  Drafter(SharedDrafts& shared, const DraftOptions& options, std::vector<int32_t> original,
          std::span<const int32_t> prompt, std::vector<std::unique_ptr<ComputedSource>> computed);

  /// The tokens to check in the next pass, behind the last one of the reply; often none.
  /// @param n_others rows of the pass without them @param n_most tokens, at most
  std::span<const int32_t> draft(const Reply& reply, int32_t n_others, int32_t n_most);
  /// What the model said behind the history that `draft` saw. @param n_said tokens at the end of the reply
  void learn(const Reply& reply, int32_t n_said);

  /// Whether a source wants to hear what the model computes, and it: ComputedSource::follow.
  bool wants_hidden() const;
  void follow(int32_t first, std::span<const float> hidden);

  const DraftStats& stats() const { return stats_; }

 private:
  static constexpr size_t kGuesses = 4;  // grammar, edit, this request, library
  double probability(const Proposal& proposal) const;
  void observe(const Proposal& proposal, int32_t n_right, bool is_refuted);
  void propose(const Reply& reply);
  void propose_forced(const Reply& reply, Proposal& out);
  std::span<const int32_t> draft_computed(const Reply& reply, int32_t n_others, int32_t n_most);
  std::span<const int32_t> use(Proposal& proposal, int32_t n);

  SharedDrafts& shared_;
  const int32_t n_max_;
  EditCursor cursor_;
  SuffixIndex own_;
  std::vector<std::unique_ptr<ComputedSource>> computed_;
  Acceptance acceptance_;
  std::array<Proposal, kGuesses> proposals_;
  Proposal used_;  // that of the last pass, cut to what was checked
  bool is_drafted_ = false;
  size_t i_used_ = kGuesses;  // which of proposals_ it was; kGuesses for a computed one
  DraftStats stats_;
};

}  // namespace outpost
