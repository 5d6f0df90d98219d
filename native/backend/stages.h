// The backends that compute a model, one after the other, each with layers of its own: the first one with the
// embeddings, the last one with the output. What a token is between two of them crosses the host once per pass.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace outpost {

class Stages final : public KvAllocator {
 public:
  /// @param n_later how many layers each backend but the first computes; that one computes those before, however many
  /// they are. @pre there is a backend
  Stages(std::vector<std::unique_ptr<Backend>> backends, const std::vector<int32_t>& n_later);

  /// Says how many layers the model has. Once, before anything that follows is asked.
  /// @pre there are as many as the later backends compute
  void set_layers(int32_t n_layer);

  size_t size() const { return stages_.size(); }
  Backend& backend(size_t stage) const { return *stages_[stage].backend; }
  Backend& first() const { return *stages_.front().backend; }
  Backend& last() const { return *stages_.back().backend; }
  /// The layers [first_layer, end_layer) of a stage.
  int32_t first_layer(size_t stage) const { return stages_[stage].first_layer; }
  int32_t end_layer(size_t stage) const { return stages_[stage].end_layer; }
  /// The stage that computes layer `il`.
  size_t stage_of(int32_t il) const;

  // As of a backend, for all of them.
  std::string name() const;
  int32_t n_prefill() const;
  // Where the processor has layers, its own: they take longest.
  int32_t n_least_prefill() const;
  int32_t n_lone_prefill() const;
  ExpertCacheStats expert_cache_stats() const;

  /// Where there are several stages the storage is a StagedKv.
  std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, int32_t n_page) override;
  std::unique_ptr<KvStorage> alloc_kv(const KvShape& shape, const KvFormat& format, int32_t n_page) override;

 private:
  struct Stage {
    std::unique_ptr<Backend> backend;
    int32_t n_layer, first_layer = 0, end_layer = 0;
  };

  std::vector<Stage> stages_;
};

/// Where results of a model's passes come to on the host.
class HostResults {
 public:
  explicit HostResults(Stages& stages) : stages_(stages) {}
  /// Room for n floats; what was there is lost. @throws EngineError kOutOfMemory
  std::span<float> take(size_t n);

 private:
  Stages& stages_;
  std::unique_ptr<HostBuffer> buffer_;
};

/// Pages of which each stage keeps its own layers. A form of a page is there when every stage has it; its bytes are
/// those of the stages, one after the other. A layer's index is local to its stage.
class StagedKv final : public KvStorage {
 public:
  /// @pre all have as many pages, and are compressed, or all are not
  explicit StagedKv(std::vector<std::unique_ptr<KvStorage>> stages) : stages_(std::move(stages)) {}

  KvStorage& stage(size_t i) const { return *stages_[i]; }

  int32_t n_page() const override { return stages_.front()->n_page(); }
  size_t size_bytes() const override;
  bool is_compressed() const override { return stages_.front()->is_compressed(); }
  size_t form_bytes(KvForm form) const override;
  bool has(int32_t page, KvForm form) const override;
  void drop(int32_t page, KvForm form) override;
  bool copy_page(int32_t from, int32_t to) override;
  size_t allocated_bytes() const override;
  bool read_form(int32_t page, KvForm form, std::span<std::byte> bytes) const override;
  bool write_form(int32_t page, KvForm form, std::span<const std::byte> bytes) override;

 private:
  std::vector<std::unique_ptr<KvStorage>> stages_;
};

}  // namespace outpost
