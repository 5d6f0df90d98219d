// Cosines and sines of every position of one RopeParams, grown as positions are used.
#pragma once

#include <cmath>
#include <vector>

#include "backend/backend.h"

namespace outpost {

/// Angles are computed in double precision: the only rounding is that of the table's entries.
class CpuRope final : public Rope {
 public:
  explicit CpuRope(const RopeParams& params) : params_(params) {}

  /// Makes `rotate` ready for positions up to `pos`. Not while other threads rotate.
  void reserve(int32_t pos) {
    for (; n_positions_ <= pos; ++n_positions_) {
      for (const double frequency : params_.frequencies) {
        const double angle = frequency * n_positions_;
        table_.push_back(static_cast<float>(std::cos(angle) * params_.magnitude));
        table_.push_back(static_cast<float>(std::sin(angle) * params_.magnitude));
      }
    }
  }

  /// @pre pos was reserved
  void rotate(float* head, int32_t pos) const {
    const size_t n_pairs = params_.frequencies.size();
    const bool is_adjacent = params_.pairing == RopePairing::kAdjacent;
    const float* angles = table_.data() + static_cast<size_t>(pos) * 2 * n_pairs;
    float* first = head + params_.offset;
    float* second = first + (is_adjacent ? 1 : n_pairs);
    const size_t step = is_adjacent ? 2 : 1;
    for (size_t i = 0; i < n_pairs; ++i) {
      const float c = angles[2 * i], s = angles[2 * i + 1];
      float& a = first[step * i];
      float& b = second[step * i];
      const float x = a, y = b;
      a = x * c - y * s;
      b = x * s + y * c;
    }
  }

 private:
  RopeParams params_;
  int32_t n_positions_ = 0;
  std::vector<float> table_;  // interleaved cos, sin [n_positions, n_pairs, 2]
};

}  // namespace outpost
