#include "kernels/cuda/matvec_launch.h"

namespace outpost::gpu {

OUTPOST_MATVEC_TYPES_IQ(OUTPOST_MATVEC_DEFINE)

}  // namespace outpost::gpu
