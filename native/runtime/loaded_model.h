// A model ready to compute: file, tokenizer, backend and weights. The library's implementation of `Model`.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "backend/kv_calibration.h"
#include "backend/stages.h"
#include "core/available_memory.h"
#include "core/fair_mutex.h"
#include "engine.h"
#include "gguf/gguf_file.h"
#include "model/network.h"
#include "tokenizer/prefix_index.h"
#include "tokenizer/tokenizer.h"

namespace outpost {

/// How much memory the host has available, in bytes; nothing if nobody knows.
using AvailableMemory = std::function<std::optional<uint64_t>()>;

class LoadedModel final : public Model {
 public:
  /// @param available asked for what experts may take of the host's memory
  LoadedModel(const std::string& path, const LoadOptions& options,
              const AvailableMemory& available = available_memory_bytes);

  const ModelInfo& info() const override { return info_; }
  std::vector<ExpertUsage> expert_usage() const override { return network_->expert_usage(); }
  std::vector<int32_t> tokenize(std::string_view text, const TokenizeOptions& options) const override;
  std::string detokenize(std::span<const int32_t> tokens) const override;

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const PrefixIndex& prefix_index() const { return prefix_index_; }
  /// Whoever uses stages() or network() holds this lock.
  FairMutex& device_mutex() const { return device_mutex_; }
  Stages& stages() const { return *stages_; }
  Network& network() const { return *network_; }

  /// Of the file: its description, size, and a part of its weights. Another model has another, or at worst is the
  /// same one with a few weights changed by hand.
  uint64_t fingerprint() const { return fingerprint_; }

  /// How keys and values are kept, with this model's calibration if there is one. Names are those of parse_kv_format;
  /// "-plain" behind one leaves the calibration out. @throws EngineError kInvalidArgument
  KvFormat kv_format(KvPreset preset) const { return kv_format(kKvPresetNames[static_cast<size_t>(preset)]); }
  KvFormat kv_format(const std::string& name) const;
  /// Takes over the calibration that lies beside the model now, for caches made from now on. One that cannot be used is
  /// as good as none: packing costs a little more then. @return whether there is one that fits
  bool find_calibration() const;
  /// For caches made from now on.
  void set_calibration(std::shared_ptr<const KvCalibration> calibration) const;

  /// @throws EngineError kInvalidArgument naming the first id outside the vocabulary
  void check_ids(std::span<const int32_t> tokens) const;

 private:
  void fill_info(const LoadOptions& options);

  GgufFile file_;
  uint64_t fingerprint_;
  std::unique_ptr<Tokenizer> tokenizer_;
  PrefixIndex prefix_index_;
  std::unique_ptr<Stages> stages_;
  std::unique_ptr<Network> network_;
  mutable std::mutex calibration_mutex_;
  mutable std::shared_ptr<const KvCalibration> calibration_;
  ModelInfo info_;
  mutable FairMutex device_mutex_;
};

}  // namespace outpost
