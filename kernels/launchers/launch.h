// A launch of a kernel on a stream: Launch, and OverlappedLaunch for kernels that say allow_next() and
// wait_for_previous(). Launchers are written with these alone, so that they compile as CUDA and, as C++, for what else
// runs kernels.
//
//   Launch(stream, grid, n_threads, n_shared_bytes)(kernel, arguments...)
#pragma once

#ifdef __CUDACC__
#include "kernels/launchers/launch_cuda.h"
#else
#include <device_launch.h>  // of the runtime, by its include path
#endif
