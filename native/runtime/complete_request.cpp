#include "runtime/complete_request.h"

#include "core/strings.h"
#include "core/utf8.h"
#include "draft/proposal.h"

namespace outpost {
namespace {

/// Longest begin_with. It serves for the word at the cursor and the blanks before it; each of its tokens is computed
/// alone, so that a longer text belongs into the prompt.
constexpr size_t kMaxBeginBytes = 256;

[[noreturn]] void refuse(const std::string& message) { throw EngineError(ErrorCode::kInvalidArgument, message); }

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
  if (request.deadline_ms < 0) refuse(concat("deadline_ms is ", request.deadline_ms, "; expected 0 or more."));
  if (!request.grammar.empty() && !request.json_schema.empty())
    refuse("The reply has a grammar and a JSON schema; expected at most one of them.");
  if (request.tokens.size() >= static_cast<size_t>(n_ctx)) {
    throw EngineError(ErrorCode::kContextFull, concat("The prompt has ", request.tokens.size(),
                                                      " tokens; the context holds ", n_ctx, " with the reply."));
  }
}

}  // namespace outpost
