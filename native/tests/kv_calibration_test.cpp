// Bases in which a model's keys and values are packed: what they gain, that they change no attention but by rounding,
// and that a file of them is used by its model alone.
#include "backend/kv_calibration.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <random>

#include "backend/cpu/kv_codec.h"
#include "backend/kv_rotation.h"
#include "kernels/common/kv_levels.h"
#include "runtime/loaded_model.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

constexpr int32_t kDim = 64;
using Vector = std::vector<float>;

/// Keys with a large mean, and with most of their length where queries have little.
struct Source {
  std::mt19937 random{3};
  std::normal_distribution<float> normal;

  Vector key() {
    Vector x(kDim);
    for (int32_t i = 0; i < kDim; ++i)
      x[static_cast<size_t>(i)] = normal(random) * (i < 8 ? 6.0f : 1.0f) + (i == 5 ? 40.0f : 1.0f);
    return x;
  }
  Vector query() {
    Vector x(kDim);
    for (int32_t i = 0; i < kDim; ++i) x[static_cast<size_t>(i)] = normal(random) * (i < 8 ? 0.2f : 1.0f);
    return x;
  }
};

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

KvCalibration calibrated(bool is_shift_free = true) {
  Source source;
  KvStatistics statistics({1, 1, kDim, kDim}, 1);
  KvStatistics::Group& group = statistics.group(0, 0);
  group.is_shift_free = is_shift_free;
  for (int i = 0; i < 4000; ++i) {
    group.k.add(source.key().data());
    group.q.add(source.query().data());
    group.v.add(source.key().data());
  }
  return calibrate(statistics);
}

/// Mean square error of the scores of packed keys, less what is the same for all keys of a query.
double score_error(const KvRotation& rotation) {
  Source source;
  std::vector<Vector> keys, packed;
  for (int i = 0; i < 200; ++i) {
    keys.push_back(source.key());
    Vector x = keys.back();
    rotation.apply(x.data());
    KvEncoded encoded;
    kv_encode(x.data(), kDim, 3, encoded);
    for (int32_t d = 0; d < kDim; ++d)
      x[static_cast<size_t>(d)] = kv_scale(encoded.scale) * static_cast<float>(kKvLevels3[encoded.codes[d]]);
    packed.push_back(x);
  }
  double error = 0;
  for (int i = 0; i < 100; ++i) {
    const Vector query = source.query();
    Vector turned = query;
    rotation.apply_to_query(turned.data());
    std::vector<double> differences;
    double mean = 0;
    for (size_t j = 0; j < keys.size(); ++j) {
      differences.push_back(dot(turned, packed[j]) - dot(query, keys[j]));
      mean += differences.back() / static_cast<double>(keys.size());
    }
    for (const double d : differences) error += (d - mean) * (d - mean);
  }
  return error;
}

}  // namespace

TEST_CASE("functions of symmetric matrices are those of their eigenvalues") {
  // 3 and 1 along the diagonals of a square.
  const SquareMatrix matrix{2, 1, 1, 2};
  const SquareMatrix root = apply_to_eigenvalues(matrix, 2, [](double x) { return std::sqrt(x); });
  CHECK(root[0] == doctest::Approx((std::sqrt(3.0) + 1) / 2));
  CHECK(root[1] == doctest::Approx((std::sqrt(3.0) - 1) / 2));
  const SquareMatrix square = multiply(root, root, 2);
  for (size_t i = 0; i < 4; ++i) CHECK(square[i] == doctest::Approx(matrix[i]));
  const SquareMatrix one = multiply(invert_positive(matrix, 2), matrix, 2);
  for (size_t i = 0; i < 4; ++i) CHECK(one[i] == doctest::Approx(i % 3 == 0 ? 1.0 : 0.0));
  CHECK(invert_positive({1, 2, 2, 1}, 2).empty());
}

TEST_CASE("in the basis of a model scores of packed keys are nearer to what they were") {
  const KvCalibration calibration = calibrated();
  const KvRotation plain(kDim), basis(kDim, calibration.of(0, 0).k);
  // Without a mean, and with it spread evenly, the product of traces falls to the square of the trace of roots:
  // tr K = 8 * 36 + 56, tr Q = 8 * 0.04 + 56 against (8 * 6 * 0.2 + 56)^2, a fifth; and the plain scale has to cover
  // the mean besides, whose square is 1600.
  CHECK(score_error(basis) < 0.1 * score_error(plain));
}

TEST_CASE("a basis changes no product but by a number that all keys share") {
  const KvCalibration calibration = calibrated();
  const KvRotation rotation(kDim, calibration.of(0, 0).k);
  Source source;
  const Vector query = source.query();
  Vector turned_query = query;
  rotation.apply_to_query(turned_query.data());
  double shift = 0;
  for (int i = 0; i < 20; ++i) {
    const Vector key = source.key();
    Vector turned = key;
    rotation.apply(turned.data());
    const double difference = dot(query, key) - dot(turned_query, turned);
    if (i == 0) shift = difference;
    CHECK(difference == doctest::Approx(shift).epsilon(1e-3));
    rotation.undo(turned.data());
    for (size_t d = 0; d < kDim; ++d) CHECK(turned[d] == doctest::Approx(key[d]).epsilon(1e-3));
  }
  // As matrices, the mean apart.
  const Vector key = source.key();
  const std::vector<float> forward = rotation.columns(KvRotation::Way::kForward);
  const std::vector<float> back = rotation.columns(KvRotation::Way::kBack);
  Vector turned(kDim, 0.0f), again(kDim, 0.0f);
  for (size_t column = 0; column < kDim; ++column) {
    for (size_t d = 0; d < kDim; ++d) turned[d] += forward[column * kDim + d] * (key[column] - rotation.mean()[column]);
  }
  for (size_t column = 0; column < kDim; ++column) {
    for (size_t d = 0; d < kDim; ++d) again[d] += back[column * kDim + d] * turned[column];
  }
  Vector applied = key;
  rotation.apply(applied.data());
  for (size_t d = 0; d < kDim; ++d) {
    CHECK(turned[d] == doctest::Approx(applied[d]).epsilon(1e-3));
    CHECK(again[d] + rotation.mean()[d] == doctest::Approx(key[d]).epsilon(1e-3));
  }
  // Where scores pass through more than a softmax, nothing may be added to them.
  const KvCalibration unshifted = calibrated(false);
  for (const float x : unshifted.of(0, 0).k.mean) CHECK(x == 0);
}

TEST_CASE("a calibration lies beside its model, and is refused by others and when it is damaged") {
  const TempDir dir;
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  tiny.n_layer = 2;
  tiny = with_random_weights(tiny);
  const auto model = std::dynamic_pointer_cast<LoadedModel>(Model::load(dir.write("tiny.gguf", tiny.bytes()), {}));
  const KvShape shape = model->network().kv_shape();
  const std::string path = kv_calibration_path(model->info().path);
  const auto load = [&](uint64_t fingerprint) { return load_calibration(shape, fingerprint, path); };
  CHECK(load(model->fingerprint()) == nullptr);

  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 400; ++i) tokens.push_back((i * 7919 + i / 7) % model->info().n_vocab);
  CHECK(error_of([&] { calibrate_kv(*model, std::span(tokens).first(100)); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { calibrate_kv(*model, tokens, [](float) { return false; }); }) == ErrorCode::kCancelled);
  // It ends between two layers, and not only at the end of a window.
  std::vector<float> asked;
  const auto at_second = [&](float fraction) {
    asked.push_back(fraction);
    return asked.size() < 2;
  };
  const std::vector<std::string> one_format{"compact"};
  CHECK(error_of([&] { measure_kv(*model, tokens, 400, one_format, at_second); }) == ErrorCode::kCancelled);
  CHECK(asked == std::vector<float>{0, 0});
  CHECK(load(model->fingerprint()) == nullptr);
  calibrate_kv(*model, tokens);
  const auto calibration = load(model->fingerprint());
  REQUIRE(calibration != nullptr);
  CHECK(model->kv_format("compact").calibration->hash == calibration->hash);
  CHECK(model->kv_format("compact-plain").calibration == nullptr);
  CHECK(model->kv_format("exact").calibration == nullptr);
  const std::vector<std::string> formats{"k8v8", "compact", "compact-plain", "q4_0"};
  const auto results = measure_kv(*model, tokens, 400, formats);
  REQUIRE(results.size() == 4);
  CHECK(results[0].n_tokens == 199);
  CHECK(results[0].mean_kld < results[1].mean_kld);  // 8 bit in the basis of the model are all but exact

  CHECK(error_of([&] { load(model->fingerprint() + 1); }) == ErrorCode::kInvalidArgument);
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  for (const size_t at : {size_t{3}, size_t{20}, bytes.size() / 2, bytes.size() - 1}) {
    CAPTURE(at);
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x11);
    dir.write("tiny.gguf.kv-calibration", damaged);
    CHECK(error_of([&] { load(model->fingerprint()); }) == ErrorCode::kInvalidArgument);
  }
  dir.write("tiny.gguf.kv-calibration", bytes.substr(0, bytes.size() - 4));
  CHECK(error_of([&] { load(model->fingerprint()); }) == ErrorCode::kInvalidArgument);
  // A model with a damaged calibration is loaded, and does without.
  const auto again = std::dynamic_pointer_cast<LoadedModel>(Model::load(model->info().path, {}));
  CHECK(again->kv_format("compact").calibration == nullptr);
}

TEST_CASE("a check keeps the calibration that fits its model, and makes one only where none does") {
  const TempDir dir;
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  tiny.n_layer = 2;
  tiny = with_random_weights(tiny);
  const auto model = std::dynamic_pointer_cast<LoadedModel>(Model::load(dir.write("tiny.gguf", tiny.bytes()), {}));
  std::vector<int32_t> came_with, own, measured;
  for (int32_t i = 0; i < 400; ++i) {
    came_with.push_back((i * 7919 + i / 7) % model->info().n_vocab);
    own.push_back((i * 104729 + i / 5) % model->info().n_vocab);
    measured.push_back((i * 31 + i / 3) % model->info().n_vocab);
  }
  constexpr const char* kFile = "tiny.gguf.kv-calibration";
  const std::vector<std::string> formats{"compact", "compact-plain"};
  const auto check = [&](std::span<const int32_t> tokens) { return check_kv(*model, tokens, measured, 400, formats); };
  const auto mean_kld = [](const std::vector<KvDivergence>& results) { return results.at(0).mean_kld; };

  // It came with the model, and after this one was loaded: as a file that another engine wrote.
  calibrate_kv(*Model::load(dir.path("tiny.gguf"), {}), came_with);
  const std::string shipped = dir.read(kFile);
  const KvCheck kept = check(own);
  CHECK(kept.calibration == KvCalibrationSource::kKept);
  CHECK(dir.read(kFile) == shipped);
  const auto loaded = std::dynamic_pointer_cast<LoadedModel>(Model::load(dir.path("tiny.gguf"), {}));
  REQUIRE(model->kv_format("compact").calibration != nullptr);
  CHECK(model->kv_format("compact").calibration->hash == loaded->kv_format("compact").calibration->hash);
  REQUIRE(kept.divergences.size() == 2);
  CHECK(mean_kld(kept.divergences) == mean_kld(measure_kv(*loaded, measured, 400, formats)));
  CHECK(check({}).calibration == KvCalibrationSource::kKept);

  std::string damaged = shipped, others = shipped;
  damaged.back() = static_cast<char>(damaged.back() ^ 0x11);
  others[16] = static_cast<char>(others[16] ^ 0x11);  // of the fingerprint
  for (const std::string& useless : {damaged, others}) {
    dir.write(kFile, useless);
    const KvCheck plain = check({});
    CHECK(plain.calibration == KvCalibrationSource::kNone);
    CHECK(model->kv_format("compact").calibration == nullptr);
    CHECK(mean_kld(plain.divergences) == plain.divergences.at(1).mean_kld);
    CHECK(dir.read(kFile) == useless);

    const KvCheck made = check(own);
    CHECK(made.calibration == KvCalibrationSource::kMade);
    CHECK(mean_kld(made.divergences) != plain.divergences.at(1).mean_kld);
    CHECK(dir.read(kFile) != useless);
    CHECK(check(came_with).calibration == KvCalibrationSource::kKept);
  }
}
