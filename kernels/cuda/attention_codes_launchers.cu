#include "kernels/cuda/attention_codes_mma.h"
#include "kernels/launchers/codes_arguments.h"

namespace outpost::gpu {
namespace {

static_assert(kAttentionRows == 8, "the columns of a matrix operand");

struct LaunchCodes {
  const CodesLaunch& a;
  Error error = Error::kNone;

  template <int kMaxDimK>
  void operator()() {
    error = launch_spans(a, attention_codes_mma<kMaxDimK>);
  }
};

}  // namespace

Error launch_codes_spans(const CodesLaunch& arguments) {
  LaunchCodes launch{arguments};
  visit_max_dim(arguments.codes.head_dim_k, launch);
  return launch.error;
}

}  // namespace outpost::gpu
