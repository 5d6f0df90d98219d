// Sensors of a GPU, from a library that stands in for the driver's, and what their temperature does to background work.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "backend/devices.h"
#include "backend/nvml.h"
#include "runtime/decode_engine.h"
#include "runtime/thermal_pace.h"
#include "tests/support/recorder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr const char* kBus = "0000:65:00.0";

int count_started() {
  const SharedLibrary library(OUTPOST_FAKE_NVML);
  REQUIRE(library.is_open());
  return library.function<int()>("fakeStarted")();
}

}  // namespace

TEST_CASE("the sensors of a GPU are read by the driver's library, which is started and stopped once") {
  const SharedLibrary stays_open(OUTPOST_FAKE_NVML);
  {
    const Nvml nvml(OUTPOST_FAKE_NVML);
    CHECK(count_started() == 1);
    const auto sensors = nvml.read(kBus);
    REQUIRE(sensors.has_value());
    CHECK(sensors->temperature_c == 71);
    CHECK(sensors->slowdown_c == 90);
    CHECK(sensors->power_watts == doctest::Approx(212.5));
    CHECK(sensors->power_limit_watts == doctest::Approx(350));
    CHECK(sensors->clock_mhz == 1755);
    CHECK(sensors->memory_clock_mhz == -1);  // it has no sensor for that
    CHECK(sensors->busy == doctest::Approx(0.83));
    CHECK(sensors->used_bytes == uint64_t{3} << 30);
    CHECK_FALSE(nvml.read("0000:66:00.0").has_value());
  }
  CHECK(count_started() == 0);
}

TEST_CASE("GPUs that only the driver's library knows are there, with the reason why they cannot be used") {
  const auto gpus = list_unseen_gpus(Nvml(OUTPOST_FAKE_NVML), "the driver is too old");
  REQUIRE(gpus.size() == 1);
  CHECK(gpus[0].id == "cuda:0");
  CHECK(gpus[0].name == "A GPU");
  CHECK(gpus[0].total_bytes == uint64_t{8} << 30);
  CHECK(gpus[0].free_bytes == 0);
  CHECK(gpus[0].unusable == "the driver is too old");
  CHECK(list_unseen_gpus(Nvml("no-such-library.so"), "the driver is too old").empty());
}

TEST_CASE("a machine without the driver's library has no sensors, and a library that is none of it neither") {
  const TempDir dir;
  CHECK_FALSE(Nvml("no-such-library.so").read(kBus).has_value());
  CHECK_FALSE(Nvml(dir.write("text.so", "no library").c_str()).read(kBus).has_value());
#ifdef __linux__
  CHECK_FALSE(Nvml("libc.so.6").read(kBus).has_value());  // none of the functions
#endif
}

TEST_CASE("pauses begin at the temperature that is set and grow with it, up to a limit") {
  double now_c = 60;
  int n_looks = 0;
  const auto temperature = [&] {
    ++n_looks;
    return now_c;
  };
  ThermalPace pace(temperature, 80);
  ThermalPace::Clock::time_point now{};
  const auto pause_at = [&](double c) {
    now_c = c;
    now += std::chrono::seconds(1);
    return pace.pause_ms(10, now);
  };
  CHECK(pause_at(79.9) == 0);
  CHECK(pause_at(80) == 10);
  CHECK(pause_at(84) == 30);
  CHECK(pause_at(200) == 80);
  CHECK(pause_at(-1) == 0);  // nobody knows
  const int n_before = n_looks;
  now_c = 90;
  CHECK(pace.pause_ms(10, now) == 0);  // looked at less than a second ago
  CHECK(n_looks == n_before);
  CHECK(ThermalPace(temperature, 0).pause_ms(10, now) == 0);
  CHECK(ThermalPace(nullptr, 80).pause_ms(10, now) == 0);
}

TEST_CASE("on a hot device background work pauses, says the same, and gives way to what somebody waits for") {
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  tiny.pieces.resize(24);
  const TempDir dir;
  LoadOptions load;
  load.n_threads = 1;
  const auto model = Model::load(dir.write("tiny.gguf", with_random_weights(tiny).bytes()), load);
  const auto engine_at = [&](double celsius) {
    DecodeParts parts;
    parts.temperature = [celsius] { return celsius; };
    return create_engine(model, {}, parts);
  };
  const auto submit = [&](Engine& engine, Recorder& recorder, Priority priority) {
    GenerateRequest request;
    request.tokens = {1, text_token(3)};
    request.n_predict = 12;
    request.priority = priority;
    request.sampler.seed = 3;
    request.draft.is_enabled = false;
    engine.submit(request, recorder.sink());
  };
  Recorder cool, hot, urgent;
  const auto cold_engine = engine_at(40), hot_engine = engine_at(99);
  submit(*cold_engine, cool, Priority::kBackground);
  cool.wait();
  CHECK(cold_engine->stats().pause_ms == 0);

  submit(*hot_engine, hot, Priority::kBackground);
  hot.wait();
  CHECK(hot_engine->stats().pause_ms > 0);
  CHECK(hot.text() == cool.text());

  const double before = hot_engine->stats().pause_ms;
  submit(*hot_engine, urgent, Priority::kChat);
  urgent.wait();
  CHECK(hot_engine->stats().pause_ms == before);
  CHECK(urgent.text() == cool.text());
}

TEST_CASE("a pause on a hot device ends at the deadline of a request that waits in it") {
  const TempDir dir;
  LoadOptions load;
  load.n_threads = 1;
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  const auto model = Model::load(dir.write("tiny.gguf", with_random_weights(tiny).bytes()), load);
  DecodeParts parts;
  parts.temperature = [] { return 99.0; };
  parts.before_layer = [] { std::this_thread::sleep_for(std::chrono::milliseconds(100)); };
  Recorder patient, hurried;
  const auto engine = create_engine(model, {}, parts);
  GenerateRequest request;
  request.tokens = {1, text_token(3)};
  request.n_predict = 1000;
  request.priority = Priority::kBackground;
  request.draft.is_enabled = false;
  engine->submit(request, patient.sink());
  request.deadline_ms = 1000;  // in a pause: of 8 times 300 ms or more
  const auto start = std::chrono::steady_clock::now();
  engine->submit(request, hurried.sink());
  hurried.wait();
  const auto took = std::chrono::steady_clock::now() - start;
  CHECK(hurried.reason == StopReason::kDeadline);
  CHECK(took >= std::chrono::milliseconds(1000));
  CHECK(took < std::chrono::milliseconds(2400));  // the pause alone, were it not ended
}

TEST_CASE("a pause on a hot device ends when its request is cancelled") {
  const TempDir dir;
  LoadOptions load;
  load.n_threads = 1;
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  const auto model = Model::load(dir.write("tiny.gguf", with_random_weights(tiny).bytes()), load);
  DecodeParts parts;
  parts.temperature = [] { return 99.0; };
  parts.before_layer = [] { std::this_thread::sleep_for(std::chrono::milliseconds(100)); };
  const auto engine = create_engine(model, {}, parts);
  Recorder recorder;
  Turnstile has_spoken;
  has_spoken.open();
  recorder.on_text = [&](int32_t) { has_spoken.pass(); };
  GenerateRequest request;
  request.tokens = {1, text_token(3)};
  request.priority = Priority::kBackground;
  request.draft.is_enabled = false;
  const uint64_t id = engine->submit(request, recorder.sink());
  has_spoken.wait_for_arrival();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // into the pause: of 8 times 300 ms
  engine->cancel(id);
  recorder.wait();
  CHECK(recorder.reason == StopReason::kCancelled);
  CHECK(engine->stats().pause_ms < 1200);
}
