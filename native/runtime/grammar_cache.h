// The grammars that a model's requests used lately, so that the next request with the same one finds its masks made.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "grammar/grammar_program.h"
#include "runtime/loaded_model.h"

namespace outpost {

/// What a grammar may allow of a vocabulary. @param tokenizer must outlive it
std::shared_ptr<const TokenTexts> token_texts(const Tokenizer& tokenizer);

/// `get` may be called on any thread; the programs are the decode thread's.
class GrammarCache {
 public:
  explicit GrammarCache(const LoadedModel& model) : model_(model) {}

  /// @throws EngineError kInvalidArgument, as parse_gbnf
  std::shared_ptr<GrammarProgram> get(const std::string& gbnf);

 private:
  static constexpr size_t kMost = 8;
  struct Entry {
    std::string gbnf;
    std::shared_ptr<GrammarProgram> program;
  };

  const LoadedModel& model_;
  std::mutex mutex_;
  std::shared_ptr<const TokenTexts> texts_;  // made for the first grammar
  std::list<Entry> entries_;                 // most recently used first
};

}  // namespace outpost
