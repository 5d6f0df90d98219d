// The KV cache under a random life of requests that begin alike, draft, take back, wait and come again: every logit has
// the bits of a computation from the beginning, and the budget is obeyed to the byte.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

#include "kv/kv_cache.h"
#include "runtime/loaded_model.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr int32_t kContext = 448;

std::shared_ptr<const LoadedModel> tiny() {
  static const std::shared_ptr<const LoadedModel> model = [] {
    TinyLlama llama;
    llama.pieces = word_pieces();
    llama.pieces.resize(16);
    llama.n_layer = 2;
    llama.n_embd = 32;
    llama.n_head = 2;
    llama.n_head_kv = 1;
    llama.n_ff = 32;
    const TempDir dir;
    LoadOptions options;
    options.n_threads = 1;
    return std::dynamic_pointer_cast<const LoadedModel>(
        Model::load(dir.write("tiny.gguf", with_random_weights(llama).bytes()), options));
  }();
  return model;
}

std::vector<int32_t> random_text(std::mt19937& random, int32_t n) {
  std::vector<int32_t> tokens(static_cast<size_t>(n));
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % static_cast<uint32_t>(tiny()->info().n_vocab));
  return tokens;
}

/// A cache, whoever runs in it, and what their logits should be.
class Life {
 public:
  Life(KvPreset preset, uint64_t n_bytes, uint32_t seed)
      : preset_(kKvPresetNames[static_cast<size_t>(preset)]),
        format_(kv_format(preset, 2)),
        cache_(tiny()->stages(), tiny()->network().kv_shape(), format_, n_bytes),
        random_(seed) {
    for (int i = 0; i < 3; ++i) bases_.push_back(random_text(random_, kContext));
  }

  void step() {
    const uint32_t what = random_() % 10;
    if (running_.size() < 4 && what < 3) {
      start();
    } else if (!running_.empty() && what < 9) {
      pass();
    } else if (!running_.empty()) {
      retire(random_() % running_.size());
    }
    CHECK(cache_.storage().allocated_bytes() <= cache_.total_bytes());
    CHECK(cache_.used_bytes() + cache_.spare_bytes() <= cache_.total_bytes());
  }

  /// Everybody goes, and what is left can be given to one.
  void end() {
    while (!running_.empty()) retire(0);
    std::vector<int32_t> unheard_of = random_text(random_, 2);
    unheard_of[0] = -1;
    constexpr int32_t n_most = 100;  // of a pass
    auto whole = cache_.begin(unheard_of, n_most);
    REQUIRE(whole != nullptr);
    CHECK(cache_.used_bytes() <= cache_.total_bytes());
    cache_.retire(std::move(whole));
  }

  int n_reused = 0, n_refused = 0, n_rolled_back = 0, n_given_up = 0;

 private:
  struct Request {
    std::vector<int32_t> text;
    std::unique_ptr<KvSequence> sequence;
  };

  void start() {
    const auto& base = bases_[random_() % bases_.size()];
    // Texts end, and part, in the same few places, inside of pages and between them.
    static constexpr int32_t kPlaces[] = {20, 64, 100, 128, 129, 191, 192, 250, 320, 447};
    const int32_t n_common = kPlaces[random_() % 10], n_more = static_cast<int32_t>(random_() % 3) * 60;
    std::vector<int32_t> text(base.begin(), base.begin() + n_common);
    std::mt19937 branch(static_cast<uint32_t>(random_() % 2));
    for (const int32_t token : random_text(branch, std::min(n_more, kContext - n_common))) text.push_back(token);
    auto sequence = cache_.begin(text, static_cast<int32_t>(text.size()));
    if (sequence == nullptr) {
      ++n_refused;
      return;
    }
    REQUIRE(sequence->n_past() < static_cast<int32_t>(text.size()));
    CHECK(std::equal(sequence->tokens.begin(), sequence->tokens.end(), text.begin()));
    n_reused += sequence->n_past();
    running_.push_back({std::move(text), std::move(sequence)});
  }

  /// Some of the running ones in one batch, each with some tokens and perhaps a draft that is wrong.
  void pass() {
    struct Part {
      Request* request;
      int32_t n_past, n_tokens, n_draft;
    };
    std::vector<Part> parts;
    std::vector<size_t> over;
    for (size_t i = 0; i < running_.size(); ++i) {
      Request& request = running_[i];
      const int32_t n_past = request.sequence->n_past(), n_left = static_cast<int32_t>(request.text.size()) - n_past;
      if (n_left == 0 || random_() % 3 == 0) continue;
      const int32_t n = std::min<int32_t>(n_left, 1 + static_cast<int32_t>(random_() % (random_() % 2 == 0 ? 4 : 60)));
      const int32_t n_draft = random_() % 2 == 0 ? 0 : std::min<int32_t>(kContext - n_past - n, random_() % 40);
      if (!cache_.extend(*request.sequence, n_past + n + n_draft)) {
        ++n_refused;
        over.push_back(i);  // it is parked
        continue;
      }
      parts.push_back({&request, n_past, n, n_draft});
    }
    std::vector<int32_t> tokens, rows;
    std::vector<SequenceRun> runs;
    for (const Part& part : parts) {
      const auto from = part.request->text.begin() + part.n_past;
      tokens.insert(tokens.end(), from, from + part.n_tokens);
      for (int32_t i = 0; i < part.n_draft; ++i) tokens.push_back(3);
      runs.push_back({part.request->sequence->page_table, part.n_past, part.n_tokens + part.n_draft});
      rows.push_back(static_cast<int32_t>(tokens.size()) - part.n_draft - 1);
    }
    const auto n_vocab = static_cast<size_t>(tiny()->info().n_vocab);
    std::vector<float> logits(rows.size() * n_vocab);
    Network& network = const_cast<LoadedModel&>(*tiny()).network();
    // A pass that ends between two layers leaves nothing that anybody reads: its requests go on, or end.
    const bool is_given_up = !parts.empty() && random_() % 4 == 0;
    if (is_given_up) {
      int n_layers = 0;
      const auto goes_on = [&] { return n_layers++ < 1; };
      CHECK(error_of([&] {
              network.forward({tokens, runs, rows, kContext, false, goes_on}, cache_.storage(), logits);
            }) == ErrorCode::kCancelled);
      for (const Part& part : parts) cache_.roll_back(*part.request->sequence, part.n_past);
      ++n_given_up;
      parts.clear();
    }
    if (!parts.empty()) network.forward({tokens, runs, rows, kContext}, cache_.storage(), logits);
    for (size_t i = 0; i < parts.size(); ++i) {
      auto& known = parts[i].request->sequence->tokens;
      const int32_t end = parts[i].n_past + parts[i].n_tokens;
      known.assign(parts[i].request->text.begin(), parts[i].request->text.begin() + end);
      if (parts[i].n_draft > 0) {
        known.resize(static_cast<size_t>(end + parts[i].n_draft), 3);
        cache_.roll_back(*parts[i].request->sequence, end);
        ++n_rolled_back;
      }
      const auto& expected = expected_of(parts[i].request->text);
      const auto row = std::span(expected).subspan(static_cast<size_t>(end - 1) * n_vocab, n_vocab);
      CHECK(std::equal(row.begin(), row.end(), logits.begin() + static_cast<int64_t>(i * n_vocab)));
    }
    for (auto it = over.rbegin(); it != over.rend(); ++it) retire(*it);
  }

  void retire(size_t i) {
    if (random_() % 4 == 0) {  // as a draft model does
      auto& sequence = *running_[i].sequence;
      cache_.extend(sequence, sequence.n_past());
      cache_.truncate(sequence, static_cast<int32_t>(random_() % static_cast<uint32_t>(sequence.n_past() + 1)));
    }
    cache_.retire(std::move(running_[i].sequence));
    running_.erase(running_.begin() + static_cast<int64_t>(i));
  }

  const std::vector<float>& expected_of(const std::vector<int32_t>& text) {
    // What comes later changes nothing: of texts that begin alike the longest is computed, once.
    for (const auto& [other, logits] : expected_) {
      if (other.size() >= text.size() && std::equal(text.begin(), text.end(), other.begin())) return logits;
    }
    return expected_[text] = evaluate_logits(*tiny(), text, static_cast<int32_t>(text.size()), 64, preset_);
  }

  std::string preset_;
  KvFormat format_;
  KvCache cache_;
  std::mt19937 random_;
  std::vector<std::vector<int32_t>> bases_;
  std::vector<Request> running_;
  std::map<std::vector<int32_t>, std::vector<float>> expected_;
};

}  // namespace

TEST_CASE("reuse, drafts and evictions change no bit of a logit, and no byte more than the budget is used") {
  for (const KvPreset preset : {KvPreset::kExact, KvPreset::kCompact, KvPreset::kMax}) {
    CAPTURE(kKvPresetNames[static_cast<size_t>(preset)]);
    const auto one = tiny()->stages().alloc_kv(tiny()->network().kv_shape(), kv_format(preset, 2), 1);
    const uint64_t least = kv_promised_bytes(*one, kContext) + kv_pass_bytes(*one, 100);
    for (const uint64_t n_bytes : {least, 2 * least, 8 * least}) {
      CAPTURE(n_bytes);
      Life life(preset, n_bytes, static_cast<uint32_t>(n_bytes));
      for (int i = 0; i < 250; ++i) life.step();
      life.end();
      CHECK(life.n_reused > 0);
      CHECK(life.n_rolled_back > 0);
      CHECK(life.n_given_up > 0);
      if (n_bytes == least) CHECK(life.n_refused > 0);
    }
  }
}
