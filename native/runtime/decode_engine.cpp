// What others see of the engine: takes requests in, on any thread, and hands them to the decode thread.
#include "runtime/decode_engine.h"

#include <atomic>
#include <filesystem>
#include <functional>
#include <new>
#include <thread>

#include "core/hash.h"
#include "core/strings.h"
#include "grammar/json_schema.h"
#include "kv/kv_file.h"
#include "runtime/complete_request.h"
#include "runtime/decode_loop.h"
#include "runtime/decode_queue.h"
#include "runtime/draft_texts.h"
#include "runtime/grammar_cache.h"
#include "runtime/loaded_model.h"

namespace outpost {
namespace {

class DecodeEngine final : public Engine {
 public:
  DecodeEngine(std::shared_ptr<const LoadedModel> model, const EngineOptions& options, DecodeParts parts)
      : model_(std::move(model)),
        loop_(model_, options, std::move(parts), queue_),
        texts_(model_->tokenizer(), loop_.n_draft_tokens()),
        grammars_(*model_),
        thread_([this] { loop_.run(); }) {}

  ~DecodeEngine() override {
    queue_.close();
    thread_.join();
  }

  uint64_t submit(GenerateRequest params, GenerateSink sink) override {
    complete_request(*model_, loop_.n_ctx(), params);
    const Tokenizer& tokenizer = model_->tokenizer();
    std::shared_ptr<GrammarProgram> grammar;
    if (!params.json_schema.empty()) grammar = grammars_.get(json_schema_to_gbnf(params.json_schema));
    if (!params.grammar.empty()) grammar = grammars_.get(params.grammar);
    auto request = std::make_shared<Request>(next_id_.fetch_add(1), *model_, std::move(params), std::move(sink),
                                             loop_.n_ctx(), std::move(grammar));
    if (request->params.draft.is_enabled) {
      request->original = tokenizer.encode_inside(request->params.draft.original);
      request->new_texts = texts_.read(request->params.draft.texts);
    }
    const uint64_t id = request->id;
    queue_.submit(std::move(request));
    return id;
  }

  void cancel(uint64_t request_id) override { queue_.cancel(request_id); }

  EngineStats stats() const override {
    EngineStats stats = queue_.stats();
    if (model_->info().n_expert == 0) return stats;
    try {
      stats.experts = model_->stages().expert_cache_stats();
    } catch (const EngineError& error) {
      // Of a device that is lost its requests say so; the rest is known all the same.
      if (error.code() != ErrorCode::kDeviceLost) throw;
    }
    return stats;
  }

  const Model& model() const override { return *model_; }

  CacheFile save_cache(const std::string& path) override {
    return between_passes([&] { return save_kv(loop_.cache(), identity(), path); });
  }

  CacheFile restore_cache(const std::string& path) override {
    return between_passes([&] { return restore_kv(loop_.cache(), identity(), path); });
  }

  CacheFile forget_cache(const std::string& path) override {
    const CacheFile forgotten = between_passes([&] {
      KvCache& kv = loop_.cache();
      const uint64_t before = kv.used_bytes() + kv.spare_bytes();
      const int64_t n_tokens = kv.n_tokens();
      kv.forget_finished();
      return CacheFile{n_tokens - kv.n_tokens(), before - kv.used_bytes() - kv.spare_bytes()};
    });
    std::error_code error;
    std::filesystem::remove(path, error);
    if (error) {
      throw EngineError(ErrorCode::kFileUnreadable,
                        concat("The saved context ", in_quotes(path), " cannot be deleted: ", error.message(), "."));
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

  CacheFile between_passes(std::function<CacheFile()> body) {
    return queue_.run(DecodeQueue::Task([this, body = std::move(body)] {
      const std::lock_guard device_lock(model_->device_mutex());
      const CacheFile file = body();
      loop_.count_cache();
      return file;
    }));
  }

  const std::shared_ptr<const LoadedModel> model_;
  DecodeQueue queue_;
  DecodeLoop loop_;
  DraftTexts texts_;
  GrammarCache grammars_;
  std::atomic<uint64_t> next_id_{1};
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
