// Several ways that a reply may go, of which the one is said that also makes the text behind it likely.
//
// A model that only reads forward knows P(reply | prompt) and P(behind | prompt, reply). Their product is, but for a
// factor that all replies share, P(reply | prompt, behind): by Bayes' rule the best reply is the one for which it is
// largest (the noisy channel of machine translation, arXiv:1908.05731). A beam search finds replies worth the question:
// in each step the n most probable ways go on, and one that a stop string ends keeps its place among the n. It is
// followed by the text behind at once, beside the steps of the others. As the product can only become smaller, a way
// that is less probable than a product which is known already ends. So do ways that are not likely to become the best:
// those far behind the most probable one while they are said, and those far behind another with as much of the text
// behind. What is left at last is said, without the rest of that text (forge/evaluation/README.md has what it saves).
//
// Policy and bookkeeping; DecodeLoop owns the cache and computes. Belongs to the decode thread.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kv/kv_cache.h"
#include "runtime/loaded_model.h"
#include "sampling/sampler.h"

namespace outpost {

class CandidateSearch {
 public:
  static constexpr int32_t kMost = 8;
  /// Tokens of the text behind that count: two lines of code, mostly.
  static constexpr int32_t kMostBehind = 24;
  /// Nats by which a way that is being said may be less probable than the best.
  static constexpr double kMargin = 3;
  /// Nats by which one may be less probable than another when both are followed by as much of the text behind.
  static constexpr double kMarginBehind = 2;
  /// Rows of all ways in a pass.
  static constexpr int32_t kMostRows = 64;

  /// @pre request.candidates.n > 1, and the request is what complete_request.h says
  /// @param n_ctx positions; near their end less of the text behind counts
  CandidateSearch(const LoadedModel& model, const GenerateRequest& request, int32_t n_ctx);

  class Path {
   public:
    /// Tokens to compute in the next pass. Alive: the last one said, behind which the next is chosen. Complete: those
    /// of the text behind whose successors are still to be scored; none when all are.
    std::span<const int32_t> pending() const { return std::span(tokens_).subspan(n_done_, n_next_); }
    bool is_complete() const { return is_complete_; }

    /// Tokens that are computed, the prompt's too; of the cache that `Cache` stands for.
    std::unique_ptr<KvSequence> sequence;

   private:
    friend class CandidateSearch;
    int32_t n_said_ = 0;
    std::string bytes_;  // of what is said, with those of begin_with
    double log_prob_ = 0;
    std::vector<float> log_probs_;
    std::vector<int32_t> tokens_;  // the last one said, or, complete, those behind
    size_t n_done_ = 0;            // of these, computed
    size_t n_next_ = 0;            // and to be computed next
    bool is_complete_ = false;
    /// log_prob_ with so many bytes of the text behind: fewer than none where the reply itself is not at its end.
    struct Mark {
      int64_t n_behind;
      double log_prob;
    };
    std::vector<Mark> marks_;    // before and behind each token that is scored
    double reply_log_prob_ = 0;  // complete: without the text behind
    size_t n_bytes_ = 0;         // complete: of bytes_, what the stop string leaves
    StopReason reason_ = StopReason::kLength;
  };

  struct Cache {
    /// null: there is no room, and the path is given up
    std::function<std::unique_ptr<KvSequence>(KvSequence&)> fork;
    std::function<void(std::unique_ptr<KvSequence>)> drop;
  };
  /// What a pass computed of a path: a row for each token of pending().
  struct Computed {
    Path* path;
    std::vector<LogitRow> rows;  // all logits
  };

  bool has_started() const { return has_started_; }
  /// All ways begin. @param prompt computed; stays the caller's @param row behind its last token
  /// @throws EngineError kInternal for logits that are not finite, kInvalidArgument if no token can be said
  void start(KvSequence& prompt, const LogitRow& row, const Cache& cache);
  /// The next step of all. @param computed for each of paths() with something pending, in any order
  /// @throws as start
  void advance(std::span<const Computed> computed, const Cache& cache);
  /// Forgets a way for which there are no pages.
  void give_up(const Path& path, const Cache& cache);
  /// Forgets all ways, to start again.
  void reset(const Cache& cache);

  std::vector<Path*> paths();
  /// Nothing is pending, or nothing that matters: one way is left, and it is complete.
  bool is_over() const;
  /// The best of those that are complete and scored; if there are none, of what there is.
  /// @pre there are paths
  StopReason best_reason() const { return best()->reason_; }
  /// What is to be said, taken out of the search: the text without begin_with. Nothing if there are no paths.
  struct Result {
    std::string text;
    int32_t n_decoded = 0;
    std::vector<float> log_probs;
    std::unique_ptr<KvSequence> sequence;
  };
  Result take_best();

 private:
  static constexpr double kNone = -std::numeric_limits<double>::infinity();
  struct Expansion {
    size_t parent;
    int32_t id;
    double log_prob;  // of the path with it
    float own;        // of the token
  };

  /// A path that goes on, and the row behind it.
  struct Parent {
    Path* path;
    LogitRow row;
  };

  static bool is_scored(const Path& path) { return path.is_complete_ && path.n_next_ == 0; }
  std::vector<Expansion> expand(std::span<const Parent> parents);
  std::vector<std::pair<size_t, Path*>> choose(std::span<const Parent> parents);
  std::unique_ptr<Path> child_of(const Parent& parent, const Expansion& expansion);
  void complete(Path& path, const Parent& parent, size_t n_bytes, StopReason reason);
  void plan_rows(Path& path) const;
  void score(Path& path, const LogitRow& row);
  bool falls_behind(const Path& path) const;
  void prune(const Cache& cache);
  const Path* best() const;

  const LoadedModel& model_;
  const int32_t n_most_;
  const int32_t n_room_;  // positions behind the prompt
  const int32_t n_predict_;
  const std::vector<std::string> stop_;
  const std::string begin_, behind_;
  Sampler sampler_;  // of which the n best are asked
  bool has_started_ = false;
  std::vector<std::string> replies_;  // that were complete, with begin_with
  double most_complete_ = kNone;      // of them, the log-probability without the text behind
  std::vector<std::unique_ptr<Path>> paths_;
  std::vector<int32_t> allowed_;  // the same memory for every token
};

}  // namespace outpost
