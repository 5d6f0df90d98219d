#include "runtime/candidate_search.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/strings.h"
#include "runtime/text_stream.h"

namespace outpost {
namespace {

SamplerParams best_of(int32_t n) {
  SamplerParams params;
  params.temperature = 1;
  params.top_k = n;
  params.top_p = 1;
  params.min_p = 0;
  return params;
}

/// The beginning of the text behind that its first tokens say: the same text for all ways, whatever stands before it.
std::string first_tokens(const Tokenizer& tokenizer, const std::string& text, int32_t n_most) {
  std::vector<int32_t> tokens = tokenizer.encode_inside(text);
  tokens.resize(std::min(tokens.size(), static_cast<size_t>(std::max(0, n_most))));
  std::string bytes;
  for (const int32_t token : tokens) bytes += tokenizer.bytes(token);
  return bytes;
}

/// Where the first of the stop strings begins, from `from` on. @return npos if there is none
size_t find_stop(const std::string& text, size_t from, std::span<const std::string> stop) {
  size_t first = std::string::npos;
  for (const std::string& end : stop) {
    if (!end.empty()) first = std::min(first, text.find(end, from));
  }
  return first;
}

}  // namespace

CandidateSearch::CandidateSearch(const LoadedModel& model, const GenerateRequest& request, int32_t n_ctx)
    : model_(model),
      n_most_(request.candidates.n),
      n_room_(n_ctx - static_cast<int32_t>(request.tokens.size())),
      n_predict_(request.n_predict),
      stop_(request.stop),
      begin_(request.begin_with.empty() ? ""
                                        : model.tokenizer().bytes_after(request.tokens.back(), request.begin_with)),
      behind_(first_tokens(model.tokenizer(), request.candidates.followed_by,
                           std::min(kMostBehind, n_room_ - request.n_predict))),
      sampler_(best_of(request.candidates.n)) {}

// ---- steps

void CandidateSearch::start(KvSequence& prompt, const LogitRow& row, const Cache& cache) {
  has_started_ = true;
  Path root;
  const Parent parent{&root, row};
  for (const auto& [i, child] : choose({&parent, 1})) child->sequence = cache.fork(prompt);
  std::erase_if(paths_, [](const auto& path) { return path->sequence == nullptr; });
  prune(cache);
}

void CandidateSearch::advance(std::span<const Computed> computed, const Cache& cache) {
  std::vector<Parent> parents;
  for (const Computed& of : computed) {
    if (of.path->is_complete_) {
      of.path->n_done_ += of.rows.size();
      for (const LogitRow& row : of.rows) score(*of.path, row);
      plan_rows(*of.path);
    } else {
      parents.push_back({of.path, of.rows.back()});
    }
  }
  // Copies first: the first child of each goes on with what its parent has.
  std::vector<Path*> heirs(parents.size());
  for (const auto& [i, child] : choose(parents)) {
    if (heirs[i] == nullptr) {
      heirs[i] = child;
    } else {
      child->sequence = cache.fork(*parents[i].path->sequence);
    }
  }
  for (size_t i = 0; i < parents.size(); ++i) {
    auto& sequence = parents[i].path->sequence;
    if (heirs[i] != nullptr) {
      heirs[i]->sequence = std::move(sequence);
    } else {
      cache.drop(std::move(sequence));
    }
  }
  std::erase_if(paths_, [](const auto& path) { return path->sequence == nullptr; });
  prune(cache);
}

/// Adds the most probable ways on from all parents, so many that they and those that were complete are n. They have no
/// sequence yet. @return each with its parent's index
std::vector<std::pair<size_t, CandidateSearch::Path*>> CandidateSearch::choose(std::span<const Parent> parents) {
  std::vector<std::pair<size_t, Path*>> chosen;
  size_t n_alive = 0;
  for (const Expansion& expansion : expand(parents)) {
    if (n_alive + replies_.size() == static_cast<size_t>(n_most_)) break;
    auto child = child_of(parents[expansion.parent], expansion);
    if (child->is_complete_) {
      std::string reply = child->bytes_.substr(0, child->n_bytes_);
      // The end of a line may be said in several ways.
      if (std::find(replies_.begin(), replies_.end(), reply) != replies_.end()) continue;
      replies_.push_back(std::move(reply));
    } else {
      ++n_alive;
    }
    chosen.emplace_back(expansion.parent, child.get());
    paths_.push_back(std::move(child));
  }
  return chosen;
}

/// The n best tokens behind each, the most probable way first.
std::vector<CandidateSearch::Expansion> CandidateSearch::expand(std::span<const Parent> parents) {
  std::vector<Expansion> expansions;
  std::string_view rest;
  for (size_t i = 0; i < parents.size(); ++i) {
    const auto& [path, row] = parents[i];
    rest = std::string_view(begin_).substr(std::min(begin_.size(), path->bytes_.size()));
    model_.prefix_index().find(rest, allowed_);
    if (allowed_.empty() && !rest.empty()) continue;
    const auto kept = sampler_.candidates(row, {}, allowed_);
    const std::vector<Candidate> best(kept.begin(), kept.end());
    const double most = sampler_.log_probability(row, best.front().id, allowed_);
    for (const Candidate& candidate : best) {
      const double own = most + candidate.logit - best.front().logit;
      expansions.push_back({i, candidate.id, path->log_prob_ + own, static_cast<float>(own)});
    }
  }
  if (expansions.empty() && !parents.empty()) {
    throw EngineError(ErrorCode::kInvalidArgument, concat("The model has no token that the text ", in_quotes(rest),
                                                          " could begin with, and the reply must begin so."));
  }
  std::stable_sort(expansions.begin(), expansions.end(),
                   [](const Expansion& a, const Expansion& b) { return a.log_prob > b.log_prob; });
  return expansions;
}

std::unique_ptr<CandidateSearch::Path> CandidateSearch::child_of(const Parent& parent, const Expansion& expansion) {
  auto path = std::make_unique<Path>();
  path->n_said_ = parent.path->n_said_;
  path->bytes_ = parent.path->bytes_;
  path->log_prob_ = expansion.log_prob;
  path->log_probs_ = parent.path->log_probs_;
  if (model_.tokenizer().vocabulary().is_end(expansion.id)) {
    complete(*path, parent, path->bytes_.size(), StopReason::kEndOfText);
    return path;
  }
  ++path->n_said_;
  path->bytes_ += model_.tokenizer().bytes(expansion.id);
  if (path->bytes_.size() > begin_.size()) path->log_probs_.push_back(expansion.own);
  const size_t stop =
      path->bytes_.size() < begin_.size() ? std::string::npos : find_stop(path->bytes_, begin_.size(), stop_);
  if (stop != std::string::npos) {
    complete(*path, parent, stop, StopReason::kStopString);
  } else if (path->n_said_ == n_predict_) {
    complete(*path, parent, path->bytes_.size(), StopReason::kLength);
  } else if (path->n_said_ > n_room_) {
    complete(*path, parent, path->bytes_.size(), StopReason::kContextFull);
  } else {
    path->tokens_ = {expansion.id};
    path->n_next_ = 1;
  }
  return path;
}

/// What is scored begins with what the last token says of the reply: it may say more than that, and the text behind
/// with it.
void CandidateSearch::complete(Path& path, const Parent& parent, size_t n_bytes, StopReason reason) {
  path.is_complete_ = true;
  path.n_bytes_ = n_bytes;
  path.reason_ = reason;
  path.reply_log_prob_ = path.log_prob_;
  if (behind_.empty()) return;
  const size_t n_before = parent.path->bytes_.size();
  std::string_view behind = behind_;
  std::string last;
  if (n_bytes >= n_before) {
    last = path.bytes_.substr(n_before, n_bytes - n_before);
  } else if (const auto said = path.bytes_.substr(n_bytes, n_before - n_bytes); behind.starts_with(said)) {
    behind.remove_prefix(said.size());  // the stop string began in a token before the last
  }
  path.marks_ = {{std::ssize(behind_) - std::ssize(behind) - std::ssize(last), parent.path->log_prob_}};
  path.tokens_ = model_.tokenizer().encode_inside(last + std::string(behind));
  // What the last token says may be more than one when it is encoded: not beyond the context's end.
  const int32_t n_computed = path.n_said_ - (path.reason_ == StopReason::kEndOfText ? 0 : 1);
  path.tokens_.resize(std::min(path.tokens_.size(), static_cast<size_t>(std::max(0, n_room_ - n_computed))));
  if (path.tokens_.empty()) return;
  score(path, parent.row);
  plan_rows(path);
}

/// The last of the tokens behind is scored by the row of the one before.
void CandidateSearch::plan_rows(Path& path) const {
  const size_t n_left = path.tokens_.size() - 1 - path.n_done_;
  path.n_next_ = std::min(n_left, static_cast<size_t>(kMostRows / n_most_));
}

/// @param row behind the token before
void CandidateSearch::score(Path& path, const LogitRow& row) {
  const int32_t token = path.tokens_[path.marks_.size() - 1];
  const auto [n_behind, log_prob] = path.marks_.back();
  path.log_prob_ = log_prob + sampler_.log_probability(row, token);
  path.marks_.push_back({n_behind + std::ssize(model_.tokenizer().bytes(token)), path.log_prob_});
}

/// Whether another way is much more probable with as much of the text behind. @pre complete
bool CandidateSearch::falls_behind(const Path& path) const {
  const int64_t n_behind = path.marks_.back().n_behind;
  if (n_behind < 0) return false;
  return std::any_of(paths_.begin(), paths_.end(), [&](const auto& other) {
    const auto as_much = [&](const Path::Mark& mark) { return mark.n_behind >= n_behind; };
    const auto mark = std::find_if(other->marks_.begin(), other->marks_.end(), as_much);
    return mark != other->marks_.end() && path.log_prob_ < mark->log_prob - kMarginBehind;
  });
}

/// Ends ways that cannot become the best any more, or are not likely to.
void CandidateSearch::prune(const Cache& cache) {
  double best = kNone, most = kNone;
  for (const auto& path : paths_) {
    if (is_scored(*path)) best = std::max(best, path->log_prob_);
    if (path->is_complete_) most_complete_ = std::max(most_complete_, path->reply_log_prob_);
    if (!path->is_complete_) most = std::max(most, path->log_prob_);
  }
  most = std::max(most, most_complete_);
  for (const auto& path : paths_) {
    if (is_scored(*path)) continue;
    const bool is_late = path->is_complete_ ? falls_behind(*path) : path->log_prob_ < most - kMargin;
    if (is_late || path->log_prob_ <= best) cache.drop(std::move(path->sequence));
  }
  std::erase_if(paths_, [](const auto& path) { return path->sequence == nullptr; });
}

void CandidateSearch::give_up(const Path& path, const Cache& cache) {
  const auto found = std::find_if(paths_.begin(), paths_.end(), [&](const auto& own) { return own.get() == &path; });
  cache.drop(std::move((*found)->sequence));
  paths_.erase(found);
  most_complete_ = kNone;  // it may have been this one
}

void CandidateSearch::reset(const Cache& cache) {
  for (const auto& path : paths_) {
    if (path->sequence != nullptr) cache.drop(std::move(path->sequence));  // null: an error came before it had one
  }
  paths_.clear();
  replies_.clear();
  has_started_ = false;
  most_complete_ = kNone;
}

// ---- results

std::vector<CandidateSearch::Path*> CandidateSearch::paths() {
  std::vector<Path*> all;
  for (const auto& path : paths_) all.push_back(path.get());
  return all;
}

bool CandidateSearch::is_over() const {
  if (paths_.size() == 1 && paths_.front()->is_complete_) return true;
  return has_started_ && std::all_of(paths_.begin(), paths_.end(), [](const auto& path) { return is_scored(*path); });
}

const CandidateSearch::Path* CandidateSearch::best() const {
  const auto rank = [](const auto& path) { return std::tuple(is_scored(*path), path->is_complete_, path->log_prob_); };
  const auto found =
      std::max_element(paths_.begin(), paths_.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return found == paths_.end() ? nullptr : found->get();
}

CandidateSearch::Result CandidateSearch::take_best() {
  Result result;
  const auto found = std::find_if(paths_.begin(), paths_.end(), [&](const auto& own) { return own.get() == best(); });
  if (found == paths_.end()) return result;
  Path& path = **found;
  const size_t n_bytes = path.is_complete_ ? path.n_bytes_ : path.bytes_.size();
  TextStream text({});
  if (n_bytes > begin_.size())
    result.text = text.push(std::string_view(path.bytes_).substr(begin_.size(), n_bytes - begin_.size()));
  result.text += text.finish();
  result.n_decoded = path.n_said_;
  result.log_probs = std::move(path.log_probs_);
  result.sequence = std::move(path.sequence);
  paths_.erase(found);
  return result;
}

}  // namespace outpost
