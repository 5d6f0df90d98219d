// Products with one type of blocks, with the portable kernels: where CUDA takes matrix units, kMatvecMaxTokens tokens
// at a time. So a token's result has the same bits among any number of others. Private to block_kernels.cpp.in.
#pragma once

#include <algorithm>

#include "kernels/launchers/block_launch.h"

namespace outpost::gpu {

template <typename Block>
Error launch_block(Stream stream, const MatvecLaunch& a) {
  if (a.lists != nullptr) return launch_experts<Block>(stream, a);
  const MatvecParams& all = a.params.product;
  for (int32_t first = 0; first < all.n_tokens; first += kMatvecMaxTokens) {
    MatvecLaunch part = a;
    part.params.product.n_tokens = std::min(kMatvecMaxTokens, all.n_tokens - first);
    const int64_t first_group = int64_t{first} * all.n_groups;
    part.x.codes += first_group * 8;
    part.x.scales += first_group;
    part.x.sums += first_group;
    part.y += int64_t{first} * all.n_rows;
    if (const Error error = launch_few_tokens<Block>(stream, part); error != Error::kNone) return error;
  }
  return Error::kNone;
}

}  // namespace outpost::gpu
