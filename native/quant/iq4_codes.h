// The sixteen values of IQ4_NL and IQ4_XS as codes for a fit. Private to quant/.
#pragma once

#include <algorithm>
#include <array>

#include "kernels/common/block_layouts.h"

namespace outpost {

struct Iq4Codes {
  static constexpr float min = kIq4Values[0], max = kIq4Values[15];
  /// Of the sweep: in these units a code of a range of 32 is as wide as seven.
  static constexpr float kReach = 11;

  static int index(float x) { return kNearest[static_cast<size_t>(2 * (std::clamp(x, min, max) - min))]; }
  static float nearest(float x) { return kIq4Values[index(x)]; }

 private:
  /// By half units above `min`: the values are integers, so what divides two of them lies on a half or a whole.
  static constexpr auto kNearest = [] {
    std::array<uint8_t, 2 * (kIq4Values[15] - kIq4Values[0]) + 1> nearest{};
    uint8_t i = 0;
    for (size_t half = 0; half < nearest.size(); ++half) {
      // Both sides in half units above the smallest value: the middle of values i and i + 1.
      while (i < 15 && static_cast<int>(half) >= kIq4Values[i] + kIq4Values[i + 1] - 2 * kIq4Values[0]) ++i;
      nearest[half] = i;
    }
    return nearest;
  }();
};

}  // namespace outpost
