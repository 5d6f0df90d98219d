// A KV cache under a random life of requests that begin alike, draft, take back, wait and come again: every logit has
// the bits of a computation from the beginning, and the budget is obeyed to the byte.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kv/kv_cache.h"
#include "runtime/loaded_model.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

namespace outpost::test {

struct KvLifeOptions {
  std::shared_ptr<const LoadedModel> model;
  KvPreset preset;
  uint64_t n_bytes;
  uint32_t seed;
  int32_t n_context = 448;
  /// Tokens of a pass: a GPU's bits are the same among passes of up to 16.
  int32_t n_most_tokens = 1 << 20;
  bool has_recorded_passes = false;
};

/// The cache, whoever runs in it, and what their logits should be. The model is tiniest_llama().
class KvLife {
 public:
  explicit KvLife(const KvLifeOptions& options)
      : options_(options),
        cache_(options.model->stages(), options.model->network().kv_shape(), kv_format(options.preset, 2),
               options.n_bytes),
        random_(options.seed) {
    for (int i = 0; i < 3; ++i) bases_.push_back(random_text(random_, options.n_context));
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
    const int32_t n_common = std::min(kPlaces[random_() % 10], options_.n_context - 1);
    const int32_t n_more = static_cast<int32_t>(random_() % 3) * 60;
    std::vector<int32_t> text(base.begin(), base.begin() + n_common);
    std::mt19937 branch(static_cast<uint32_t>(random_() % 2));
    for (const int32_t token : random_text(branch, std::min(n_more, options_.n_context - n_common)))
      text.push_back(token);
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
    int32_t n_room = options_.n_most_tokens;
    for (size_t i = 0; i < running_.size(); ++i) {
      Request& request = running_[i];
      const int32_t n_past = request.sequence->n_past(), n_left = static_cast<int32_t>(request.text.size()) - n_past;
      if (n_left == 0 || random_() % 3 == 0) continue;
      if (n_room == 0) break;
      const auto n_wanted = 1 + static_cast<int32_t>(random_() % (random_() % 2 == 0 ? 4 : 60));
      const int32_t n = std::min({n_left, n_wanted, n_room});
      const auto n_guessed = random_() % 2 == 0 ? 0 : static_cast<int32_t>(random_() % 40);
      const int32_t n_draft = std::min({options_.n_context - n_past - n, n_guessed, n_room - n});
      if (!cache_.extend(*request.sequence, n_past + n + n_draft)) {
        ++n_refused;
        over.push_back(i);  // it is parked
        continue;
      }
      n_room -= n + n_draft;
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
    const auto n_vocab = static_cast<size_t>(options_.model->info().n_vocab);
    std::vector<float> logits(rows.size() * n_vocab);
    Network& network = const_cast<LoadedModel&>(*options_.model).network();
    // A pass that ends between two layers leaves nothing that anybody reads: its requests go on, or end.
    const bool is_given_up = !parts.empty() && random_() % 4 == 0;
    if (is_given_up) {
      int n_layers = 0;
      const auto goes_on = [&] { return n_layers++ < 1; };
      const auto error = error_of([&] {
        network.forward({tokens, runs, rows, options_.n_context, false, goes_on}, cache_.storage(), logits);
      });
      // What a device repeats as it was recorded goes on to its end.
      CHECK((error == ErrorCode::kCancelled || (options_.has_recorded_passes && !error)));
      for (const Part& part : parts) cache_.roll_back(*part.request->sequence, part.n_past);
      ++n_given_up;
      parts.clear();
    }
    if (!parts.empty()) network.forward({tokens, runs, rows, options_.n_context}, cache_.storage(), logits);
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
    return expected_[text] = evaluate_logits(*options_.model, text, static_cast<int32_t>(text.size()),
                                             std::min(64, options_.n_most_tokens),
                                             kKvPresetNames[static_cast<size_t>(options_.preset)]);
  }

  std::vector<int32_t> random_text(std::mt19937& random, int32_t n) const {
    const auto n_vocab = static_cast<uint32_t>(options_.model->info().n_vocab);
    std::vector<int32_t> tokens(static_cast<size_t>(n));
    for (int32_t& token : tokens) token = static_cast<int32_t>(random() % n_vocab);
    return tokens;
  }

  const KvLifeOptions options_;
  KvCache cache_;
  std::mt19937 random_;
  std::vector<std::vector<int32_t>> bases_;
  std::vector<Request> running_;
  std::map<std::vector<int32_t>, std::vector<float>> expected_;
};

}  // namespace outpost::test
