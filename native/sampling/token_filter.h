// What may be said next, asked token by token or all at once.
#pragma once

#include <cstdint>
#include <span>

namespace outpost {

/// A sampler asks about the few tokens that the model finds most probable. Only where too few of those may come it
/// needs the mask of all, which may take a thousand times as long.
class TokenFilter {
 public:
  virtual ~TokenFilter() = default;

  virtual bool allows(int32_t id) = 0;
  /// A bit for each token that may come, valid until the next call of anything.
  virtual std::span<const uint64_t> mask() = 0;
};

}  // namespace outpost
