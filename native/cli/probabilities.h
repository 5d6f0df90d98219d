// Log-probabilities from logits, in double precision: what perplexity and logits print.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace outpost::cli {

/// log(sum(exp(logits)))
inline double log_sum_exp(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

}  // namespace outpost::cli
