// The language of the portable kernels: what differs between CUDA C++, the Metal Shading Language and C++ under the
// SIMT emulator, under one name each. kernels/README.md has the list, and the rules that keep a kernel portable.
//
// Each of the three headers defines the same names; a kernel uses nothing else of its platform.
#pragma once

#include "kernels/common/shared_source.h"

#if defined(__METAL_VERSION__)
#include "kernels/portable/dialect_metal.h"
#elif defined(__CUDACC__)
#include "kernels/portable/dialect_cuda.h"
#else
#include "kernels/portable/dialect_emulator.h"
#endif
