// Cosines and sines of every position, grown as positions are used.
#pragma once

#include <cmath>
#include <vector>

#include "backend/backend.h"

namespace outpost {

/// Angles are computed in double precision: the only rounding is that of the table's entries.
class RopeTable {
 public:
  /// @return interleaved cos, sin [n_rot / 2][2] of position `pos`; valid until the next call
  const float* row(const RopeParams& params, int32_t pos) {
    if (!matches(params)) reset(params);
    const size_t width = static_cast<size_t>(n_rot_);
    for (auto p = static_cast<int32_t>(table_.size() / width); p <= pos; ++p) {
      for (const double frequency : frequencies_) {
        const double angle = frequency * p;
        table_.push_back(static_cast<float>(std::cos(angle)));
        table_.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    return table_.data() + static_cast<size_t>(pos) * width;
  }

 private:
  bool matches(const RopeParams& params) const {
    return n_rot_ == params.n_rot && freq_base_ == params.freq_base && freq_scale_ == params.freq_scale &&
           freq_factors_ == params.freq_factors.data();
  }

  void reset(const RopeParams& params) {
    n_rot_ = params.n_rot;
    freq_base_ = params.freq_base;
    freq_scale_ = params.freq_scale;
    freq_factors_ = params.freq_factors.data();
    frequencies_.clear();
    table_.clear();
    for (int32_t i = 0; i < n_rot_ / 2; ++i) {
      double frequency = std::pow(static_cast<double>(freq_base_), -2.0 * i / n_rot_) * freq_scale_;
      if (!params.freq_factors.empty()) frequency /= params.freq_factors[static_cast<size_t>(i)];
      frequencies_.push_back(frequency);
    }
  }

  int32_t n_rot_ = 0;
  float freq_base_ = 0, freq_scale_ = 0;
  const float* freq_factors_ = nullptr;
  std::vector<double> frequencies_;
  std::vector<float> table_;
};

}  // namespace outpost
