#include "backend/kv_calibration.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/mapped_file.h"
#include "core/strings.h"

namespace outpost {
namespace {

constexpr uint64_t kMagic = 0x4C41'434B'5450'4F31u;
constexpr uint64_t kVersion = 1;
/// Part of the mean variance that is added to every direction: a few thousand tokens do not show that a model never
/// uses one.
constexpr double kShrinkage = 0.01;

struct Head {
  uint64_t magic, version, fingerprint;
  int64_t n_layer, n_group, head_dim_k, head_dim_v;
  uint64_t hash;
};

/// Second moments about the mean.
SquareMatrix covariance(const Moments& moments, std::span<const float> mean) {
  const int32_t n = moments.n;
  SquareMatrix result(moments.squares.size());
  for (int32_t i = 0; i < n; ++i) {
    for (int32_t j = i; j < n; ++j) {
      const double value = moments.squares[static_cast<size_t>(i * n + j)] / static_cast<double>(moments.count) -
                           (mean.empty() ? 0.0 : double{mean[static_cast<size_t>(i)]} * mean[static_cast<size_t>(j)]);
      result[static_cast<size_t>(i * n + j)] = result[static_cast<size_t>(j * n + i)] = value;
    }
  }
  const double floor = kShrinkage * trace(result, n) / n;
  for (int32_t i = 0; i < n; ++i) result[static_cast<size_t>(i * n + i)] += floor;
  return result;
}

std::vector<float> mean_of(const Moments& moments) {
  std::vector<float> mean;
  for (const double sum : moments.sums) mean.push_back(static_cast<float>(sum / static_cast<double>(moments.count)));
  return mean;
}

/// As f32, scaled so that vectors keep their length on the average.
std::vector<float> scaled(const SquareMatrix& shape, const SquareMatrix& moments, int32_t n) {
  const double factor = std::sqrt(trace(moments, n) / trace(multiply(multiply(shape, moments, n), shape, n), n));
  std::vector<float> result;
  for (const double x : shape) result.push_back(static_cast<float>(x * factor));
  return result;
}

bool is_usable(const Moments& moments) {
  return moments.count > 0 && moments.n <= kMaxCalibratedDim && std::isfinite(trace(moments.squares, moments.n)) &&
         trace(moments.squares, moments.n) > 0;
}

KvBasis key_basis(const KvStatistics::Group& group) {
  if (!is_usable(group.k) || !is_usable(group.q)) return {};
  const int32_t n = group.k.n;
  KvBasis basis;
  basis.mean = group.is_shift_free ? mean_of(group.k) : std::vector<float>(static_cast<size_t>(n));
  const SquareMatrix k = covariance(group.k, basis.mean), q = covariance(group.q, {});
  const auto root = [](double x) { return std::sqrt(x); };
  const auto inverse_root = [](double x) { return 1 / std::sqrt(x); };
  const SquareMatrix k_root = apply_to_eigenvalues(k, n, root);
  const SquareMatrix k_inverse = apply_to_eigenvalues(k, n, inverse_root);
  const SquareMatrix middle = apply_to_eigenvalues(multiply(multiply(k_root, q, n), k_root, n), n, root);
  const SquareMatrix square = multiply(multiply(k_inverse, middle, n), k_inverse, n);
  basis.shape = scaled(apply_to_eigenvalues(square, n, root), k, n);
  return basis;
}

KvBasis value_basis(const KvStatistics::Group& group) {
  if (!is_usable(group.v)) return {};
  const int32_t n = group.v.n;
  KvBasis basis;
  basis.mean = group.is_shift_free ? mean_of(group.v) : std::vector<float>(static_cast<size_t>(n));
  const SquareMatrix v = covariance(group.v, basis.mean);
  basis.shape = scaled(apply_to_eigenvalues(v, n, [](double x) { return std::pow(x, -0.25); }), v, n);
  return basis;
}

void for_each_array(auto& calibration, const auto& visit) {
  const auto n_k = static_cast<size_t>(calibration.shape.head_dim_k);
  const auto n_v = static_cast<size_t>(calibration.shape.head_dim_v);
  for (auto& group : calibration.groups) {
    visit(group.k.mean, n_k);
    visit(group.k.shape, n_k * n_k);
    visit(group.v.mean, n_v);
    visit(group.v.shape, n_v * n_v);
  }
}

uint64_t hash_of(const KvCalibration& calibration) {
  Hash64 hash;
  for_each_array(calibration, [&](const std::vector<float>& values, size_t) {
    const uint64_t size = values.size();
    hash.add(std::as_bytes(std::span(&size, 1)));
    hash.add(std::as_bytes(std::span(values)));
  });
  return hash.value();
}

}  // namespace

void Moments::add(const float* x) {
  ++count;
  for (int32_t i = 0; i < n; ++i) {
    const double factor = x[i];
    sums[static_cast<size_t>(i)] += factor;
    double* row = squares.data() + static_cast<size_t>(i) * static_cast<size_t>(n);
    for (int32_t j = i; j < n; ++j) row[j] += factor * x[j];
  }
}

KvStatistics::KvStatistics(const KvShape& shape, int32_t n_positions) : shape_(shape), n_positions_(n_positions) {
  const Group group{Moments(shape.head_dim_k), Moments(shape.head_dim_k), Moments(shape.head_dim_v)};
  groups_.assign(static_cast<size_t>(shape.n_layer * kv_group_count(shape)), group);
}

KvCalibration calibrate(const KvStatistics& statistics) {
  KvCalibration calibration{statistics.shape(), {}};
  for (int32_t il = 0; il < calibration.shape.n_layer; ++il) {
    for (int32_t g = 0; g < kv_group_count(calibration.shape); ++g) {
      const KvStatistics::Group& group = statistics.group(il, g);
      calibration.groups.push_back({key_basis(group), value_basis(group)});
    }
  }
  calibration.hash = hash_of(calibration);
  return calibration;
}

std::string kv_calibration_path(const std::string& model_path) { return model_path + ".kv-calibration"; }

void save_calibration(const KvCalibration& calibration, uint64_t model_fingerprint, const std::string& path) {
  const KvShape& shape = calibration.shape;
  AtomicFile file(path);
  const Head head{kMagic,           kVersion,         model_fingerprint, shape.n_layer, kv_group_count(shape),
                  shape.head_dim_k, shape.head_dim_v, calibration.hash};
  file.write(std::as_bytes(std::span(&head, 1)));
  for_each_array(calibration, [&](const std::vector<float>& values, size_t) {
    const uint64_t size = values.size();
    file.write(std::as_bytes(std::span(&size, 1)));
    file.write(std::as_bytes(std::span(values)));
  });
  file.commit();
}

std::shared_ptr<const KvCalibration> load_calibration(const KvShape& shape, uint64_t model_fingerprint,
                                                      const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return nullptr;
  const auto fail = [&](const char* reason) {
    throw EngineError(ErrorCode::kInvalidArgument,
                      concat("The calibration ", in_quotes(path), " cannot be used: ", reason,
                             ". Keys and values are packed without it; `outpost-engine calibrate` makes a new one."));
  };
  const MappedFile file(path);
  size_t at = 0;
  const auto read = [&](void* to, size_t n_bytes) {
    if (n_bytes > file.bytes().size() - at) fail("it ends too early");
    std::memcpy(to, file.bytes().data() + at, n_bytes);
    at += n_bytes;
  };
  Head head{};
  read(&head, sizeof head);
  if (head.magic != kMagic || head.version != kVersion) fail("it is no such file, or of another version");
  if (head.fingerprint != model_fingerprint || head.n_layer != shape.n_layer || head.n_group != kv_group_count(shape) ||
      head.head_dim_k != shape.head_dim_k || head.head_dim_v != shape.head_dim_v)
    fail("it belongs to another model");
  auto calibration = std::make_shared<KvCalibration>();
  calibration->shape = shape;
  calibration->groups.resize(static_cast<size_t>(shape.n_layer * kv_group_count(shape)));
  for_each_array(*calibration, [&](std::vector<float>& values, size_t expected) {
    uint64_t size = 0;
    read(&size, sizeof size);
    if (size != 0 && size != expected) fail("a matrix has the wrong size");
    values.resize(size);
    read(values.data(), size * sizeof(float));
    for (const float x : values) {
      if (!std::isfinite(x)) fail("a number is not finite");
    }
  });
  if (at != file.bytes().size()) fail("something follows its last matrix");
  calibration->hash = hash_of(*calibration);
  if (calibration->hash != head.hash) fail("its checksum is wrong");
  return calibration;
}

}  // namespace outpost
