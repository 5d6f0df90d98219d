// How rows of a vocabulary are cut up for shortlists.
#pragma once

#include <algorithm>

#include "kernels/portable/shortlist.h"

namespace outpost::gpu {

/// Tokens that lists are to have: the 40 best that sampling looks at by default, with room for penalized ones.
inline constexpr int32_t kShortlistWanted = 128;

/// Groups as small as may be. A list has a quarter as many tokens as there are groups, at least one: with more, many
/// groups would have several of them, and the list be far longer than what was asked for.
inline ShortlistParams shortlist_params(int32_t n_vocab) {
  const int32_t group_size = 32 * ((n_vocab + 32 * kMostGroups - 1) / (32 * kMostGroups));
  const int32_t n_groups = (n_vocab + group_size - 1) / group_size;
  return {n_vocab, group_size, n_groups, std::clamp(n_groups / 4, 1, kShortlistWanted)};
}

}  // namespace outpost::gpu
