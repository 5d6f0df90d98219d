// The decode thread: asks the scheduler who takes part, computes one pass over all of them, and lets every reply choose
// its next tokens. Between passes a more urgent request starts and a cancelled one ends; a pass that only cancelled
// ones are in ends between two layers, and so does one that an inline completion would have to wait for.
//
// A pass holds, of each request, tokens whose keys and values are missing: a slice of its prompt, or the last token it
// said and behind it the tokens of a draft. The logits after each of these are what computing them one by one would
// have given, to the bit. So the reply chooses after the first, and as long as it chooses what was drafted, after the
// next; what was drafted behind that is forgotten.
#include "runtime/decode_engine.h"

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <map>
#include <new>
#include <optional>
#include <thread>

#include "backend/devices.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/strings.h"
#include "core/urgent_work.h"
#include "grammar/json_schema.h"
#include "kv/kv_file.h"
#include "runtime/complete_request.h"
#include "runtime/draft_model.h"
#include "runtime/draft_texts.h"
#include "runtime/grammar_cache.h"
#include "runtime/loaded_model.h"
#include "runtime/mtp_draft.h"
#include "runtime/request.h"
#include "runtime/scheduler.h"
#include "runtime/thermal_pace.h"

namespace outpost {
namespace {

using Clock = Request::Clock;

/// Rows of a pass whose logits are kept: of 150 thousand tokens they are 60 MB.
constexpr int32_t kMaxLogitRows = 96;

double ms_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double, std::milli>(end - start).count();
}

/// Nobody knows that of the processor.
std::function<double()> temperature_of(const std::string& device) {
  if (!read_sensors(device).has_value()) return nullptr;
  return [device] {
    const auto sensors = read_sensors(device);
    return sensors.has_value() ? sensors->temperature_c : -1;
  };
}

/// What a request does in a pass.
struct Part {
  std::shared_ptr<Request> request;
  int32_t n_tokens = 0;        ///< of its history
  std::vector<int32_t> draft;  ///< behind them
  bool chooses = false;        ///< its history is complete: it may say its next tokens
  bool was_prompt = false;
  int32_t first_logit_row = 0;
};

class DecodeEngine final : public Engine {
 public:
  DecodeEngine(std::shared_ptr<const LoadedModel> model, const EngineOptions& options, DecodeParts parts)
      : model_(std::move(model)),
        n_ctx_(options.n_ctx > 0 ? options.n_ctx : model_->info().n_ctx_train),
        parts_(std::move(parts)),
        n_prefill_(options.n_prefill > 0 ? options.n_prefill : model_->stages().n_prefill()),
        kv_(model_->stages(), model_->network().kv_shape(), model_->kv_format(options.kv), kv_budget(options)),
        scheduler_({n_prefill_, options.slice_ms, options.n_sequences, model_->stages().n_least_prefill()}),
        pace_(parts_.temperature ? parts_.temperature : temperature_of(model_->info().shares.back().device),
              options.pace_above_c),
        texts_(model_->tokenizer(), drafts_.library.capacity()),
        grammars_(*model_) {
    if (options.draft_model != nullptr) {
      auto draft = std::dynamic_pointer_cast<const LoadedModel>(options.draft_model);
      if (draft == nullptr) throw EngineError(ErrorCode::kInvalidArgument, "The draft model is none of this engine's.");
      draft_model_ = std::make_unique<DraftModel>(std::move(draft), model_, n_ctx_);
    }
    if (model_->network().head() != nullptr) mtp_ = std::make_unique<MtpDrafts>(model_, n_ctx_);
    drafts_.cost.start_from(options.pass_ms);
    drafts_.cost.copy_to(stats_.pass_ms);
    stats_.plain_token_ms = drafts_.cost.ms(1);
    stats_.kv_bytes_total = kv_.total_bytes();
    thread_ = std::thread([this] { run(); });
  }

  ~DecodeEngine() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
      for (auto& [id, request] : requests_) request->is_cancelled = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  uint64_t submit(GenerateRequest params, GenerateSink sink) override {
    complete_request(*model_, n_ctx_, params);
    const Tokenizer& tokenizer = model_->tokenizer();
    std::shared_ptr<GrammarProgram> grammar;
    if (!params.json_schema.empty()) grammar = grammars_.get(json_schema_to_gbnf(params.json_schema));
    if (!params.grammar.empty()) grammar = grammars_.get(params.grammar);
    auto request = std::make_shared<Request>(next_id_.fetch_add(1), *model_, std::move(params), std::move(sink), n_ctx_,
                                             std::move(grammar));
    if (request->params.draft.is_enabled) {
      request->original = tokenizer.encode_inside(request->params.draft.original);
      request->new_texts = texts_.read(request->params.draft.texts);
    }
    const uint64_t id = request->id;
    {
      const std::lock_guard lock(mutex_);
      arrived_.push_back(request);
      if (request->params.priority == Priority::kInline) has_inline_arrived_ = true;
      requests_.emplace(id, std::move(request));
      stats_.n_active = static_cast<int32_t>(requests_.size());
    }
    wake_.notify_one();
    return id;
  }

  void cancel(uint64_t request_id) override {
    const std::lock_guard lock(mutex_);
    if (const auto it = requests_.find(request_id); it != requests_.end()) it->second->is_cancelled = true;
  }

  EngineStats stats() const override {
    EngineStats stats;
    {
      const std::lock_guard lock(mutex_);
      stats = stats_;
    }
    if (model_->info().n_expert > 0) stats.experts = model_->stages().expert_cache_stats();
    return stats;
  }

  const Model& model() const override { return *model_; }

  CacheFile save_cache(const std::string& path) override {
    return between_passes([&] { return save_kv(kv_, identity(), path); });
  }

  CacheFile restore_cache(const std::string& path) override {
    return between_passes([&] { return restore_kv(kv_, identity(), path); });
  }

  CacheFile forget_cache(const std::string& path) override {
    const CacheFile forgotten = between_passes([&] {
      const uint64_t before = kv_.used_bytes() + kv_.spare_bytes();
      const int64_t n_tokens = kv_.n_tokens();
      kv_.forget_finished();
      return CacheFile{n_tokens - kv_.n_tokens(), before - kv_.used_bytes() - kv_.spare_bytes()};
    });
    std::error_code error;
    std::filesystem::remove(path, error);
    if (error) {
      throw EngineError(ErrorCode::kFileUnreadable,
                        concat("The saved context ", quoted(path), " cannot be deleted: ", error.message(), "."));
    }
    return forgotten;
  }

 private:
  /// Of everything but the cache that decides the bits of keys and values.
  uint64_t identity() const {
    Hash64 hash;
    const uint64_t file = model_->fingerprint();
    hash.add(std::as_bytes(std::span(&file, 1)));
    hash.add(std::as_bytes(std::span(model_->info().backend)));
    return hash.value();
  }

  /// Has the decode thread do something while no pass runs, and waits for it.
  CacheFile between_passes(std::function<CacheFile()> body) {
    std::packaged_task<CacheFile()> task([this, body = std::move(body)] {
      const std::lock_guard device_lock(model_->device_mutex());
      const CacheFile file = body();
      const std::lock_guard lock(mutex_);
      count_cache();
      return file;
    });
    auto result = task.get_future();
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
    return result.get();
  }

  // ---- requests come

  /// Most tokens of a pass beside one of each request: a slice of a prompt, or drafts.
  int32_t n_chunk() const { return std::max(n_prefill_, kMaxLogitRows); }

  /// The cache's bytes: what the options say, or two full contexts.
  uint64_t kv_budget(const EngineOptions& options) const {
    const KvShape shape = model_->network().kv_shape();
    const auto storage = model_->stages().alloc_kv(shape, model_->kv_format(options.kv), 1);
    const uint64_t context = kv_promised_bytes(*storage, n_ctx_), pass = kv_pass_bytes(*storage, n_chunk());
    const uint64_t n_bytes = options.kv_bytes > 0 ? options.kv_bytes : 2 * context + pass;
    if (n_bytes < context + pass) {
      throw EngineError(
          ErrorCode::kInvalidArgument,
          concat("A KV cache of ", n_bytes, " bytes is too small for one context of ", n_ctx_,
                 " positions, which takes ", context + pass, ". Give it more, or ask for a smaller context."));
    }
    return n_bytes;
  }

  // ---- the decode thread

  double now_ms() const { return ms_between(started_, Clock::now()); }

  void run() {
    for (;;) {
      std::vector<std::shared_ptr<Request>> arrived;
      std::vector<std::packaged_task<CacheFile()>> tasks;
      {
        std::unique_lock lock(mutex_);
        if (kv_.n_pages_used() != stats_.n_kv_pages) count_cache();
        stats_.n_waiting = scheduler_.n_waiting();
        wake_.wait(lock, [&] { return is_stopping_ || !requests_.empty() || !tasks_.empty(); });
        tasks.swap(tasks_);
        if (requests_.empty() && tasks.empty()) return;
        arrived.swap(arrived_);
        has_inline_arrived_ = false;
      }
      for (auto& task : tasks) task();
      for (auto& request : arrived) {
        scheduler_.add(request->id, request->params.priority, now_ms(), request->n_pending());
        take_texts(*request);
        running_.emplace(request->id, std::move(request));
      }
      end_unwanted();
      run_pass();
    }
  }

  /// Looks at every page: not for each pass. @pre mutex_ is held
  void count_cache() {
    stats_.kv_bytes_used = kv_.used_bytes();
    stats_.kv_bytes_spare = kv_.spare_bytes();
    stats_.n_kv_pages = kv_.n_pages_used();
    stats_.n_kv_tokens = kv_.n_tokens();
  }

  void take_texts(Request& request) {
    for (const auto& text : request.new_texts) {
      for (const int32_t token : text) drafts_.library.append(token);
      drafts_.library.end_text();
    }
    request.new_texts.clear();
  }

  void end_unwanted() {
    const auto now = Clock::now();
    std::vector<std::pair<std::shared_ptr<Request>, StopReason>> over;
    for (auto& [id, request] : running_) {
      if (request->is_cancelled) {
        over.emplace_back(request, StopReason::kCancelled);
      } else if (request->is_past_deadline(now)) {
        over.emplace_back(request, StopReason::kDeadline);
      }
    }
    for (auto& [request, reason] : over) finish(request, reason, nullptr);
  }

  void run_pass() {
    std::vector<Share> shares;
    do {
      shares = scheduler_.plan(now_ms());
      for (const Share& share : shares) find_pages(*running_.at(share.id), share.n_tokens);
      // The rest was chosen to go with the first: without it another pass is due.
    } while (!shares.empty() && running_.at(shares.front().id)->sequence == nullptr);
    std::vector<Part> parts;
    for (const Share& share : shares) {
      const auto& request = running_.at(share.id);
      if (request->sequence == nullptr) continue;  // it waits for pages, or had to give them to another of the pass
      Part part{request, std::min(share.n_tokens, request->n_pending()), {}, false, request->n_pending() > 1};
      part.chooses = part.n_tokens == request->n_pending();
      if (part.n_tokens > n_room(*request)) continue;
      parts.push_back(std::move(part));
    }
    if (parts.empty()) {
      if (!running_.empty() && static_cast<size_t>(scheduler_.n_waiting()) == running_.size()) {
        // The pool holds a context, so that this cannot happen; waiting for it to change would be for ever.
        const EngineError error(ErrorCode::kOutOfMemory, "There are no pages for keys and values.");
        const auto first = running_.begin()->second;
        finish(first, StopReason::kError, &error);
      }
      return;
    }
    // Somebody waits for what the next key brings: other engines of this process rest meanwhile.
    const auto is_inline = [](const Part& part) { return part.request->params.priority == Priority::kInline; };
    const UrgentThread urgent(std::any_of(parts.begin(), parts.end(), is_inline));
    const auto start = Clock::now();
    try {
      draft(parts);
      compute(parts, ms_between(start, Clock::now()));
    } catch (const EngineError& error) {
      // Given up. Its tokens are not among those of the sequences, and the next pass over them writes all layers again.
      return error.code() == ErrorCode::kCancelled ? void() : fail(parts, error);
    } catch (const std::exception& error) {
      return fail(parts, EngineError(ErrorCode::kInternal, concat("Generating failed: ", error.what(), ".")));
    }
    const double pass_ms = ms_between(start, Clock::now());
    for (Part& part : parts) {
      scheduler_.ran(part.request->id, now_ms());
      account(*part.request, part, ms_between(start, Clock::now()));
      conclude(part);
    }
    cool_down(pass_ms);
  }

  /// A pause after a pass, if the device is hot and all that runs is background work; whoever comes ends it.
  void cool_down(double pass_ms) {
    const auto is_urgent = [](const auto& running) { return running.second->params.priority != Priority::kBackground; };
    if (running_.empty() || std::any_of(running_.begin(), running_.end(), is_urgent)) return;
    const auto start = Clock::now();
    const double pause_ms = pace_.pause_ms(pass_ms, start);
    if (pause_ms <= 0) return;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::chrono::duration<double, std::milli>(pause_ms),
                   [&] { return is_stopping_ || !arrived_.empty() || !tasks_.empty(); });
    stats_.pause_ms += ms_between(start, Clock::now());
  }

  void fail(const std::vector<Part>& parts, const EngineError& error) {
    for (const Part& part : parts) finish(part.request, StopReason::kError, &error);
  }

  // ---- pages

  /// Positions that the request has pages for and are not computed.
  static int32_t n_room(const Request& request) {
    return static_cast<int32_t>(request.sequence->page_table.size()) * kKvPageSize - request.sequence->n_past();
  }

  /// Gives a request the pages for its next tokens, if need be those of less urgent ones.
  void find_pages(Request& request, int32_t n_tokens) {
    while (!try_pages(request, n_tokens)) {
      const auto victim = scheduler_.victim_for(request.id);
      if (!victim.has_value()) {
        // More urgent ones have them all. With what it has it could only keep others waiting.
        if (request.sequence != nullptr) park(request);
        return scheduler_.wait_for_pages(request.id);
      }
      park(*running_.at(*victim));
    }
  }

  bool try_pages(Request& request, int32_t n_tokens) {
    if (request.sequence != nullptr)
      return kv_.extend(*request.sequence, request.sequence->n_past() + std::min(n_tokens, request.n_pending()));
    const auto history = request.reply.history();
    request.sequence = kv_.begin(history, static_cast<int32_t>(history.size()), std::max(n_tokens, 1));
    if (request.sequence == nullptr) return false;
    scheduler_.hold_pages(request.id, true);
    scheduler_.set_pending(request.id, request.n_pending());
    if (!request.has_started) {
      request.has_started = true;
      request.stats.n_reused = request.sequence->n_past();
      {
        const std::lock_guard lock(mutex_);
        stats_.n_prompt += static_cast<uint64_t>(request.stats.n_prompt);
        stats_.n_reused += static_cast<uint64_t>(request.stats.n_reused);
      }
      request.stats.queue_ms = ms_between(request.submitted, Clock::now());
      std::vector<std::unique_ptr<ComputedSource>> computed;
      if (request.params.draft.is_enabled) {
        if (draft_model_ != nullptr) computed.push_back(std::make_unique<DraftSequence>(*draft_model_));
        if (mtp_ != nullptr) computed.push_back(std::make_unique<MtpSequence>(*mtp_));
      }
      request.drafter = std::make_unique<Drafter>(drafts_, request.params.draft, std::move(request.original), history,
                                                  std::move(computed));
    }
    return true;
  }

  /// Takes a request's pages away. What it has computed stays reusable while nobody needs the memory; what is gone is
  /// computed again from its history, to the same bits.
  void park(Request& request) {
    ++request.stats.n_parked;
    kv_.retire(std::move(request.sequence));
    scheduler_.hold_pages(request.id, false);
    scheduler_.set_pending(request.id, request.n_pending());
  }

  // ---- a pass

  void draft(std::vector<Part>& parts) {
    int32_t n_rows = 0;
    bool has_prompt = false;
    for (const Part& part : parts) {
      n_rows += part.n_tokens;
      has_prompt = has_prompt || part.n_tokens > 1;
    }
    for (Part& part : parts) {
      if (!part.chooses) continue;
      Request& request = *part.request;
      // Beside a prompt there is no time for drafts: its slice fills the pass.
      const int32_t n_most = has_prompt ? 0 : kMaxLogitRows - n_rows;
      if (parts_.draft) {
        part.draft = parts_.draft(request.reply.history());
        part.draft.resize(std::min<size_t>(
            part.draft.size(), static_cast<size_t>(std::max(0, std::min(n_most, request.reply.n_left() - 1)))));
      } else {
        const auto tokens = request.drafter->draft(request.reply, n_rows, n_most);
        part.draft.assign(tokens.begin(), tokens.end());
      }
      const int32_t n_positions = request.sequence->n_past() + part.n_tokens + static_cast<int32_t>(part.draft.size());
      if (!kv_.extend(*request.sequence, n_positions)) part.draft.clear();
      n_rows += static_cast<int32_t>(part.draft.size());
    }
  }

  /// Computes all parts together; the logits that are needed are in `logits_` then.
  /// @param draft_ms what their drafts took
  void compute(std::vector<Part>& parts, double draft_ms) {
    std::vector<int32_t> tokens, logit_rows;
    std::vector<SequenceRun> runs;
    int32_t n_prompt = 0;
    for (Part& part : parts) {
      const KvSequence& sequence = *part.request->sequence;
      const auto begin = tokens.size();
      const auto pending = part.request->reply.history().subspan(static_cast<size_t>(sequence.n_past()),
                                                                 static_cast<size_t>(part.n_tokens));
      tokens.insert(tokens.end(), pending.begin(), pending.end());
      tokens.insert(tokens.end(), part.draft.begin(), part.draft.end());
      runs.push_back({sequence.page_table, sequence.n_past(), static_cast<int32_t>(tokens.size() - begin)});
      part.first_logit_row = static_cast<int32_t>(logit_rows.size());
      if (part.n_tokens > 1) n_prompt += part.n_tokens;
      if (!part.chooses) continue;
      for (size_t row = begin + pending.size() - 1; row < tokens.size(); ++row)
        logit_rows.push_back(static_cast<int32_t>(row));
    }
    logits_.resize(logit_rows.size() * static_cast<size_t>(model_->info().n_vocab));
    const bool may_be_overtaken = std::all_of(parts.begin(), parts.end(), [&, now = now_ms()](const Part& part) {
      return scheduler_.may_be_overtaken(part.request->id, now);
    });
    // A key ends what the one before it asked for, and asks for something new: that waits neither for the rest of the
    // old one's pass nor for a pass of anything but inline completions.
    const auto goes_on = [&] {
      if (parts_.before_layer) parts_.before_layer();
      if (may_be_overtaken && has_inline_arrived_) return false;
      return std::any_of(parts.begin(), parts.end(), [](const Part& part) { return !part.request->is_cancelled; });
    };
    const bool wants_hidden =
        std::any_of(parts.begin(), parts.end(), [](const Part& part) { return part.request->drafter->wants_hidden(); });
    hidden_.resize(wants_hidden ? tokens.size() * static_cast<size_t>(model_->info().n_embd) : 0);
    const auto start = Clock::now();
    {
      const std::lock_guard lock(model_->device_mutex());
      const UrgentTurn turn;
      model_->network().forward({tokens, runs, logit_rows, n_ctx_, false, goes_on, hidden_}, kv_.storage(), logits_);
    }
    const double ms = ms_between(start, Clock::now());
    if (wants_hidden) hand_over_hidden(parts, runs);
    if (n_prompt > 0) {
      scheduler_.observe_slice(n_prompt, ms);
    } else {
      drafts_.cost.observe(static_cast<int32_t>(tokens.size()), ms);
      const std::lock_guard lock(mutex_);
      ++stats_.n_passes;
      stats_.decode_ms += draft_ms + ms;
      stats_.plain_token_ms = drafts_.cost.ms(1);
      drafts_.cost.copy_to(stats_.pass_ms);
    }
    auto computed = tokens.begin();
    for (size_t i = 0; i < parts.size(); ++i) {
      auto& known = parts[i].request->sequence->tokens;
      known.insert(known.end(), computed, computed + runs[i].n_tokens);
      computed += runs[i].n_tokens;
    }
  }

  /// Before the tokens count as computed.
  void hand_over_hidden(const std::vector<Part>& parts, const std::vector<SequenceRun>& runs) {
    const auto n_embd = static_cast<size_t>(model_->info().n_embd);
    std::span<const float> rest = hidden_;
    for (size_t i = 0; i < parts.size(); ++i) {
      const size_t n = static_cast<size_t>(runs[i].n_tokens) * n_embd;
      Drafter& drafter = *parts[i].request->drafter;
      if (drafter.wants_hidden()) drafter.follow(runs[i].n_past, rest.first(n));
      rest = rest.subspan(n);
    }
  }

  static void account(Request& request, const Part& part, double ms) {
    const bool is_prompt = request.reply.n_decoded() == 0;
    (is_prompt ? request.stats.prefill_ms : request.stats.decode_ms) += ms;
    if (!is_prompt && part.chooses) ++request.stats.n_passes;
  }

  /// After a pass: reports, and lets the reply choose.
  void conclude(Part& part) {
    Request& request = *part.request;
    try {
      if (request.reply.n_decoded() == 0 && request.sink.on_prefill)
        request.sink.on_prefill(std::min(request.sequence->n_past(), request.stats.n_prompt), request.stats.n_prompt);
      std::optional<StopReason> reason;
      if (part.chooses) reason = say(part);
      if (reason.has_value()) return finish(part.request, *reason, nullptr);
      scheduler_.set_pending(request.id, request.n_pending());
    } catch (const EngineError& error) {
      finish(part.request, StopReason::kError, &error);
    } catch (const std::exception& error) {
      const EngineError internal(ErrorCode::kInternal, concat("Generating failed: ", error.what(), "."));
      finish(part.request, StopReason::kError, &internal);
    }
  }

  /// The verification: tokens are chosen one after the other, each from the logits after the one before. Behind the
  /// first that was not drafted there are none. @return why the reply is over, if it is
  std::optional<StopReason> say(Part& part) {
    Request& request = *part.request;
    const auto start = Clock::now();
    const auto n_vocab = static_cast<size_t>(model_->info().n_vocab);
    const int32_t n_decoded_before = request.reply.n_decoded();
    std::optional<StopReason> reason;
    for (size_t i = 0; !reason.has_value(); ++i) {
      if (request.is_cancelled) {
        reason = StopReason::kCancelled;
        break;
      }
      const size_t row = static_cast<size_t>(part.first_logit_row) + i;
      const auto logits = std::span(logits_).subspan(row * n_vocab, n_vocab);
      if (parts_.steer) parts_.steer(request.reply.history(), logits);
      const Reply::Step step = request.reply.next(logits);
      if (request.stats.ttft_ms == 0 && step.says_more)
        request.stats.ttft_ms = ms_between(request.submitted, Clock::now());
      request.stats.n_decoded = request.reply.n_decoded();
      reason = step.reason;
      if (!step.text.empty() && request.sink.on_text) request.sink.on_text(step.text, request.stats.n_decoded);
      if (i == part.draft.size() || !parts_.accepts(part.draft[i], step.id)) break;
    }
    const int32_t n_said = request.reply.n_decoded() - n_decoded_before;
    request.drafter->learn(request.reply, n_said);
    // The last token is said and not computed; what was drafted in its place is forgotten.
    const auto n_valid = static_cast<int32_t>(request.reply.history().size()) - 1;
    if (request.sequence->n_past() > n_valid) kv_.roll_back(*request.sequence, n_valid);
    if (n_decoded_before > 0) request.stats.decode_ms += ms_between(start, Clock::now());
    const std::lock_guard lock(mutex_);
    stats_.n_decoded += static_cast<uint64_t>(n_said);
    return reason;
  }

  // ---- requests go

  void finish(const std::shared_ptr<Request>& request, StopReason reason, const EngineError* error) {
    if (reason != StopReason::kError) {
      const std::string text = request->reply.finish();
      try {
        if (!text.empty() && request->sink.on_text) request->sink.on_text(text, request->stats.n_decoded);
      } catch (const std::exception& failure) {
        log_warning("A listener failed at the end of request ", request->id, ": ", failure.what(), ".");
      }
    }
    if (request->drafter != nullptr) {
      request->stats.drafts = request->drafter->stats();
      remember(*request);
      request->drafter.reset();
    }
    request->stats.plain_token_ms = drafts_.cost.ms(1);
    request->stats.log_probs = request->reply.log_probs();
    if (request->sequence != nullptr) kv_.retire(std::move(request->sequence));
    scheduler_.remove(request->id);
    running_.erase(request->id);
    {
      const std::lock_guard lock(mutex_);
      requests_.erase(request->id);
      stats_.n_active = static_cast<int32_t>(requests_.size());
      count_cache();
      for (size_t i = 0; i < kDraftSources; ++i) {
        stats_.drafts[i].n_drafted += request->stats.drafts[i].n_drafted;
        stats_.drafts[i].n_accepted += request->stats.drafts[i].n_accepted;
      }
    }
    try {
      if (request->sink.on_done) request->sink.on_done(reason, request->stats, error);
    } catch (const std::exception& failure) {
      // The request is over: there is nobody left to tell.
      log_warning("A listener failed at the end of request ", request->id, ": ", failure.what(), ".");
    }
  }

  /// A reply may be quoted in later ones.
  void remember(const Request& request) {
    if (!request.params.draft.is_enabled) return;
    for (const int32_t token : request.reply.said()) drafts_.library.append(token);
    drafts_.library.end_text();
  }

  const std::shared_ptr<const LoadedModel> model_;
  const int32_t n_ctx_;
  const DecodeParts parts_;
  const int32_t n_prefill_;
  const Clock::time_point started_ = Clock::now();
  // Decode thread only, once it runs:
  KvCache kv_;
  Scheduler scheduler_;
  ThermalPace pace_;
  std::unique_ptr<DraftModel> draft_model_;
  std::unique_ptr<MtpDrafts> mtp_;  // null: the model has no head for further tokens
  SharedDrafts drafts_;
  std::map<uint64_t, std::shared_ptr<Request>> running_;
  std::vector<float> logits_;  // of the rows of the last pass that choose, [rows, n_vocab]
  std::vector<float> hidden_;  // of all its tokens, [n_tokens, n_embd], where a drafter wants them

  DraftTexts texts_;
  GrammarCache grammars_;
  std::atomic<uint64_t> next_id_{1};

  std::atomic<bool> has_inline_arrived_ = false;  // one of arrived_ is inline

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::map<uint64_t, std::shared_ptr<Request>> requests_;
  std::vector<std::shared_ptr<Request>> arrived_;  // of these, not yet seen by the decode thread
  std::vector<std::packaged_task<CacheFile()>> tasks_;
  EngineStats stats_;
  bool is_stopping_ = false;

  std::thread thread_;  // last: it uses everything above
};

}  // namespace

std::unique_ptr<Engine> create_engine(std::shared_ptr<Model> model, const EngineOptions& options, DecodeParts parts) {
  const auto require = [](bool is_valid, const char* name, auto value, const char* expected) {
    if (!is_valid)
      throw EngineError(ErrorCode::kInvalidArgument, concat(name, " is ", value, "; expected ", expected, "."));
  };
  require(options.n_ctx >= 0, "n_ctx", options.n_ctx, "0 or more");
  require(options.n_prefill >= 0, "n_prefill", options.n_prefill, "0 or more");
  require(options.slice_ms >= 0, "slice_ms", options.slice_ms, "0 or more");
  require(options.n_sequences >= 1 && options.n_sequences <= 64, "n_sequences", options.n_sequences, "1 to 64");
  auto loaded = std::dynamic_pointer_cast<const LoadedModel>(std::move(model));
  if (loaded == nullptr) throw EngineError(ErrorCode::kInvalidArgument, "There is no model to run.");
  try {
    return std::make_unique<DecodeEngine>(std::move(loaded), options, std::move(parts));
  } catch (const std::bad_alloc&) {
    throw EngineError(ErrorCode::kOutOfMemory,
                      concat("There is not enough memory for a KV cache of ", options.kv_bytes, " bytes."));
  }
}

std::unique_ptr<Engine> Engine::create(std::shared_ptr<Model> model, const EngineOptions& options) {
  return create_engine(std::move(model), options, {});
}

}  // namespace outpost
