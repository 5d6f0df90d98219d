// The decode thread: takes the most urgent request that can run and advances it by one slice, again and again.
// A slice is at most n_prefill tokens of a prompt, or one token of a reply; between slices a more urgent
// request starts and a cancelled one ends.
#include <algorithm>
#include <condition_variable>
#include <list>
#include <new>
#include <optional>
#include <thread>

#include "core/log.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "runtime/loaded_model.h"
#include "runtime/request.h"

namespace outpost {
namespace {

/// Longest begin_with. It serves for the word at the cursor and the blanks before it; each of its tokens is computed
/// alone, so that a longer text belongs into the prompt.
constexpr size_t kMaxBeginBytes = 256;

double ms_since(Request::Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Request::Clock::now() - start).count();
}

class DecodeEngine final : public Engine {
 public:
  DecodeEngine(std::shared_ptr<const LoadedModel> model, const EngineOptions& options)
      : model_(std::move(model)),
        n_ctx_(options.n_ctx > 0 ? options.n_ctx : model_->info().n_ctx_train),
        n_prefill_(options.n_prefill),
        kv_(model_->backend(), model_->network().kv_shape(),
            kv_format(options.kv, model_->network().kv_shape().n_layer), kv_budget(*model_, n_ctx_, options),
            options.n_prefill) {
    stats_.kv_bytes_total = kv_.total_bytes();
    thread_ = std::thread([this] { run(); });
  }

  ~DecodeEngine() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
      for (auto& request : requests_) request->is_cancelled = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  uint64_t submit(GenerateRequest params, GenerateSink sink) override {
    const Vocabulary& vocab = model_->tokenizer().vocabulary();
    if (params.tokens.empty()) {
      if (vocab.bos < 0)
        throw EngineError(ErrorCode::kInvalidArgument,
                          "The prompt is empty and the model has no BOS token to start from.");
      params.tokens.push_back(vocab.bos);
    }
    model_->check_ids(params.tokens);
    if (params.n_predict < 1)
      throw EngineError(ErrorCode::kInvalidArgument,
                        concat("n_predict is ", params.n_predict, "; expected at least 1."));
    check_begin(params.begin_with);
    if (params.tokens.size() >= static_cast<size_t>(n_ctx_)) {
      throw EngineError(ErrorCode::kContextFull, concat("The prompt has ", params.tokens.size(),
                                                        " tokens; the context holds ", n_ctx_, " with the reply."));
    }
    auto request = std::make_shared<Request>(next_id_.fetch_add(1), std::move(params), std::move(sink));
    request->begin = begin_bytes(request->params);
    request->stats.n_ctx = n_ctx_;
    const uint64_t id = request->id;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(std::move(request));
      stats_.n_active = static_cast<int32_t>(requests_.size());
    }
    wake_.notify_one();
    return id;
  }

  void cancel(uint64_t request_id) override {
    const std::lock_guard lock(mutex_);
    for (auto& request : requests_) {
      if (request->id == request_id) request->is_cancelled = true;
    }
  }

  EngineStats stats() const override {
    EngineStats stats;
    {
      const std::lock_guard lock(mutex_);
      stats = stats_;
    }
    if (model_->info().n_expert > 0) stats.experts = model_->backend().expert_cache_stats();
    return stats;
  }

  const Model& model() const override { return *model_; }

 private:
  static void check_begin(const std::string& text) {
    if (text.size() > kMaxBeginBytes) {
      throw EngineError(ErrorCode::kInvalidArgument,
                        concat("begin_with has ", text.size(), " bytes; at most ", kMaxBeginBytes, "."));
    }
    if (!is_utf8(text))
      throw EngineError(ErrorCode::kInvalidArgument, concat("begin_with is ", quoted(text), "; expected UTF-8."));
  }

  std::string begin_bytes(const GenerateRequest& params) const {
    if (params.begin_with.empty()) return {};
    return model_->tokenizer().bytes_after(params.tokens.back(), params.begin_with);
  }

  /// The cache's bytes: what the options say, or two full contexts.
  static uint64_t kv_budget(const LoadedModel& model, int32_t n_ctx, const EngineOptions& options) {
    const KvShape shape = model.network().kv_shape();
    const auto storage = model.backend().alloc_kv(shape, kv_format(options.kv, shape.n_layer), 1);
    const uint64_t context = kv_promised_bytes(*storage, n_ctx, options.n_prefill);
    const uint64_t n_bytes = options.kv_bytes > 0 ? options.kv_bytes : 2 * context;
    if (n_bytes < context) {
      throw EngineError(ErrorCode::kInvalidArgument,
                        concat("A KV cache of ", n_bytes, " bytes is too small for one context of ", n_ctx,
                               " positions, which takes ", context, ". Give it more, or ask for a smaller context."));
    }
    return n_bytes;
  }

  void run() {
    for (;;) {
      std::shared_ptr<Request> request;
      {
        std::unique_lock lock(mutex_);
        stats_.kv_bytes_used = kv_.used_bytes();
        stats_.kv_bytes_spare = kv_.spare_bytes();
        wake_.wait(lock, [&] { return is_stopping_ || !requests_.empty(); });
        if (requests_.empty()) return;
        request = pick();
      }
      advance(request);
    }
  }

  /// The highest class first; inside a class whoever waited longest. A request that waits for pages is
  /// passed over while another holds some; its turn comes when that one is done.
  std::shared_ptr<Request> pick() {
    const auto is_before = [](const auto& a, const auto& b) {
      if (a->is_cancelled != b->is_cancelled) return a->is_cancelled.load();
      if (a->params.priority != b->params.priority) return a->params.priority < b->params.priority;
      return a->last_step < b->last_step;
    };
    std::vector<std::shared_ptr<Request>> order(requests_.begin(), requests_.end());
    std::stable_sort(order.begin(), order.end(), is_before);
    for (auto& request : order) {
      if (request->is_cancelled || request->sequence != nullptr || start(*request)) return request;
    }
    // Nobody runs and nobody fits: the pool holds at least one context, so this cannot happen.
    return order.front();
  }

  /// Gives a request its sequence. @return false if it must wait for pages.
  bool start(Request& request) {
    const auto n_positions =
        static_cast<int32_t>(std::min<int64_t>(n_ctx_, int64_t{request.stats.n_prompt} + request.params.n_predict));
    request.sequence = kv_.begin(request.params.tokens, n_positions);
    if (request.sequence == nullptr) return false;
    request.stats.n_reused = request.sequence->n_past();
    request.stats.queue_ms = ms_since(request.submitted);
    return true;
  }

  void advance(const std::shared_ptr<Request>& request) {
    request->last_step = ++n_steps_;
    try {
      if (request->is_cancelled) return finish(request, StopReason::kCancelled, nullptr);
      if (request->logits.empty()) {
        prefill_slice(*request);
      } else if (const auto reason = decode_token(*request)) {
        finish(request, *reason, nullptr);
      }
    } catch (const EngineError& error) {
      finish(request, StopReason::kError, &error);
    } catch (const std::exception& error) {
      const EngineError internal(ErrorCode::kInternal, concat("Generating failed: ", error.what(), "."));
      finish(request, StopReason::kError, &internal);
    }
  }

  void prefill_slice(Request& request) {
    const auto start = Request::Clock::now();
    const int32_t n_past = request.sequence->n_past();
    const int32_t n = std::min(n_prefill_, request.stats.n_prompt - n_past);
    const bool is_last = n_past + n == request.stats.n_prompt;
    compute(request, std::span(request.params.tokens).subspan(static_cast<size_t>(n_past), static_cast<size_t>(n)),
            is_last);
    request.stats.prefill_ms += ms_since(start);
    if (request.sink.on_prefill) request.sink.on_prefill(request.sequence->n_past(), request.stats.n_prompt);
  }

  /// Samples the next token and computes what follows it. @return why the reply is over, if it is
  std::optional<StopReason> decode_token(Request& request) {
    const auto start = Request::Clock::now();
    const std::string_view begin_rest = std::string_view(request.begin).substr(request.n_begun);
    find_allowed(begin_rest);
    const int32_t id = request.sampler.sample(request.logits, request.history, allowed_);
    const std::string_view bytes = model_->tokenizer().bytes(id);
    const size_t n_begun = std::min(bytes.size(), begin_rest.size());
    if (request.stats.ttft_ms == 0 && (begin_rest.empty() || bytes.size() > n_begun))
      request.stats.ttft_ms = ms_since(request.submitted);
    if (model_->tokenizer().vocabulary().is_end(id)) return StopReason::kEndOfText;

    ++request.stats.n_decoded;
    request.history.push_back(id);
    request.n_begun += n_begun;
    emit(request, request.text.push(bytes.substr(n_begun)));
    if (request.text.is_stopped()) return StopReason::kStopString;
    if (request.stats.n_decoded == request.params.n_predict) return StopReason::kLength;
    if (request.sequence->n_past() == n_ctx_) return StopReason::kContextFull;
    compute(request, {&id, 1}, true);
    request.stats.decode_ms += ms_since(start);
    return std::nullopt;
  }

  /// Sets `allowed_` to the tokens that may begin `begin_rest`; to none, which allows all, if there is no rest.
  void find_allowed(std::string_view begin_rest) {
    model_->prefix_index().find(begin_rest, allowed_);
    if (allowed_.empty() && !begin_rest.empty()) {
      throw EngineError(ErrorCode::kInvalidArgument, concat("The model has no token that the text ", quoted(begin_rest),
                                                            " could begin with, and the reply must begin so."));
    }
  }

  /// Runs `tokens` after what the sequence holds.
  void compute(Request& request, std::span<const int32_t> tokens, bool wants_logits) {
    KvSequence& sequence = *request.sequence;
    const SequenceRun run{sequence.page_table, sequence.n_past(), static_cast<int32_t>(tokens.size())};
    const int32_t last_row = run.n_tokens - 1;
    const Batch batch{tokens, {&run, 1}, wants_logits ? std::span(&last_row, 1) : std::span<const int32_t>{}, n_ctx_};
    if (wants_logits) request.logits.resize(static_cast<size_t>(model_->info().n_vocab));
    const std::lock_guard lock(model_->device_mutex());
    kv_.prepare(sequence, run.n_tokens);
    model_->network().forward(batch, kv_.storage(), request.logits);
    sequence.tokens.insert(sequence.tokens.end(), tokens.begin(), tokens.end());
  }

  static void emit(Request& request, const std::string& text) {
    if (!text.empty() && request.sink.on_text) request.sink.on_text(text, request.stats.n_decoded);
  }

  void finish(const std::shared_ptr<Request>& request, StopReason reason, const EngineError* error) {
    if (reason != StopReason::kError) emit(*request, request->text.finish());
    if (request->sequence != nullptr) kv_.retire(std::move(request->sequence));
    {
      const std::lock_guard lock(mutex_);
      requests_.remove(request);
      stats_.n_active = static_cast<int32_t>(requests_.size());
      stats_.kv_bytes_used = kv_.used_bytes();
    }
    try {
      if (request->sink.on_done) request->sink.on_done(reason, request->stats, error);
    } catch (const std::exception& failure) {
      // The request is over: there is nobody left to tell.
      log_warning("A listener failed at the end of request ", request->id, ": ", failure.what(), ".");
    }
  }

  const std::shared_ptr<const LoadedModel> model_;
  const int32_t n_ctx_;
  const int32_t n_prefill_;
  KvCache kv_;                    // decode thread only, once it runs
  uint64_t n_steps_ = 0;          // likewise
  std::vector<int32_t> allowed_;  // likewise; the same memory for every token
  std::atomic<uint64_t> next_id_{1};

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::list<std::shared_ptr<Request>> requests_;
  EngineStats stats_;
  bool is_stopping_ = false;

  std::thread thread_;  // last: it uses everything above
};

}  // namespace

std::unique_ptr<Engine> Engine::create(std::shared_ptr<Model> model, const EngineOptions& options) {
  if (options.n_ctx < 0)
    throw EngineError(ErrorCode::kInvalidArgument, concat("n_ctx is ", options.n_ctx, "; expected 0 or more."));
  if (options.n_prefill < 1)
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("n_prefill is ", options.n_prefill, "; expected at least 1."));
  auto loaded = std::dynamic_pointer_cast<const LoadedModel>(std::move(model));
  if (loaded == nullptr) throw EngineError(ErrorCode::kInvalidArgument, "There is no model to run.");
  try {
    return std::make_unique<DecodeEngine>(std::move(loaded), options);
  } catch (const std::bad_alloc&) {
    throw EngineError(ErrorCode::kOutOfMemory,
                      concat("There is not enough memory for a KV cache of ", options.kv_bytes, " bytes."));
  }
}

}  // namespace outpost
