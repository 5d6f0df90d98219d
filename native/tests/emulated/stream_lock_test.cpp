// What other threads do to a backend while it computes a pass: it waits for the pass. Between the launches that are
// recorded it would become a part of the recording, which is repeated again and again.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "backend/gpu_devices.h"
#include "backend/kv_format.h"

using namespace outpost;

namespace {

constexpr KvShape kShape = {1, 1, 32, 32};

/// Two passes of the same kind, of which the second is recorded. In each another thread does `work`.
/// @return in how many it was done before the pass had ended
int count_early(Backend& backend, KvStorage& kv, const std::function<void()>& work) {
  static std::vector<std::unique_ptr<int>> networks;  // one each time, so that passes are not those that are known
  networks.push_back(std::make_unique<int>());
  const auto x = backend.alloc_f32(64);
  backend.write(x->span(), std::vector<float>(64, 1.0f));
  const std::vector<int32_t> page_table = {0}, tokens = {1};
  const SequenceRun run{page_table, 0, 1};
  int n_early = 0;
  for (int pass = 0; pass < 2; ++pass) {
    std::atomic<bool> is_done = false;
    std::thread other;
    backend.run_pass({networks.back().get(), kv, tokens, {&run, 1}, {}, kKvPageSize, false, {}},
                     [&]() -> DeviceSpan<const float> {
                       other = std::thread([&] {
                         work();
                         is_done = true;
                       });
                       std::this_thread::sleep_for(std::chrono::milliseconds(20));
                       backend.scale(x->span(), 2.0f);
                       if (is_done) ++n_early;
                       return x->span();
                     });
    other.join();
  }
  std::vector<float> result(64);
  backend.read(result, x->span());
  CHECK(result[0] == 4.0f);
  return n_early;
}

}  // namespace

TEST_CASE("emulated device: other threads use pages after the pass that is computed or recorded") {
  for (const KvPreset preset : {KvPreset::kExact, KvPreset::kCompact}) {
    CAPTURE(static_cast<int>(preset));
    const auto backend = create_gpu_backend(0, {});
    const auto kv = backend->alloc_kv(kShape, kv_format(preset, 1), 3);
    std::vector<std::byte> bytes(kv->form_bytes(KvForm::kFresh), std::byte{7});
    REQUIRE(kv->write_form(1, KvForm::kFresh, bytes));
    CHECK(count_early(*backend, *kv, [&] { kv->copy_page(1, 2); }) == 0);
    std::vector<std::byte> copied(bytes.size());
    CHECK(count_early(*backend, *kv, [&] { kv->read_form(2, KvForm::kFresh, copied); }) == 0);
    CHECK(copied == bytes);
    CHECK(count_early(*backend, *kv, [&] { kv->write_form(2, KvForm::kFresh, bytes); }) == 0);
    if (preset != KvPreset::kExact) CHECK(count_early(*backend, *kv, [&] { kv->drop(2, KvForm::kFresh); }) == 0);
    std::vector<std::unique_ptr<KvStorage>> others;  // one for each pass
    for (int i = 0; i < 2; ++i) others.push_back(backend->alloc_kv(kShape, kv_format(preset, 1), 1));
    CHECK(count_early(*backend, *kv, [&] { others.pop_back(); }) == 0);
  }
}
