#include "draft/draft_policy.h"

#include <algorithm>
#include <cmath>

namespace outpost {
namespace {

/// A pass may have been disturbed by another program: one observation moves what is known by this much at most.
constexpr double kWeight = 0.25, kLargestJump = 2;
/// A size that looks a fifth too dear is tried again after about a hundred passes without a draft.
constexpr double kForget = 0.998;
/// Observations fade, so that the last hundred count.
constexpr double kFade = 0.99;
/// Gains below this are within what the estimates are wrong by.
constexpr double kLeastGain = 1.05;

/// Where nothing was observed: a start of a few observations, from recorded edits and completions.
constexpr double kFirstProbability[kDraftSources][6] = {
    {0.95, 0.95, 0.95, 0.95, 0.95, 0.95},  // grammar
    {0.40, 0.65, 0.80, 0.90, 0.95, 0.97},  // edit
    {0.10, 0.25, 0.45, 0.65, 0.80, 0.90},  // suffix
    {0.60, 0.60, 0.60, 0.60, 0.60, 0.60},  // model
    {0.70, 0.70, 0.70, 0.70, 0.70, 0.70},  // mtp
};
/// The last two have to be paid to be found wrong: of them less is believed.
constexpr double kFirstTries[kDraftSources] = {8, 8, 8, 3, 3};

}  // namespace

void PassCost::start_from(std::span<const double> ms) {
  for (size_t i = 0; i < std::min(ms.size(), ms_.size() - 1); ++i) {
    if (std::isfinite(ms[i]) && ms[i] > 0) ms_[i + 1] = ms[i];
  }
}

void PassCost::observe(int32_t n_rows, double ms) {
  if (n_rows < 1 || n_rows >= static_cast<int32_t>(ms_.size())) return;
  double& known = ms_[static_cast<size_t>(n_rows)];
  if (known == 0) {
    known = ms;
  } else {
    known += kWeight * (std::clamp(ms, known / kLargestJump, known * kLargestJump) - known);
  }
  if (n_rows != 1) return;
  // What was disturbed when it was seen first would never be tried again: without drafts all other sizes slowly become
  // what they are guessed to be.
  for (size_t n = 2; n < ms_.size(); ++n) {
    const double guess = known * (1 + kGuess * static_cast<double>(n - 1));
    if (ms_[n] > guess) ms_[n] = std::max(guess, ms_[n] * kForget);
  }
}

double PassCost::ms(int32_t n_rows) const {
  const auto n = static_cast<int32_t>(ms_.size());
  int32_t below = std::min(n_rows, n - 1), above = n_rows;
  while (below > 0 && ms_[static_cast<size_t>(below)] == 0) --below;
  while (above < n && ms_[static_cast<size_t>(above)] == 0) ++above;
  if (above >= n && below == 0) return 0;
  if (below == 0) return ms_[static_cast<size_t>(above)];
  const double ms_below = ms_[static_cast<size_t>(below)];
  if (above >= n) return ms_below * (1 + kGuess * (n_rows - 1)) / (1 + kGuess * (below - 1));
  if (above == below) return ms_below;
  return ms_below + (ms_[static_cast<size_t>(above)] - ms_below) * (n_rows - below) / (above - below);
}

Acceptance::Acceptance() {
  for (size_t source = 0; source < kDraftSources; ++source) {
    for (size_t level = 0; level < kLevels; ++level)
      counts_[source][level] = {kFirstTries[source] * kFirstProbability[source][level], kFirstTries[source]};
  }
}

size_t Acceptance::level_of(int32_t n_matched) {
  if (n_matched <= 0) return 0;
  size_t level = 1;
  for (int32_t most = 2; n_matched > most && level + 1 < kLevels; most *= 2) ++level;
  return level;
}

Acceptance::Counts& Acceptance::counts(DraftSource source, int32_t n_matched) {
  return counts_[static_cast<size_t>(source)][level_of(n_matched)];
}

void Acceptance::observe(DraftSource source, int32_t n_matched, int32_t n_right, bool is_refuted) {
  Counts& counts = this->counts(source, n_matched);
  const int32_t n_tried = n_right + (is_refuted ? 1 : 0);
  for (int32_t i = 0; i < n_tried; ++i) {
    counts.n_right = counts.n_right * kFade + (i < n_right ? 1 : 0);
    counts.n_tried = counts.n_tried * kFade + 1;
  }
}

double Acceptance::probability(DraftSource source, int32_t n_matched) const {
  const Counts& counts = counts_[static_cast<size_t>(source)][level_of(n_matched)];
  return counts.n_right / counts.n_tried;
}

DraftLength choose_length(const Proposal& proposal, double probability, const PassCost& cost, int32_t n_others,
                          int32_t n_most, double draft_ms_per_token) {
  const double plain_ms = cost.ms(n_others);
  DraftLength best;
  if (plain_ms == 0) return best;  // the first pass shows what one row costs
  const double plain_rate = n_others / plain_ms;
  double expected = n_others, reached = 1;
  const int32_t n = std::min(n_most, static_cast<int32_t>(proposal.tokens.size()));
  for (int32_t i = 0; i < n; ++i) {
    reached *= probability * proposal.shares[static_cast<size_t>(i)];
    expected += reached;
    const double gain = expected / (cost.ms(n_others + i + 1) + (i + 1) * draft_ms_per_token) / plain_rate;
    if (gain > kLeastGain && gain > best.gain) best = {i + 1, gain};
  }
  return best;
}

}  // namespace outpost
