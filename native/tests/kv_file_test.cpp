// Saved contexts: a later engine goes on with the same bits, and a file that is damaged, foreign or cut is refused
// whole.
#include "kv/kv_file.h"

#include <doctest/doctest.h>

#ifndef _WIN32
#include <sys/resource.h>

#include <csignal>
#endif

#include <algorithm>
#include <filesystem>
#include <random>

#include "runtime/loaded_model.h"
#include "tests/support/recorder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

std::shared_ptr<Model> load(const TempDir& dir, const TinyLlama& tiny) {
  LoadOptions options;
  options.n_threads = 1;
  return Model::load(dir.write("tiny.gguf", tiny.bytes()), options);
}

std::vector<int32_t> random_text(int32_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens = {1};
  while (static_cast<int32_t>(tokens.size()) < n) tokens.push_back(text_token(static_cast<int32_t>(random() % 16)));
  return tokens;
}

Recorder& run(Engine& engine, std::vector<int32_t> tokens, Recorder& recorder) {
  GenerateRequest request;
  request.tokens = std::move(tokens);
  request.n_predict = 20;
  request.sampler.temperature = 1;
  request.sampler.seed = 7;
  engine.submit(request, recorder.sink());
  recorder.wait();
  return recorder;
}

EngineOptions with(KvPreset preset) {
  EngineOptions options;
  options.kv = preset;
  return options;
}

std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("logits after a restored context have the bits that they had before") {
  const TempDir dir;
  const auto model = std::dynamic_pointer_cast<LoadedModel>(load(dir, tiniest_llama()));
  const auto n_vocab = static_cast<size_t>(model->info().n_vocab);
  const auto text = random_text(300, 1), fork = [&] {
    auto tokens = random_text(260, 2);
    std::copy_n(text.begin(), 150, tokens.begin());
    return tokens;
  }();
  const auto compute = [&](KvCache& cache, KvSequence& sequence, const std::vector<int32_t>& tokens) {
    REQUIRE(cache.extend(sequence, static_cast<int32_t>(tokens.size())));
    const int32_t n_past = sequence.n_past(), n = static_cast<int32_t>(tokens.size()) - n_past;
    const SequenceRun run{sequence.page_table, n_past, n};
    const int32_t row = n - 1;
    std::vector<float> logits(n_vocab);
    model->network().forward({std::span(tokens).last(static_cast<size_t>(n)), {&run, 1}, {&row, 1}, 512},
                             cache.storage(), logits);
    sequence.tokens = tokens;
    return logits;
  };
  for (const KvPreset preset : {KvPreset::kExact, KvPreset::kSafe, KvPreset::kCompact, KvPreset::kMax}) {
    const char* name = kKvPresetNames[static_cast<size_t>(preset)];
    CAPTURE(name);
    const KvShape shape = model->network().kv_shape();
    const auto make = [&] { return std::make_unique<KvCache>(model->stages(), shape, kv_format(preset, 2), 1 << 22); };
    const std::string path = dir.path("context.kv");
    const auto saved = make();
    for (const auto& tokens : {text, fork}) {
      auto sequence = saved->begin(tokens, static_cast<int32_t>(tokens.size()));
      REQUIRE(sequence != nullptr);
      compute(*saved, *sequence, tokens);
      saved->retire(std::move(sequence));
    }
    const CacheFile file = save_kv(*saved, 42, path);
    CHECK(file.n_tokens == saved->n_tokens());
    CHECK(file.n_bytes == std::filesystem::file_size(path));

    const auto restored = make();
    CHECK(restore_kv(*restored, 42, path).n_tokens == file.n_tokens);
    CHECK(restored->n_tokens() == file.n_tokens);
    CHECK(restored->used_bytes() + restored->spare_bytes() <= saved->used_bytes() + saved->spare_bytes());
    for (auto tokens : {text, fork}) {
      for (const int32_t token : random_text(90, 3)) tokens.push_back(token);
      auto sequence = restored->begin(tokens, static_cast<int32_t>(tokens.size()));
      REQUIRE(sequence != nullptr);
      CHECK(sequence->n_past() == static_cast<int32_t>(tokens.size()) - 90);
      CHECK(compute(*restored, *sequence, tokens) == evaluate_logits(*model, tokens, 1, 64, name));
      restored->retire(std::move(sequence));
    }
    CHECK(restore_kv(*restored, 42, path).n_tokens == 0);  // it is all there
  }
}

TEST_CASE("a prompt as long as the context runs in the memory that an engine takes for it, with every preset") {
  const TempDir dir;
  TinyLlama tiny = tiniest_llama();
  tiny.n_ctx_train = 4096;
  const auto model = load(dir, tiny);
  for (const KvPreset preset : {KvPreset::kExact, KvPreset::kSafe, KvPreset::kCompact, KvPreset::kMax}) {
    CAPTURE(kKvPresetNames[static_cast<size_t>(preset)]);
    const auto engine = Engine::create(model, with(preset));
    Recorder one, other;
    GenerateRequest request;
    request.n_predict = 4;
    for (Recorder* recorder : {&one, &other}) {  // side by side: one waits for the other's pages
      request.tokens = random_text(4090, recorder == &one ? 5 : 6);
      engine->submit(request, recorder->sink());
    }
    for (Recorder* recorder : {&one, &other}) {
      recorder->wait();
      CHECK_FALSE(recorder->error.has_value());
      CHECK(recorder->reason != StopReason::kError);
    }
  }
}

TEST_CASE("an engine that takes over the context of another computes the new part only, and says the same") {
  const TempDir dir;
  const auto model = load(dir, tiniest_llama());
  const std::string path = dir.path("context.kv");
  Recorder first, again, plain;
  {
    const auto engine = Engine::create(model, with(KvPreset::kCompact));
    run(*engine, random_text(200, 1), first);
    CHECK(engine->save_cache(path).n_tokens >= 200);
  }
  const auto engine = Engine::create(model, with(KvPreset::kCompact));
  CHECK(engine->restore_cache(path).n_tokens >= 200);
  CHECK(engine->stats().kv_bytes_used <= engine->stats().kv_bytes_total);
  run(*engine, random_text(200, 1), again);
  CHECK(again.stats.n_reused == 199);
  CHECK(again.text() == first.text());
  CHECK(engine->stats().n_reused == 199);
  CHECK(engine->stats().n_prompt == 200);
  CHECK(engine->stats().n_kv_tokens >= 200);
}

TEST_CASE("a saved context is refused by whoever would compute other bits") {
  const TempDir dir;
  const auto model = load(dir, tiniest_llama());
  const std::string path = dir.path("context.kv");
  Recorder recorder;
  const auto engine = Engine::create(model, with(KvPreset::kCompact));
  run(*engine, random_text(100, 1), recorder);
  engine->save_cache(path);
  const auto refused_by = [&](Engine& other) {
    const bool is_refused = error_of([&] { other.restore_cache(path); }) == ErrorCode::kInvalidArgument;
    return is_refused &&
           message_of([&] { other.restore_cache(path); }).find("another model, device or way") != std::string::npos;
  };
  CHECK(refused_by(*Engine::create(model, with(KvPreset::kMax))));
  CHECK(refused_by(*Engine::create(model)));
  TinyLlama swapped = tiniest_llama();  // the same shape under the same name, with one weight changed
  const TempDir elsewhere;
  std::string bytes = swapped.bytes();
  bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
  const auto changed = Model::load(elsewhere.write("tiny.gguf", bytes), {});
  CHECK(refused_by(*Engine::create(changed, with(KvPreset::kCompact))));
  CHECK(error_of([&] { engine->restore_cache(dir.path("none.kv")); }) == ErrorCode::kFileNotFound);
  calibrate_kv(*model, random_text(300, 9));
  CHECK(refused_by(*Engine::create(model, with(KvPreset::kCompact))));
}

TEST_CASE("what an engine has read can be forgotten, in memory and on the disk") {
  const TempDir dir;
  const auto model = load(dir, tiniest_llama());
  const std::string path = dir.path("context.kv");
  const auto engine = Engine::create(model, with(KvPreset::kCompact));
  Recorder recorder;
  run(*engine, random_text(200, 1), recorder);
  engine->save_cache(path);
  CHECK(engine->forget_cache(path).n_tokens >= 200);
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(engine->stats().n_kv_tokens == 0);
  CHECK(engine->stats().kv_bytes_used == 0);
  CHECK(engine->forget_cache(path).n_tokens == 0);  // nothing is left, and that is no error
}

TEST_CASE("a saved context that is damaged anywhere is refused, and nothing of it is used") {
  const TempDir dir;
  const auto model = load(dir, tiniest_llama());
  const std::string path = dir.path("context.kv");
  Recorder recorder;
  const auto engine = Engine::create(model, with(KvPreset::kCompact));
  run(*engine, random_text(150, 1), recorder);
  engine->save_cache(path);
  const std::string whole = read_bytes(path);
  const auto fresh = Engine::create(model, with(KvPreset::kCompact));
  const auto is_refused = [&](const std::string& bytes) {
    dir.write("damaged.kv", bytes);
    const bool refused = error_of([&] { fresh->restore_cache(dir.path("damaged.kv")); }) == ErrorCode::kInvalidArgument;
    return refused && fresh->stats().n_kv_tokens == 0;
  };
  std::mt19937 random(5);
  for (int i = 0; i < 300; ++i) {
    std::string bytes = whole;
    const size_t at = i < 60 ? static_cast<size_t>(i) : random() % bytes.size();  // the heads byte by byte
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
    CAPTURE(at);
    CHECK(is_refused(bytes));
  }
  for (const size_t n : {size_t{1}, size_t{39}, size_t{41}, whole.size() / 2, whole.size() - 1}) {
    CAPTURE(n);
    CHECK(is_refused(whole.substr(0, n)));
  }
  CHECK(is_refused(whole + "x"));
  CHECK(is_refused("GGUF and something else, which is no saved context at all"));
  CHECK(fresh->restore_cache(path).n_tokens >= 150);
}

TEST_CASE("of a saved context a smaller cache takes over what it has room for") {
  const TempDir dir;
  const auto model = load(dir, tiniest_llama());
  const std::string path = dir.path("context.kv");
  Recorder recorders[2], again;
  const auto engine = Engine::create(model);
  for (uint32_t i = 0; i < 2; ++i) run(*engine, random_text(400, i + 1), recorders[i]);
  engine->save_cache(path);
  EngineOptions small;
  small.n_ctx = 448;
  small.kv_bytes = 8 * 64 * model->info().kv_bytes_per_token;
  const auto other = Engine::create(model, small);
  const CacheFile file = other->restore_cache(path);
  CHECK(file.n_tokens > 0);
  CHECK(file.n_tokens <= 512);
  CHECK(other->stats().kv_bytes_used <= other->stats().kv_bytes_total);
  run(*other, random_text(400, 1), again);
  CHECK(again.text() == recorders[0].text());
}

#ifndef _WIN32
TEST_CASE("a disk that fills up while a context is saved leaves the one that was there") {
  const TempDir dir;
  const auto model = load(dir, tiniest_llama());
  const std::string path = dir.path("context.kv");
  Recorder recorder;
  const auto engine = Engine::create(model);
  run(*engine, random_text(300, 1), recorder);
  dir.write("context.kv", "the one before");
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited{4 * 1024, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limited) == 0);
  const auto code = error_of([&] { engine->save_cache(path); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(code == ErrorCode::kFileUnreadable);
  CHECK(read_bytes(path) == "the one before");
  Recorder after;
  run(*engine, random_text(300, 1), after);  // the engine goes on
  CHECK(after.text() == recorder.text());
}
#endif
