// A model ready to compute: file, tokenizer, backend and weights. The library's implementation of `Model`.
#pragma once

#include <memory>
#include <mutex>

#include "backend/backend.h"
#include "engine.h"
#include "gguf/gguf_file.h"
#include "model/network.h"
#include "tokenizer/prefix_index.h"
#include "tokenizer/tokenizer.h"

namespace outpost {

class LoadedModel final : public Model {
 public:
  LoadedModel(const std::string& path, const LoadOptions& options);

  const ModelInfo& info() const override { return info_; }
  std::vector<ExpertUsage> expert_usage() const override { return network_->expert_usage(); }
  std::vector<int32_t> tokenize(std::string_view text, const TokenizeOptions& options) const override;
  std::string detokenize(std::span<const int32_t> tokens) const override;

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const PrefixIndex& prefix_index() const { return prefix_index_; }
  /// The one computation device: whoever uses backend() or network() holds this lock.
  std::mutex& device_mutex() const { return device_mutex_; }
  Backend& backend() const { return *backend_; }
  Network& network() const { return *network_; }

  /// Of the file: its description, size, and a part of its weights. Another model has another, or at worst is the
  /// same one with a few weights changed by hand.
  uint64_t fingerprint() const { return file_.fingerprint(); }

  /// @throws EngineError kInvalidArgument naming the first id outside the vocabulary
  void check_ids(std::span<const int32_t> tokens) const;

 private:
  void fill_info();

  GgufFile file_;
  std::unique_ptr<Tokenizer> tokenizer_;
  PrefixIndex prefix_index_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Network> network_;
  ModelInfo info_;
  mutable std::mutex device_mutex_;
};

}  // namespace outpost
