// Recorded edits replayed: the engine runs as ever, passes, drafts and their checks included, but what the model says
// is what was recorded. So an edit that a model of this size could not make by itself shows what its speed would be.
#include <cstdio>
#include <future>
#include <sstream>

#include "cli/command.h"
#include "core/strings.h"
#include "grammar/json_value.h"
#include "runtime/decode_engine.h"
#include "runtime/loaded_model.h"

namespace outpost::cli {
namespace {

struct Edit {
  std::string before;
  std::vector<int32_t> prompt, after;
};

Edit read_edit(const LoadedModel& model, std::string_view line) {
  const JsonValue json = parse_json(line);
  const auto text = [&](const char* name) {
    const JsonValue* value = json.find(name);
    if (value == nullptr || !value->is(JsonValue::Kind::kString))
      throw UsageError(concat("each line needs the strings \"before\" and \"after\"; there is no ", in_quotes(name)));
    return value->text;
  };
  Edit edit{text("before"), {}, model.tokenizer().encode_inside(text("after"))};
  edit.prompt = model.tokenize(concat("Rewrite this file.\n\n", edit.before, "\n\nThe new file:\n\n"), {});
  return edit;
}

/// An engine whose model says the recorded text.
class Replayer {
 public:
  Replayer(std::shared_ptr<LoadedModel> model, std::shared_ptr<Model> draft_model, int32_t n_draft)
      : n_draft_(n_draft), n_ctx_(model->info().n_ctx_train) {
    EngineOptions options;
    options.draft_model = std::move(draft_model);
    DecodeParts parts;
    parts.steer = [this](std::span<const int32_t> history, std::span<float> logits) {
      const size_t at = history.size() - edit_->prompt.size();
      if (at < edit_->after.size()) logits[static_cast<size_t>(edit_->after[at])] = 1e30f;
    };
    engine_ = create_engine(std::move(model), options, std::move(parts));
  }

  bool fits(const Edit& edit) const { return edit.prompt.size() + edit.after.size() < static_cast<size_t>(n_ctx_); }

  /// @param n_most tokens of the edit, from its start
  GenerateStats replay(const Edit& edit, bool is_drafted, size_t n_most) {
    edit_ = &edit;  // nothing runs: the engine looks at it no more
    GenerateRequest request;
    request.tokens = edit.prompt;
    request.n_predict = static_cast<int32_t>(std::min(n_most, edit.after.size()));
    request.sampler.temperature = 0;
    request.draft.is_enabled = is_drafted;
    request.draft.n_max = n_draft_;
    request.draft.original = edit.before;
    std::promise<GenerateStats> done;
    GenerateSink sink;
    sink.on_done = [&](StopReason, const GenerateStats& stats, const EngineError* error) {
      if (error != nullptr) {
        done.set_exception(std::make_exception_ptr(*error));
      } else {
        done.set_value(stats);
      }
    };
    engine_->submit(std::move(request), std::move(sink));
    return done.get_future().get();
  }

 private:
  const int32_t n_draft_, n_ctx_;
  const Edit* edit_ = nullptr;
  std::unique_ptr<Engine> engine_;
};

double ms_per_token(const GenerateStats& stats) { return stats.decode_ms / std::max(1, stats.n_decoded - 1); }

}  // namespace

int run_replay(const std::vector<std::string>& words) {
  const Arguments arguments(words, with_load_options({"--limit", "--draft", "--draft-model", "--plain"}), {});
  const LoadOptions options = load_options(arguments);
  auto model = std::dynamic_pointer_cast<LoadedModel>(Model::load(arguments.positional(0, "MODEL"), options));
  const std::string draft_path = arguments.get("--draft-model", "");
  const auto n_draft = static_cast<int32_t>(arguments.get_int("--draft", DraftOptions{}.n_max, 1, 63));
  const auto n_plain = static_cast<size_t>(arguments.get_int("--plain", 64, 2, 1 << 20));
  int64_t n_left = arguments.get_int("--limit", 1000, 1, 1 << 20);
  Replayer replayer(model, draft_path.empty() ? nullptr : Model::load(draft_path, options), n_draft);
  std::istringstream lines(read_stdin());
  for (std::string line; n_left > 0 && std::getline(lines, line);) {
    if (line.empty()) continue;
    const Edit edit = read_edit(*model, line);
    if (!replayer.fits(edit) || edit.after.size() < 8) continue;
    // In turns, so that what disturbs the machine for a while disturbs both; of plain decoding the start is enough.
    const GenerateStats plain = replayer.replay(edit, false, n_plain);
    const GenerateStats drafted = replayer.replay(edit, true, edit.after.size());
    DraftCounts all;
    for (const DraftCounts& counts : drafted.drafts) {
      all.n_drafted += counts.n_drafted;
      all.n_accepted += counts.n_accepted;
    }
    std::printf(
        "{\"tokens\":%d,\"plainMsPerToken\":%.4f,\"draftedMsPerToken\":%.4f,\"passes\":%d,\"drafted\":%lld,"
        "\"accepted\":%lld}\n",
        drafted.n_decoded, ms_per_token(plain), ms_per_token(drafted), drafted.n_passes,
        static_cast<long long>(all.n_drafted), static_cast<long long>(all.n_accepted));
    std::fflush(stdout);
    --n_left;
  }
  return 0;
}

}  // namespace outpost::cli
