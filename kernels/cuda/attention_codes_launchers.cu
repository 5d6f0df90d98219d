#include "kernels/cuda/attention_codes_mma.h"
#include "kernels/launchers/codes_arguments.h"

namespace outpost::gpu {
namespace {

static_assert(kAttentionRows == 8 && kMostCodesRows == 16, "columns of one matrix operand, or two");

struct LaunchCodes {
  const CodesLaunch& a;
  Error error = Error::kNone;

  template <int kMaxDimK>
  void operator()() {
    const auto kernel = a.arrays.n_tile_rows > 8 ? attention_codes_mma<16, kMaxDimK> : attention_codes_mma<8, kMaxDimK>;
    error = launch_spans(a, kernel);
  }
};

}  // namespace

int32_t most_codes_rows() { return kMostCodesRows; }

Error launch_codes_spans(const CodesLaunch& arguments) {
  LaunchCodes launch{arguments};
  visit_max_dim(arguments.codes.head_dim_k, launch);
  return launch.error;
}

}  // namespace outpost::gpu
