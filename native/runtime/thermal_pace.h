// How background work lets a hot device cool down: it pauses between passes, the longer the hotter it is. Whatever
// somebody waits for never does.
#pragma once

#include <chrono>
#include <functional>
#include <utility>

namespace outpost {

class ThermalPace {
 public:
  using Clock = std::chrono::steady_clock;

  /// @param temperature of the hottest device in °C, or a negative number if nobody knows; asked once a second at most
  /// @param above_c from where on there are pauses; 0: never
  ThermalPace(std::function<double()> temperature, double above_c)
      : temperature_(std::move(temperature)), above_c_(above_c) {}

  /// After a pass that took pass_ms and that nothing but background work was in: how long none is to begin. As long as
  /// the pass at first, and so much again for each kDegreesPerPass above.
  double pause_ms(double pass_ms, Clock::time_point now);

  static constexpr double kDegreesPerPass = 2, kMostPasses = 8;

 private:
  std::function<double()> temperature_;
  double above_c_;
  double last_c_ = -1;
  Clock::time_point next_look_{};
};

}  // namespace outpost
