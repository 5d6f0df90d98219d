// Recorded edits replayed: the passes are run for real and timed, but what the model says is what was recorded. So an
// edit that a model of this size could not make by itself shows what its speed would be: drafts come from the edit
// cursor, their length from the policy, and a pass costs what it costs here.
#include <chrono>
#include <cstdio>
#include <sstream>

#include "cli/command.h"
#include "core/strings.h"
#include "draft/draft_policy.h"
#include "draft/edit_cursor.h"
#include "grammar/json_value.h"
#include "kv/kv_cache.h"
#include "runtime/loaded_model.h"

namespace outpost::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Edit {
  std::vector<int32_t> prompt, before, after;
};

struct Timing {
  double ms = 0;
  int32_t n_tokens = 0, n_passes = 0, n_drafted = 0, n_accepted = 0;
};

class Replayer {
 public:
  Replayer(const LoadedModel& model, int32_t n_draft)
      : model_(model),
        n_draft_(n_draft),
        n_ctx_(model.info().n_ctx_train),
        kv_(model.backend(), model.network().kv_shape(), (n_ctx_ + kKvPageSize - 1) / kKvPageSize) {}

  bool fits(const Edit& edit) const {
    return edit.prompt.size() + edit.after.size() + static_cast<size_t>(n_draft_) < static_cast<size_t>(n_ctx_);
  }

  /// @param n_draft 0 for plain decoding @param n_most tokens of the edit, from its start
  Timing replay(const Edit& edit, int32_t n_draft, size_t n_most) {
    auto sequence = kv_.begin(edit.prompt, n_ctx_);
    for (auto rest = std::span(edit.prompt).subspan(static_cast<size_t>(sequence->n_past())); !rest.empty();) {
      const size_t n = std::min<size_t>(rest.size(), 128);
      compute(*sequence, rest.first(n), 1);
      rest = rest.subspan(n);
    }
    EditCursor cursor(edit.before);
    Timing timing;
    const size_t n_tokens = std::min(n_most, edit.after.size());
    std::vector<int32_t> row;
    // The prompt's logits have given the first token; each pass computes one that is said and the draft behind it.
    cursor.advance(edit.after[0]);
    for (size_t at = 1; at < n_tokens;) {
      const auto start = Clock::now();
      Proposal proposal;
      cursor.propose(n_draft, proposal);
      const double p = acceptance_.probability(proposal.source, proposal.n_matched);
      const int32_t n = n_draft == 0 ? 0 : choose_length(proposal, p, cost_, 1, n_draft).n;
      row.assign(1, edit.after[at - 1]);
      row.insert(row.end(), proposal.tokens.begin(), proposal.tokens.begin() + n);
      const auto before_pass = Clock::now();
      compute(*sequence, row, n + 1);
      cost_.observe(n + 1, std::chrono::duration<double, std::milli>(Clock::now() - before_pass).count());
      int32_t n_right = 0;
      while (n_right < n && at + static_cast<size_t>(n_right) < edit.after.size() &&
             row[static_cast<size_t>(n_right) + 1] == edit.after[at + static_cast<size_t>(n_right)])
        ++n_right;
      if (n > 0) {
        acceptance_.observe(proposal.source, proposal.n_matched, n_right, n_right < n);
      } else if (!proposal.tokens.empty()) {
        const bool is_right = proposal.tokens[0] == edit.after[at];
        acceptance_.observe(proposal.source, proposal.n_matched, is_right ? 1 : 0, !is_right);
      }
      const size_t end = std::min(edit.after.size(), at + static_cast<size_t>(n_right) + 1);
      for (; at < end; ++at) cursor.advance(edit.after[at]);
      kv_.roll_back(*sequence, static_cast<int32_t>(edit.prompt.size() + at) - 1);
      timing.ms += std::chrono::duration<double, std::milli>(Clock::now() - start).count();
      ++timing.n_passes;
      timing.n_drafted += n;
      timing.n_accepted += n_right;
      timing.n_tokens = static_cast<int32_t>(at) - 1;
    }
    kv_.retire(std::move(sequence));
    return timing;
  }

 private:
  void compute(KvSequence& sequence, std::span<const int32_t> tokens, int32_t n_logits) {
    const SequenceRun run{sequence.page_table, sequence.n_past(), static_cast<int32_t>(tokens.size())};
    std::vector<int32_t> rows;
    for (int32_t i = run.n_tokens - n_logits; i < run.n_tokens; ++i) rows.push_back(i);
    logits_.resize(rows.size() * static_cast<size_t>(model_.info().n_vocab));
    const std::lock_guard lock(model_.device_mutex());
    model_.network().forward({tokens, {&run, 1}, rows, n_ctx_}, kv_.storage(), logits_);
    sequence.tokens.insert(sequence.tokens.end(), tokens.begin(), tokens.end());
  }

  const LoadedModel& model_;
  const int32_t n_draft_, n_ctx_;
  KvCache kv_;
  PassCost cost_;
  Acceptance acceptance_;
  std::vector<float> logits_;
};

Edit read_edit(const LoadedModel& model, std::string_view line) {
  const JsonValue json = parse_json(line);
  const auto text = [&](const char* name) {
    const JsonValue* value = json.find(name);
    if (value == nullptr || !value->is(JsonValue::Kind::kString))
      throw UsageError(concat("each line needs the strings \"before\" and \"after\"; there is no ", quoted(name)));
    return value->text;
  };
  const std::string before = text("before"), after = text("after");
  Edit edit;
  edit.prompt = model.tokenize(concat("Rewrite this file.\n\n", before, "\n\nThe new file:\n\n"), {});
  edit.before = model.tokenizer().encode_inside(before);
  edit.after = model.tokenizer().encode_inside(after);
  return edit;
}

}  // namespace

int run_replay(const std::vector<std::string>& words) {
  const Arguments arguments(words, with_load_options({"--limit", "--draft", "--plain"}), {});
  const auto model =
      std::dynamic_pointer_cast<LoadedModel>(Model::load(arguments.positional(0, "MODEL"), load_options(arguments)));
  const auto n_draft = static_cast<int32_t>(arguments.get_int("--draft", 48, 1, kMaxDraft));
  const auto n_plain = static_cast<size_t>(arguments.get_int("--plain", 64, 2, 1 << 20));
  int64_t n_left = arguments.get_int("--limit", 1000, 1, 1 << 20);
  Replayer replayer(*model, n_draft);
  std::istringstream lines(read_stdin());
  for (std::string line; n_left > 0 && std::getline(lines, line);) {
    if (line.empty()) continue;
    const Edit edit = read_edit(*model, line);
    if (!replayer.fits(edit) || edit.after.size() < 8) continue;
    // In turns, so that what disturbs the machine for a while disturbs both; of plain decoding the start is enough.
    const Timing plain = replayer.replay(edit, 0, n_plain);
    const Timing drafted = replayer.replay(edit, n_draft, edit.after.size());
    std::printf(
        "{\"tokens\":%d,\"plainMsPerToken\":%.4f,\"draftedMsPerToken\":%.4f,\"passes\":%d,\"drafted\":%d,"
        "\"accepted\":%d}\n",
        drafted.n_tokens, plain.ms / plain.n_tokens, drafted.ms / drafted.n_tokens, drafted.n_passes, drafted.n_drafted,
        drafted.n_accepted);
    std::fflush(stdout);
    --n_left;
  }
  return 0;
}

}  // namespace outpost::cli
