#include "runtime/complete_request.h"

#include "core/strings.h"
#include "core/utf8.h"
#include "draft/proposal.h"
#include "runtime/candidate_search.h"

namespace outpost {
namespace {

/// Longest begin_with. It serves for the word at the cursor and the blanks before it; each of its tokens is computed
/// alone, so that a longer text belongs into the prompt.
constexpr size_t kMaxBeginBytes = 256;

[[noreturn]] void refuse(const std::string& message) { throw EngineError(ErrorCode::kInvalidArgument, message); }

void check_candidates(const GenerateRequest& request) {
  const auto& [n, followed_by] = request.candidates;
  if (n < 1 || n > CandidateSearch::kMost)
    refuse(concat("candidates.n is ", n, "; expected 1 to ", CandidateSearch::kMost, "."));
  if (followed_by.size() > kMaxFollowedBy)
    refuse(concat("candidates.followed_by has ", followed_by.size(), " bytes; at most ", kMaxFollowedBy, "."));
  if (!is_utf8(followed_by)) refuse(concat("candidates.followed_by is ", in_quotes(followed_by), "; expected UTF-8."));
  if (n == 1) {
    if (!followed_by.empty()) refuse("candidates.followed_by is given for one candidate; expected at least 2.");
    return;
  }
  if (request.sampler.temperature != 0 || request.sampler.repeat_penalty != 1)
    refuse(
        "Candidates are wanted of a reply that is sampled or penalized; expected temperature 0 and repeat_penalty 1.");
  if (!request.grammar.empty() || !request.json_schema.empty())
    refuse("Candidates are wanted of a reply that has a grammar; expected at most one of the two.");
}

}  // namespace

void complete_request(const LoadedModel& model, int32_t n_ctx, GenerateRequest& request) {
  const Vocabulary& vocab = model.tokenizer().vocabulary();
  if (request.tokens.empty()) {
    if (vocab.bos < 0) refuse("The prompt is empty and the model has no BOS token to start from.");
    request.tokens.push_back(vocab.bos);
  }
  model.check_ids(request.tokens);
  if (request.n_predict < 1) refuse(concat("n_predict is ", request.n_predict, "; expected at least 1."));
  if (request.begin_with.size() > kMaxBeginBytes)
    refuse(concat("begin_with has ", request.begin_with.size(), " bytes; at most ", kMaxBeginBytes, "."));
  if (!is_utf8(request.begin_with))
    refuse(concat("begin_with is ", in_quotes(request.begin_with), "; expected UTF-8."));
  if (request.draft.n_max < 0 || request.draft.n_max > kMaxDraft)
    refuse(concat("draft.n_max is ", request.draft.n_max, "; expected 0 to ", kMaxDraft, "."));
  check_candidates(request);
  if (request.deadline_ms < 0) refuse(concat("deadline_ms is ", request.deadline_ms, "; expected 0 or more."));
  if (!request.grammar.empty() && !request.json_schema.empty())
    refuse("The reply has a grammar and a JSON schema; expected at most one of them.");
  if (request.tokens.size() >= static_cast<size_t>(n_ctx)) {
    throw EngineError(ErrorCode::kContextFull, concat("The prompt has ", request.tokens.size(),
                                                      " tokens; the context holds ", n_ctx, " with the reply."));
  }
}

}  // namespace outpost
