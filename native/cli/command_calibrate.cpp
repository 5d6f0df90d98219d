#include <algorithm>
#include <cstdio>

#include "cli/command.h"

namespace outpost::cli {

// A few thousand tokens are enough: they give two matrices of a head's size.
int run_calibrate(const std::vector<std::string>& words) {
  const Arguments arguments(words, with_load_options({"--tokens"}), {}, 2);
  const auto model = Model::load(arguments.positional(0, "MODEL"), load_options(arguments));
  auto tokens = model->tokenize(read_file(arguments.positional(1, "TEXTFILE")));
  tokens.resize(std::min(tokens.size(), static_cast<size_t>(arguments.get_int("--tokens", 8192, 256, 1 << 24))));
  calibrate_kv(*model, tokens, [](float fraction) {
    std::fprintf(stderr, "\r%3.0f %%", 100 * static_cast<double>(fraction));
    return true;
  });
  std::fprintf(stderr, "\r100 %%\n");
  std::printf("calibrated on %zu tokens: %s.kv-calibration\n", tokens.size(), model->info().path.c_str());
  return 0;
}

}  // namespace outpost::cli
