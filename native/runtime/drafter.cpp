#include "runtime/drafter.h"

#include <algorithm>

#include "core/log.h"

namespace outpost {
namespace {

/// Positions of one request that its own index remembers.
constexpr int32_t kMostOwn = 1 << 15;
/// A computed source that does not pay is asked again, because texts change: for two tokens, after so many passes, or
/// more where that would cost more than this part of the time. What it has to read to be asked is not in it: for a
/// model of a tenth of the size that is another percent or two.
constexpr int32_t kProbeEvery = 48, kProbeLength = 2;
constexpr double kProbeShare = 0.01;

}  // namespace

Drafter::Drafter(SharedDrafts& shared, const DraftOptions& options, std::vector<int32_t> original,
                 std::span<const int32_t> prompt, std::vector<std::unique_ptr<ComputedSource>> computed)
    : shared_(shared),
      n_max_(options.is_enabled ? std::min(options.n_max, kMaxDraft) : 0),
      cursor_(std::move(original)),
      own_(options.is_enabled ? std::min(kMostOwn, static_cast<int32_t>(prompt.size()) + 2048) : 0),
      computed_(std::move(computed)),
      acceptance_(shared.acceptance) {
  if (n_max_ == 0) return;
  for (const int32_t token : prompt.last(std::min(prompt.size(), static_cast<size_t>(kMostOwn)))) own_.append(token);
}

double Drafter::probability(const Proposal& proposal) const {
  return acceptance_.probability(proposal.source, proposal.n_matched);
}

void Drafter::observe(const Proposal& proposal, int32_t n_right, bool is_refuted) {
  acceptance_.observe(proposal.source, proposal.n_matched, n_right, is_refuted);
  shared_.acceptance.observe(proposal.source, proposal.n_matched, n_right, is_refuted);
}

void Drafter::propose_forced(const Reply& reply, Proposal& out) {
  out = {DraftSource::kGrammar, 0, {}, {}};
  if (reply.grammar() == nullptr) return;
  const std::string bytes = reply.grammar()->forced(reply.grammar_state(), static_cast<size_t>(4 * n_max_));
  if (bytes.empty()) return;
  out.tokens = reply.encode_inside(bytes);
  // The text may go on into the last token: that one is a guess like no other.
  if (out.tokens.size() > 1) out.tokens.pop_back();
  out.tokens.resize(std::min(out.tokens.size(), static_cast<size_t>(n_max_)));
  out.shares.assign(out.tokens.size(), 1.0f);
}

void Drafter::propose(const Reply& reply) {
  const auto tail = reply.history().last(std::min<size_t>(reply.history().size(), 64));
  propose_forced(reply, proposals_[0]);
  cursor_.propose(n_max_, proposals_[1]);
  own_.propose(tail, n_max_, proposals_[2]);
  shared_.library.propose(tail, n_max_, proposals_[3]);
}

std::span<const int32_t> Drafter::use(Proposal& proposal, int32_t n) {
  used_ = proposal;
  used_.tokens.resize(static_cast<size_t>(n));
  is_drafted_ = true;
  return used_.tokens;
}

std::span<const int32_t> Drafter::draft(const Reply& reply, int32_t n_others, int32_t n_most) {
  is_drafted_ = false;
  used_.tokens.clear();
  i_used_ = kGuesses;
  n_most = std::min({n_most, n_max_, reply.n_left() - 1});
  if (n_max_ == 0) return {};
  propose(reply);
  if (n_most <= 0) return {};
  DraftLength best;
  for (size_t i = 0; i < kGuesses; ++i) {
    const DraftLength length = choose_length(proposals_[i], probability(proposals_[i]), shared_.cost, n_others, n_most);
    if (length.gain > best.gain) {
      best = length;
      i_used_ = i;
    }
  }
  if (best.n > 0) return use(proposals_[i_used_], best.n);
  return shared_.cost.ms(n_others) == 0 ? std::span<const int32_t>{} : draft_computed(reply, n_others, n_most);
}

/// These drafts cost time before anybody knows them: their length is chosen by what they were worth so far.
std::span<const int32_t> Drafter::draft_computed(const Reply& reply, int32_t n_others, int32_t n_most) {
  Proposal guess{DraftSource::kModel, 0, std::vector<int32_t>(static_cast<size_t>(n_most)), {}};
  guess.shares.assign(guess.tokens.size(), 1.0f);
  DraftLength best;
  ComputedSource* asked = nullptr;
  for (const auto& source : computed_) {
    guess.source = source->source();
    const DraftLength length =
        choose_length(guess, probability(guess), shared_.cost, n_others, n_most, source->ms_per_token());
    if (length.gain <= best.gain) continue;
    best = length;
    asked = source.get();
  }
  for (size_t i = 0; i < computed_.size() && asked == nullptr; ++i) {
    ComputedSource& source = *computed_[i];
    int32_t& n_until_probe = shared_.n_until_probe[static_cast<size_t>(source.source())];
    if (n_until_probe-- > 0) continue;
    asked = &source;
    best.n = std::min(kProbeLength, n_most);
    const double plain_ms = shared_.cost.ms(n_others);
    const double probe_ms = shared_.cost.ms(n_others + best.n) - plain_ms + best.n * source.ms_per_token();
    n_until_probe = std::max(kProbeEvery, static_cast<int32_t>(probe_ms / (kProbeShare * plain_ms)));
  }
  if (asked == nullptr) return {};
  guess.source = asked->source();
  try {
    guess.tokens = asked->draft(reply, best.n);
  } catch (const EngineError& error) {
    // The reply can do without its help.
    if (error.code() != ErrorCode::kOutOfMemory) throw;
    log_warning("Drafts end: ", error.what());
    std::erase_if(computed_, [&](const auto& source) { return source.get() == asked; });
    return {};
  }
  return guess.tokens.empty() ? std::span<const int32_t>{} : use(guess, static_cast<int32_t>(guess.tokens.size()));
}

bool Drafter::wants_hidden() const {
  return n_max_ > 0 &&
         std::any_of(computed_.begin(), computed_.end(), [](auto& source) { return source->wants_hidden(); });
}

void Drafter::follow(int32_t first, std::span<const float> hidden) {
  for (const auto& source : computed_) source->follow(first, hidden);
}

void Drafter::learn(const Reply& reply, int32_t n_said) {
  if (n_max_ == 0) return;
  const auto said = reply.history().last(static_cast<size_t>(n_said));
  const auto count_right = [&](std::span<const int32_t> tokens) {
    return static_cast<int32_t>(std::mismatch(tokens.begin(), tokens.end(), said.begin(), said.end()).first -
                                tokens.begin());
  };
  if (is_drafted_) {
    const int32_t n_right = count_right(used_.tokens);
    // Here, and not when it was drafted: a pass that is given up checks nothing.
    stats_[static_cast<size_t>(used_.source)].n_drafted += static_cast<int64_t>(used_.tokens.size());
    stats_[static_cast<size_t>(used_.source)].n_accepted += n_right;
    // A reply that ended inside the draft has not refuted it.
    observe(used_, n_right, n_right < static_cast<int32_t>(used_.tokens.size()) && n_right < n_said);
  }
  for (size_t i = 0; i < kGuesses; ++i) {
    if (n_said == 0 || proposals_[i].tokens.empty() || (is_drafted_ && i == i_used_)) continue;
    const int32_t n_right = std::min(1, count_right(std::span(proposals_[i].tokens).first(1)));
    observe(proposals_[i], n_right, n_right == 0);
  }
  for (const int32_t token : said) {
    own_.append(token);
    cursor_.advance(token);
  }
  is_drafted_ = false;
  for (Proposal& proposal : proposals_) proposal.tokens.clear();
}

}  // namespace outpost
