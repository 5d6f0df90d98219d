// The names of the kernels of each type of blocks, in a file of its own (block_kernels.cpp.in), so that they compile
// side by side.
#pragma once

#include <vector>

#include "kernels/metal/kernel_table.h"

namespace outpost::metal {

template <typename Block>
void append_block_kernels(std::vector<KernelName>& names);

}  // namespace outpost::metal
