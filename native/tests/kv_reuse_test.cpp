// The KV cache under a random life of requests; tests/support/kv_life.h has what that is.
#include "tests/support/kv_life.h"
#include "tests/support/temp_dir.h"

using namespace outpost;
using namespace outpost::test;

TEST_CASE("reuse, drafts and evictions change no bit of a logit, and no byte more than the budget is used") {
  const TempDir dir;
  LoadOptions options;
  options.n_threads = 1;
  const auto model = std::dynamic_pointer_cast<const LoadedModel>(
      Model::load(dir.write("tiny.gguf", tiniest_llama().bytes()), options));
  for (const KvPreset preset : {KvPreset::kExact, KvPreset::kCompact, KvPreset::kMax}) {
    CAPTURE(kKvPresetNames[static_cast<size_t>(preset)]);
    const auto one = model->stages().alloc_kv(model->network().kv_shape(), kv_format(preset, 2), 1);
    const uint64_t least = kv_promised_bytes(*one, KvLifeOptions{}.n_context) + kv_pass_bytes(*one, 100);
    for (const uint64_t n_bytes : {least, 2 * least, 8 * least}) {
      CAPTURE(n_bytes);
      KvLife life({model, preset, n_bytes, static_cast<uint32_t>(n_bytes)});
      for (int i = 0; i < 250; ++i) life.step();
      life.end();
      CHECK(life.n_reused > 0);
      CHECK(life.n_rolled_back > 0);
      CHECK(life.n_given_up > 0);
      if (n_bytes == least) CHECK(life.n_refused > 0);
    }
  }
}
