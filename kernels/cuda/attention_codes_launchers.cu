#include "kernels/cuda/attention_codes_mma.h"
#include "kernels/launchers/codes_arguments.h"
#include "kernels/launchers/launch.h"

namespace outpost::gpu {
namespace {

static_assert(kAttentionRows == 8, "the columns of a matrix operand");

struct LaunchCodes {
  const CodesLaunch& a;
  Error error = Error::kNone;

  template <int kMaxDimK>
  void operator()() {
    const OverlappedLaunch launch(a.stream, codes_grid(a), kAttentionThreads);
    error = launch(attention_codes_mma<kMaxDimK>, a.arrays.q, a.arrays.memory.arena, a.arrays.memory.forms,
                   a.arrays.page_tables, a.arrays.tiles, a.arrays.partial, a.arrays.states, a.codes, a.params);
  }
};

}  // namespace

Error launch_codes_spans(const CodesLaunch& arguments) {
  LaunchCodes launch{arguments};
  visit_max_dim(arguments.codes.head_dim_k, launch);
  return launch.error;
}

}  // namespace outpost::gpu
