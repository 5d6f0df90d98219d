#include "runtime/thermal_pace.h"

#include <algorithm>

namespace outpost {

double ThermalPace::pause_ms(double pass_ms, Clock::time_point now) {
  if (above_c_ <= 0 || !temperature_) return 0;
  if (now >= next_look_) {
    last_c_ = temperature_();
    next_look_ = now + std::chrono::seconds(1);
  }
  if (last_c_ < above_c_) return 0;
  return pass_ms * std::min(kMostPasses, 1 + (last_c_ - above_c_) / kDegreesPerPass);
}

}  // namespace outpost
