#include "runtime/decode_loop.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "backend/devices.h"
#include "core/log.h"
#include "core/strings.h"
#include "core/urgent_work.h"

namespace outpost {
namespace {

double ms_between(Request::Clock::time_point start, Request::Clock::time_point end) {
  return std::chrono::duration<double, std::milli>(end - start).count();
}

/// Of the hottest. Nobody knows that of the processor.
std::function<double()> temperature_of(const std::vector<DeviceShare>& shares) {
  std::vector<std::string> devices;
  for (const DeviceShare& share : shares) {
    if (read_sensors(share.device).has_value()) devices.push_back(share.device);
  }
  if (devices.empty()) return nullptr;
  return [devices] {
    double hottest = -1;
    for (const std::string& device : devices) {
      if (const auto sensors = read_sensors(device)) hottest = std::max(hottest, sensors->temperature_c);
    }
    return hottest;
  };
}

}  // namespace

DecodeLoop::DecodeLoop(std::shared_ptr<const LoadedModel> model, const EngineOptions& options, DecodeParts parts,
                       DecodeQueue& queue)
    : model_(std::move(model)),
      n_ctx_(options.n_ctx > 0 ? options.n_ctx : model_->info().n_ctx_train),
      parts_(std::move(parts)),
      n_prefill_(options.n_prefill > 0 ? options.n_prefill : model_->stages().n_prefill()),
      queue_(queue),
      kv_(model_->stages(), model_->network().kv_shape(), model_->kv_format(options.kv), kv_budget(options)),
      scheduler_({n_prefill_, options.slice_ms, options.n_sequences, model_->stages().n_least_prefill(),
                  model_->stages().n_lone_prefill()}),
      pace_(parts_.temperature ? parts_.temperature : temperature_of(model_->info().shares), options.pace_above_c),
      logits_(*model_) {
  if (options.draft_model != nullptr) {
    auto draft = std::dynamic_pointer_cast<const LoadedModel>(options.draft_model);
    if (draft == nullptr) throw EngineError(ErrorCode::kInvalidArgument, "The draft model is none of this engine's.");
    draft_model_ = std::make_unique<DraftModel>(std::move(draft), model_, n_ctx_);
  }
  if (model_->network().head() != nullptr) mtp_ = std::make_unique<MtpDrafts>(model_, n_ctx_);
  drafts_.cost.start_from(options.pass_ms);
  queue_.change_stats([&](EngineStats& stats) {
    drafts_.cost.copy_to(stats.pass_ms);
    stats.plain_token_ms = drafts_.cost.ms(1);
    stats.kv_bytes_total = kv_.total_bytes();
    stats.head_kv_bytes = mtp_ != nullptr ? mtp_->kv_bytes() : 0;
  });
}

/// Most tokens of a pass beside one of each request: a slice of a prompt, or drafts.
int32_t DecodeLoop::n_chunk() const { return std::max(n_prefill_, kMaxLogitRows); }

/// The cache's bytes: what the options say, or two full contexts.
uint64_t DecodeLoop::kv_budget(const EngineOptions& options) const {
  const KvShape shape = model_->network().kv_shape();
  const auto storage = model_->stages().alloc_kv(shape, model_->kv_format(options.kv), 1);
  const uint64_t context = kv_promised_bytes(*storage, n_ctx_), pass = kv_pass_bytes(*storage, n_chunk());
  const uint64_t n_bytes = options.kv_bytes > 0 ? options.kv_bytes : 2 * context + pass;
  if (n_bytes < context + pass) {
    throw EngineError(
        ErrorCode::kInvalidArgument,
        concat("A KV cache of ", n_bytes, " bytes is too small for one context of ", n_ctx_, " positions, which takes ",
               context + pass, ". Give it more, or ask for a smaller context."));
  }
  return n_bytes;
}

double DecodeLoop::now_ms() const { return ms_between(started_, Clock::now()); }

void DecodeLoop::run() {
  for (;;) {
    if (kv_.n_pages_used() != n_counted_pages_) count_cache();
    queue_.change_stats([&](EngineStats& stats) { stats.n_waiting = scheduler_.n_waiting(); });
    auto work = queue_.take();
    if (!work.has_value()) return;
    for (auto& task : work->tasks) task();
    for (auto& request : work->arrived) {
      scheduler_.add(request->id, request->params.priority, now_ms(), request->n_pending());
      take_texts(*request);
      running_.emplace(request->id, std::move(request));
    }
    end_unwanted();
    run_pass();
  }
}

/// Looks at every page: not for each pass.
void DecodeLoop::count_cache() {
  n_counted_pages_ = kv_.n_pages_used();
  queue_.change_stats([&](EngineStats& stats) {
    stats.kv_bytes_used = kv_.used_bytes();
    stats.kv_bytes_spare = kv_.spare_bytes();
    stats.n_kv_pages = n_counted_pages_;
    stats.n_kv_tokens = kv_.n_tokens();
  });
}

void DecodeLoop::take_texts(Request& request) {
  for (const auto& text : request.new_texts) {
    for (const int32_t token : text) drafts_.library.append(token);
    drafts_.library.end_text();
  }
  request.new_texts.clear();
}

void DecodeLoop::end_unwanted() {
  const auto now = Clock::now();
  std::vector<std::pair<std::shared_ptr<Request>, StopReason>> over;
  for (auto& [id, request] : running_) {
    if (request->is_cancelled) {
      over.emplace_back(request, StopReason::kCancelled);
    } else if (now >= request->deadline()) {
      over.emplace_back(request, StopReason::kDeadline);
    }
  }
  for (auto& [request, reason] : over) finish(request, reason, nullptr);
}

// ---- pages

/// Positions that the request has pages for and are not computed.
int32_t DecodeLoop::n_room(const Request& request) {
  return static_cast<int32_t>(request.sequence->page_table.size()) * kKvPageSize - request.sequence->n_past();
}

/// Gives a request the pages for its next tokens, if need be those of less urgent ones.
void DecodeLoop::find_pages(Request& request, int32_t n_tokens) {
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

bool DecodeLoop::try_pages(Request& request, int32_t n_tokens) {
  if (request.sequence != nullptr)
    return kv_.extend(*request.sequence, request.sequence->n_past() + std::min(n_tokens, request.n_pending()));
  const auto history = request.reply.history();
  request.sequence = kv_.begin(history, static_cast<int32_t>(history.size()), std::max(n_tokens, 1));
  if (request.sequence == nullptr) return false;
  scheduler_.hold_pages(request.id, true);
  scheduler_.set_pending(request.id, request.n_pending());
  if (!request.has_started) start(request);
  return true;
}

/// Its first pages are there, with what of its prompt was in the cache.
void DecodeLoop::start(Request& request) {
  request.has_started = true;
  request.stats.n_reused = request.sequence->n_past();
  queue_.change_stats([&](EngineStats& stats) {
    stats.n_prompt += static_cast<uint64_t>(request.stats.n_prompt);
    stats.n_reused += static_cast<uint64_t>(request.stats.n_reused);
  });
  request.stats.queue_ms = request.age_ms();
  std::vector<std::unique_ptr<ComputedSource>> computed;
  if (request.params.draft.is_enabled && request.search == nullptr) {
    if (draft_model_ != nullptr) computed.push_back(std::make_unique<DraftSequence>(*draft_model_));
    if (mtp_ != nullptr) computed.push_back(std::make_unique<MtpSequence>(*mtp_));
  }
  request.drafter = std::make_unique<Drafter>(drafts_, request.params.draft, std::move(request.original),
                                              request.reply.history(), std::move(computed));
}

/// Takes a request's pages away. What it has computed stays reusable while nobody needs the memory; what is gone is
/// computed again from its history, to the same bits.
void DecodeLoop::park(Request& request) {
  ++request.stats.n_parked;
  if (request.search != nullptr) request.search->reset(search_cache(request));
  kv_.retire(std::move(request.sequence));
  scheduler_.hold_pages(request.id, false);
  scheduler_.set_pending(request.id, request.n_pending());
}

// ---- a pass

/// Who takes part in the next pass, the most urgent first; those that have the pages for it.
std::vector<DecodeLoop::Part> DecodeLoop::plan() {
  const auto has_pages = [&](const Share& share) {
    const auto found = running_.find(share.id);
    return found != running_.end() && found->second->sequence != nullptr;
  };
  std::vector<Share> shares;
  do {
    shares = scheduler_.plan(now_ms());
    for (const Share& share : shares) {
      const auto request = running_.at(share.id);
      try {
        if (!request->is_searching()) find_pages(*request, share.n_tokens);
      } catch (const EngineError& error) {  // of the device that has them
        finish(request, StopReason::kError, &error);
      } catch (const std::exception& error) {
        const EngineError internal(ErrorCode::kInternal, concat("Generating failed: ", error.what(), "."));
        finish(request, StopReason::kError, &internal);
      }
    }
    // The rest was chosen to go with the first: without it another pass is due.
  } while (!shares.empty() && !has_pages(shares.front()));
  std::vector<Part> parts;
  for (const Share& share : shares) {
    if (!has_pages(share)) continue;  // it waits for pages, had to give them to another of the pass, or has ended
    const auto& request = running_.at(share.id);
    if (request->is_searching()) {
      plan_search(request, parts);
      continue;
    }
    const int32_t n_tokens = std::min(share.n_tokens, request->n_pending());
    if (n_tokens > n_room(*request)) continue;
    Part part;
    part.request = request;
    part.sequence = request->sequence.get();
    part.tokens = request->reply.history().subspan(static_cast<size_t>(request->sequence->n_past()),
                                                   static_cast<size_t>(n_tokens));
    part.chooses = n_tokens == request->n_pending();
    part.n_logit_rows = part.chooses ? 1 : 0;
    parts.push_back(std::move(part));
  }
  // Of a request that had to give up its pages after its parts were planned.
  std::erase_if(parts, [](const Part& part) { return part.request->sequence == nullptr; });
  return parts;
}

void DecodeLoop::run_pass() {
  std::vector<Part> parts = plan();
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
    if (error.code() == ErrorCode::kCancelled) return;
    return error.code() == ErrorCode::kOutOfMemory ? shrink(parts, error) : fail(parts, error);
  } catch (const std::exception& error) {
    return fail(parts, EngineError(ErrorCode::kInternal, concat("Generating failed: ", error.what(), ".")));
  }
  const double pass_ms = ms_between(start, Clock::now());
  if (kv_.n_pages_used() != n_counted_pages_) count_cache();  // before anybody hears of the pass
  for (auto part = parts.begin(); part != parts.end();) {
    // A search has several parts, one behind the other.
    const auto end = std::find_if(part, parts.end(), [&](const Part& p) { return p.request != part->request; });
    if (part->request->sequence == nullptr) {  // a search before it in the pass took its pages
      part = end;
      continue;
    }
    scheduler_.ran(part->request->id, now_ms());
    account(*part->request, *part, ms_between(start, Clock::now()));
    conclude({part, end});
    part = end;
  }
  cool_down(pass_ms);
}

/// A pause after a pass, if the device is hot and all that runs is background work; whoever comes ends it, a cancel,
/// and the first deadline.
void DecodeLoop::cool_down(double pass_ms) {
  const auto is_urgent = [](const auto& running) { return running.second->params.priority != Priority::kBackground; };
  if (running_.empty() || std::any_of(running_.begin(), running_.end(), is_urgent)) return;
  const double pause_ms = pace_.pause_ms(pass_ms, Clock::now());
  if (pause_ms <= 0) return;
  auto end = Clock::time_point::max();
  for (const auto& [id, request] : running_) end = std::min(end, request->deadline());
  const double paused_ms = queue_.pause(pause_ms, end);
  queue_.change_stats([&](EngineStats& stats) { stats.pause_ms += paused_ms; });
}

void DecodeLoop::draft(std::vector<Part>& parts) {
  int32_t n_rows = 0;
  bool has_prompt = false;
  for (const Part& part : parts) {
    n_rows += part.n_tokens();
    has_prompt = has_prompt || (part.path == nullptr && part.n_tokens() > 1);
  }
  for (Part& part : parts) {
    if (!part.chooses || part.request->search != nullptr) continue;
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
    const auto n_draft = static_cast<int32_t>(part.draft.size());
    if (!kv_.extend(*part.sequence, part.sequence->n_past() + part.n_tokens() + n_draft)) part.draft.clear();
    n_rows += static_cast<int32_t>(part.draft.size());
    part.n_logit_rows += static_cast<int32_t>(part.draft.size());
  }
}

/// Computes all parts together; the logits that are needed are in `logits_` then.
/// @param draft_ms what their drafts took
void DecodeLoop::compute(std::vector<Part>& parts, double draft_ms) {
  std::vector<int32_t> tokens, logit_rows, n_best;
  std::vector<SequenceRun> runs;
  int32_t n_prompt = 0;
  for (Part& part : parts) {
    const auto begin = tokens.size();
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
    tokens.insert(tokens.end(), part.draft.begin(), part.draft.end());
    const auto n_tokens = static_cast<int32_t>(tokens.size() - begin);
    runs.push_back({part.sequence->page_table, part.sequence->n_past(), n_tokens});
    part.first_logit_row = static_cast<int32_t>(logit_rows.size());
    if (part.path == nullptr && part.n_tokens() > 1) n_prompt += part.n_tokens();
    for (int32_t i = part.n_logit_rows; i > 0; --i) logit_rows.push_back(static_cast<int32_t>(tokens.size()) - i);
    const bool needs_all = parts_.steer || part.request->search != nullptr;
    n_best.resize(logit_rows.size(), needs_all ? 0 : part.request->reply.n_best());
  }
  const bool may_be_overtaken = std::all_of(parts.begin(), parts.end(), [&, now = now_ms()](const Part& part) {
    return scheduler_.may_be_overtaken(part.request->id, now);
  });
  // A key ends what the one before it asked for, and asks for something new: that waits neither for the rest of the
  // old one's pass nor for a pass of anything but inline completions.
  const auto goes_on = [&] {
    if (parts_.before_layer) parts_.before_layer();
    if (may_be_overtaken && queue_.has_inline()) return false;
    return std::any_of(parts.begin(), parts.end(), [](const Part& part) { return !part.request->is_cancelled; });
  };
  const bool wants_hidden =
      std::any_of(parts.begin(), parts.end(), [](const Part& part) { return part.request->drafter->wants_hidden(); });
  hidden_.resize(wants_hidden ? tokens.size() * static_cast<size_t>(model_->info().n_embd) : 0);
  const auto start = Clock::now();
  {
    const std::lock_guard lock(model_->device_mutex());
    const UrgentTurn turn;
    logits_.compute(
        model_->network(), {tokens, runs, logit_rows, n_ctx_, false, goes_on, hidden_}, n_best,
        [&](const Batch& batch, std::span<float> logits) { model_->network().forward(batch, kv_.storage(), logits); });
  }
  const double ms = ms_between(start, Clock::now());
  if (wants_hidden) hand_over_hidden(parts, runs);
  if (n_prompt > 0) {
    scheduler_.observe_slice(n_prompt, ms);
  } else {
    drafts_.cost.observe(static_cast<int32_t>(tokens.size()), ms);
    queue_.change_stats([&](EngineStats& stats) {
      ++stats.n_passes;
      stats.decode_ms += draft_ms + ms;
      stats.plain_token_ms = drafts_.cost.ms(1);
      drafts_.cost.copy_to(stats.pass_ms);
    });
  }
  auto computed = tokens.begin();
  for (size_t i = 0; i < parts.size(); ++i) {
    auto& known = parts[i].sequence->tokens;
    known.insert(known.end(), computed, computed + runs[i].n_tokens);
    computed += runs[i].n_tokens;
  }
}

/// Before the tokens count as computed.
void DecodeLoop::hand_over_hidden(const std::vector<Part>& parts, const std::vector<SequenceRun>& runs) {
  const auto n_embd = static_cast<size_t>(model_->info().n_embd);
  std::span<const float> rest = hidden_;
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t n = static_cast<size_t>(runs[i].n_tokens) * n_embd;
    Drafter& drafter = *parts[i].request->drafter;
    if (drafter.wants_hidden()) drafter.follow(runs[i].n_past, rest.first(n));
    rest = rest.subspan(n);
  }
}

void DecodeLoop::account(Request& request, const Part& part, double ms) {
  const bool is_prompt = part.path == nullptr && request.reply.n_decoded() == 0;
  (is_prompt ? request.stats.prefill_ms : request.stats.decode_ms) += ms;
  if (!is_prompt && part.chooses) ++request.stats.n_passes;
}

/// After a pass: reports, and lets the reply choose. @param parts of one request
void DecodeLoop::conclude(std::span<Part> parts) {
  Part& part = parts.front();
  const auto request = part.request;
  try {
    if (part.path == nullptr && request->reply.n_decoded() == 0 && request->sink.on_prefill)
      request->sink.on_prefill(std::min(request->sequence->n_past(), request->stats.n_prompt), request->stats.n_prompt);
    if (part.chooses && request->search != nullptr) {
      search(parts);
      if (request->search->is_over()) return finish_search(request);
    } else if (part.chooses) {
      if (const auto reason = say(part)) return finish(request, *reason, nullptr);
    }
    scheduler_.set_pending(request->id, request->n_pending());
  } catch (const EngineError& error) {
    finish(request, StopReason::kError, &error);
  } catch (const std::exception& error) {
    const EngineError internal(ErrorCode::kInternal, concat("Generating failed: ", error.what(), "."));
    finish(request, StopReason::kError, &internal);
  }
}

/// The verification: tokens are chosen one after the other, each from the logits after the one before. Behind the
/// first that was not drafted there are none. @return why the reply is over, if it is
std::optional<StopReason> DecodeLoop::say(Part& part) {
  Request& request = *part.request;
  const auto start = Clock::now();
  const int32_t n_decoded_before = request.reply.n_decoded();
  std::optional<StopReason> reason;
  for (size_t i = 0; !reason.has_value(); ++i) {
    if (request.is_cancelled) {
      reason = StopReason::kCancelled;
      break;
    }
    const size_t row = static_cast<size_t>(part.first_logit_row) + i;
    if (parts_.steer) parts_.steer(request.reply.history(), logits_.all(row));
    const Reply::Step step = request.reply.next(logits_.row(row));
    if (request.stats.ttft_ms == 0 && step.says_more) request.stats.ttft_ms = request.age_ms();
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
  queue_.change_stats([&](EngineStats& stats) { stats.n_decoded += static_cast<uint64_t>(n_said); });
  return reason;
}

// ---- requests go

/// What a pass computes with had no room. Smaller slices of prompts take less; if none are, it is the prompts that end,
/// and not the replies beside them.
void DecodeLoop::shrink(std::vector<Part> parts, const EngineError& error) {
  const auto is_prompt = [](const Part& part) { return part.n_tokens() > 1; };
  int32_t n_prompt = 0;
  for (const Part& part : parts) n_prompt += is_prompt(part) ? part.n_tokens() : 0;
  // What no limit shortens, as the rows of a search, would be tried for ever.
  if (n_prompt > kLeastSlice && scheduler_.limit_slice(std::max(kLeastSlice, n_prompt / 2))) {
    log_warning("A pass had no room for ", n_prompt, " tokens of prompts, and has fewer from now on: ", error.what());
    return;
  }
  if (n_prompt > 0) std::erase_if(parts, [&](const Part& part) { return !is_prompt(part); });
  fail(parts, error);
}

void DecodeLoop::fail(const std::vector<Part>& parts, const EngineError& error) {
  for (const Part& part : parts) {
    if (running_.contains(part.request->id)) finish(part.request, StopReason::kError, &error);
  }
}

void DecodeLoop::finish(const std::shared_ptr<Request>& request, StopReason reason, const EngineError* error) {
  request->stats.log_probs = request->reply.log_probs();
  const std::string found = request->is_searching() ? end_search(*request) : "";
  if (reason != StopReason::kError) {
    const std::string text = found + request->reply.finish();
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
  if (request->sequence != nullptr) kv_.retire(std::move(request->sequence));
  scheduler_.remove(request->id);
  running_.erase(request->id);
  count_cache();
  queue_.change_stats([&](EngineStats& stats) {
    for (size_t i = 0; i < kDraftSources; ++i) {
      stats.drafts[i].n_drafted += request->stats.drafts[i].n_drafted;
      stats.drafts[i].n_accepted += request->stats.drafts[i].n_accepted;
    }
  });
  queue_.remove(request->id);
  try {
    if (request->sink.on_done) request->sink.on_done(reason, request->stats, error);
  } catch (const std::exception& failure) {
    // The request is over: there is nobody left to tell.
    log_warning("A listener failed at the end of request ", request->id, ": ", failure.what(), ".");
  }
}

/// A reply may be quoted in later ones.
void DecodeLoop::remember(const Request& request) {
  if (!request.params.draft.is_enabled) return;
  for (const int32_t token : request.reply.said()) drafts_.library.append(token);
  drafts_.library.end_text();
}

}  // namespace outpost
