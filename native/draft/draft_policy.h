// How long a draft should be: as long as it raises the expected tokens per second, by what passes of each size have
// cost and by how often drafts of this kind were right. Both are learned from every pass. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "draft/proposal.h"

namespace outpost {

/// What a pass costs by the number of its rows, learned from those that were run.
class PassCost {
 public:
  /// What was known at the end of an earlier run, of passes of 1, 2, … rows; 0 for those that were not. Anything that
  /// is no time is ignored.
  void start_from(std::span<const double> ms);
  /// The same, for the next run.
  void copy_to(std::vector<double>& ms) const { ms.assign(ms_.begin() + 1, ms_.end()); }
  void observe(int32_t n_rows, double ms);
  /// Milliseconds; 0 if nothing was observed yet. Between sizes that are known it is a straight line; beyond them each
  /// row is taken to cost kGuess of the first: too little for some machines, which they show at once.
  double ms(int32_t n_rows) const;

 private:
  static constexpr double kGuess = 0.15;

  std::array<double, kMaxDraft + 2> ms_{};  // by rows; 0: not known
};

/// How often the next token of a proposal was right, by its source and by how much of the text before it had matched.
class Acceptance {
 public:
  Acceptance();

  /// @param n_right tokens of a draft that were accepted @param is_refuted whether the one after them was not
  void observe(DraftSource source, int32_t n_matched, int32_t n_right, bool is_refuted);
  /// The probability that a token is right, given that those before it were.
  double probability(DraftSource source, int32_t n_matched) const;

 private:
  static constexpr size_t kLevels = 6;  // of n_matched: 0, 1-2, 3-4, 5-8, 9-16, more
  struct Counts {
    double n_right, n_tried;
  };
  static size_t level_of(int32_t n_matched);
  Counts& counts(DraftSource source, int32_t n_matched);

  std::array<std::array<Counts, kLevels>, kDraftSources> counts_;
};

/// The length that gives the most tokens for the time, and what it gives in units of not drafting.
struct DraftLength {
  int32_t n = 0;
  double gain = 1;
};

/// @param n_others rows that are in the pass anyway, each good for one token, this sequence's first one included
/// @param draft_ms_per_token what making the draft costs
DraftLength choose_length(const Proposal& proposal, double probability, const PassCost& cost, int32_t n_others,
                          int32_t n_most, double draft_ms_per_token = 0);

}  // namespace outpost
