// What a draft source expects the next tokens to be.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine.h"

namespace outpost {

struct Proposal {
  DraftSource source = DraftSource::kSuffix;
  int32_t n_matched = 0;        ///< tokens before it that agree with what it was taken from: how sure its source is
  std::vector<int32_t> tokens;  ///< empty: the source has nothing to say
  std::vector<float> shares;    ///< of what the source has seen, the part that agrees with each token: 0 to 1
};

/// No source drafts more than this: a pass over more rows is a prefill.
inline constexpr int32_t kMaxDraft = 63;

}  // namespace outpost
