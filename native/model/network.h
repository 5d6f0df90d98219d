// A model's weights and its forward pass over a batch. One implementation per architecture.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "backend/stages.h"
#include "gguf/gguf_file.h"
#include "model/hparams.h"

namespace outpost {

/// Tokens of one or several sequences that are computed together.
struct Batch {
  std::span<const int32_t> tokens;
  std::span<const SequenceRun> runs;    ///< together they cover `tokens`, in order
  std::span<const int32_t> logit_rows;  ///< rows of the batch whose logits are wanted
  int32_t n_ctx;  ///< positions that a sequence in this cache may have; the same for all batches of one cache
  /// In place of logits: what they are computed from, the normalized residual stream of these rows.
  bool wants_hidden = false;
  /// Asked before each layer, if there is one; false gives the pass up.
  std::function<bool()> goes_on = nullptr;
  /// Receives the normalized residual stream of all tokens [n_tokens, n_embd] beside the logits; empty: not wanted.
  std::span<float> hidden = {};
  /// Receives Shortlists of the logits, as the bits of their words [logit_rows.size(), kShortlistWords], in place of
  /// these; `read_logits` has them then. Empty: not wanted. Only where the last stage's backend has them.
  std::span<float> shortlists = {};
};

/// What the last pass has left on the device.
class LogitSource {
 public:
  virtual ~LogitSource() = default;
  /// Row i of the last batch's logit_rows, [n_vocab]. @pre that batch wanted shortlists, and nothing was computed since
  virtual void read_logits(int32_t i, std::span<float> logits) = 0;
};

/// A block behind the layers of a model that predicts further tokens (multi-token prediction, arXiv:2412.19437, section
/// 2.2). It goes on from hidden states: the model's at a position, or its own of the row before.
class NextTokenHead : public LogitSource {
 public:
  virtual KvShape kv_shape() const = 0;  ///< of its own keys and values
  /// Writes to `logits` what is expected behind the batch's tokens, each of which follows a position of `hidden`
  /// [n_tokens, n_embd]; and to Batch::hidden, which may be empty, what it goes on from itself.
  /// One caller at a time, and none of the network.
  virtual void forward(const Batch& batch, std::span<const float> hidden, KvStorage& kv, std::span<float> logits) = 0;
};

/// How the hidden states of a text become one vector.
enum class Pooling { kMean, kLast };

class Network : public LogitSource {
 public:
  virtual const Hparams& hparams() const = 0;
  virtual const std::vector<size_t>& weight_bytes() const = 0;  ///< of each stage
  virtual size_t table_bytes() const = 0;  ///< of the first stage's: embeddings, of which a token reads a row
  virtual KvShape kv_shape() const = 0;
  virtual NextTokenHead* head() const { return nullptr; }  ///< or null if it has none
  virtual Pooling pooling() const = 0;
  /// Of the layers that have experts; on any thread.
  virtual std::vector<ExpertUsage> expert_usage() const = 0;
  /// Writes keys and values of all tokens to `kv`, and [logit_rows.size(), n_vocab] f32 to `logits`;
  /// [logit_rows.size(), n_embd] where the batch wants hidden states.
  /// One caller at a time.
  /// @throws EngineError kCancelled if the batch does not go on; keys and values of its tokens are anything then.
  ///         kDeviceLost, and from then on always with the words of the first time
  virtual void forward(const Batch& batch, KvStorage& kv, std::span<float> logits) = 0;
};

/// @throws EngineError kModelUnsupported for a file whose architecture there is none of, kModelInvalid for one without
void check_architecture(const GgufFile& file);

/// Called with the bytes of the file that were turned into weights so far; false ends the load.
using WeightProgress = std::function<bool(uint64_t n_bytes_done, uint64_t n_bytes_total)>;

/// Binds and prepares the weights of the file's architecture, and says to `stages` how many layers it has. `file` and
/// `stages` must outlive the network.
/// @throws EngineError kModelUnsupported for an unknown architecture, kModelInvalid for missing or misshapen
///         tensors, kOutOfMemory, kCancelled
std::unique_ptr<Network> load_network(const GgufFile& file, int32_t n_vocab, Stages& stages,
                                      const WeightProgress& on_progress);

}  // namespace outpost
