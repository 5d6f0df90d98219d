// What is known of one model's keys, queries and values, and the bases in which packing them costs least.
//
// Packing adds noise of the same size in every direction of the space it works in. A key k is therefore kept as
// A (k - m), and a query q becomes A^-1 q: scores change by q.m, the same for all keys, which the softmax takes out
// again. With A = 1 the error of a score is tr(K) tr(Q), where K and Q are the second moments of keys (about their
// mean m) and queries. The least that any A reaches is (tr (K^1/2 Q K^1/2)^1/2)^2, by the geometric mean of 1/K and Q:
// A^2 = K^-1/2 (K^1/2 Q K^1/2)^1/2 K^-1/2. Values likewise, all directions of the result being worth the same:
// A = V^-1/4. Calibration after OSCAR (arXiv:2605.17757), which rotates only; a rotation over the whole head
// (KvRotation) still follows, so that what is packed looks normal.
//
// Moments are taken as if the tokens stood anywhere in the context: rotary embeddings turn keys with their position,
// and a mean that holds in the first thousand positions may be wrong behind them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "core/symmetric_matrix.h"

namespace outpost {

/// Heads beyond share what is known of several: a layer has at most this many.
inline constexpr int32_t kMaxKvGroups = 8;
/// Larger heads (latent attention) are only rotated.
inline constexpr int32_t kMaxCalibratedDim = 256;

/// How the KV heads of a layer are grouped.
inline int32_t kv_group_count(const KvShape& shape) { return std::min(shape.n_head_kv, kMaxKvGroups); }
inline int32_t kv_group_of(const KvShape& shape, int32_t head_kv) {
  return static_cast<int32_t>(int64_t{head_kv} * kv_group_count(shape) / shape.n_head_kv);
}

/// Sums of products and of vectors.
struct Moments {
  explicit Moments(int32_t dim) : n(dim), squares(static_cast<size_t>(dim * dim)), sums(static_cast<size_t>(dim)) {}
  void add(const float* x);

  int32_t n;
  int64_t count = 0;
  SquareMatrix squares;  // the upper half
  std::vector<double> sums;
};

class KvStatistics {
 public:
  /// @param n_positions the tokens are taken to stand at any of these
  KvStatistics(const KvShape& shape, int32_t n_positions);

  struct Group {
    Moments q, k, v;
    /// Whether a number added to all scores of a query changes nothing: not with a softcap or sinks.
    bool is_shift_free = true;
  };

  const KvShape& shape() const { return shape_; }
  int32_t n_positions() const { return n_positions_; }
  /// Where to take the token at `position` to stand.
  int32_t spread(int32_t position) const {
    return static_cast<int32_t>((static_cast<uint64_t>(position) * 0x9E3779B97F4A7C15u >> 33) %
                                static_cast<uint64_t>(n_positions_));
  }
  Group& group(int32_t il, int32_t g) { return groups_[static_cast<size_t>(il * kv_group_count(shape_) + g)]; }
  const Group& group(int32_t il, int32_t g) const {
    return groups_[static_cast<size_t>(il * kv_group_count(shape_) + g)];
  }

 private:
  KvShape shape_;
  int32_t n_positions_;
  std::vector<Group> groups_;
};

/// The map x -> shape (x - mean); shape is symmetric and positive definite. Both empty: the identity.
struct KvBasis {
  std::vector<float> mean;   // [n]
  std::vector<float> shape;  // [n, n]
};

struct KvCalibration {
  KvShape shape;
  struct Group {
    KvBasis k, v;
  };
  std::vector<Group> groups;  // [n_layer, kv_group_count]
  uint64_t hash = 0;          // of all numbers

  const Group& of(int32_t il, int32_t head_kv) const {
    return groups[static_cast<size_t>(il * kv_group_count(shape) + kv_group_of(shape, head_kv))];
  }
};

KvCalibration calibrate(const KvStatistics& statistics);

/// The file beside a model.
std::string kv_calibration_path(const std::string& model_path);
/// @throws EngineError kFileUnreadable
void save_calibration(const KvCalibration& calibration, uint64_t model_fingerprint, const std::string& path);
/// Null if there is no such file.
/// @throws EngineError kInvalidArgument if the file is damaged or belongs to another model
std::shared_ptr<const KvCalibration> load_calibration(const KvShape& shape, uint64_t model_fingerprint,
                                                      const std::string& path);

}  // namespace outpost
