// What a device brings of a row of logits in place of all of them: a few hundred words, not some hundred thousand.
#pragma once

#include "kernels/common/shared_source.h"

namespace outpost {

OUTPOST_CONSTANT int kShortlistMost = 256;

/// Values of `n_tokens` that say that there is no list, and why.
OUTPOST_CONSTANT int32_t kShortlistTooLong = 0;     ///< too many tokens are as good as the last that has to be there
OUTPOST_CONSTANT int32_t kShortlistNotFinite = -1;  ///< a logit is an infinity or no number

/// The n_tokens best tokens of a row: all others have smaller logits than any of these.
struct Shortlist {
  int32_t n_tokens;
  float sum;                    ///< of exp(logit - the largest logit), over the whole row
  int32_t ids[kShortlistMost];  ///< ascending
  float logits[kShortlistMost];
};

OUTPOST_CONSTANT int kShortlistWords = 2 + 2 * kShortlistMost;
static_assert(sizeof(Shortlist) == 4 * kShortlistWords, "words without gaps");

}  // namespace outpost
