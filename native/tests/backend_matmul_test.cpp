// Products of every weight type against plain double-precision sums, and the promise that bits depend neither
// on the batch, nor on threads, nor on the instruction set.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "backend/cpu/packed_tiles.h"
#include "tests/support/cpu_backends.h"
#include "tests/support/multiply.h"
#include "tests/support/quantized_data.h"

using namespace outpost;
using namespace outpost::test;

namespace {

struct Shape {
  int64_t n_rows, n_cols;
};
// Below, at and above a tile of 16 rows; one and several superblocks; more items than threads.
constexpr Shape kShapes[] = {{1, 256}, {15, 512}, {16, 256}, {17, 768}, {131, 256}};
// Widths that only types with blocks of 32 columns, or none, can have.
constexpr Shape kNarrowShapes[] = {{16, 32}, {17, 96}, {5, 480}, {33, 288}};

/// Calls check(got, exact, sum of |w * x|, sum of |w|) for each element of the product.
template <typename Check>
void compare(const FileMatrix& matrix, const std::vector<float>& x, const std::vector<float>& y, const Check& check) {
  const std::vector<float> w = matrix.values();
  const auto n_rows = static_cast<size_t>(matrix.n_rows), n_cols = static_cast<size_t>(matrix.n_cols);
  for (size_t t = 0; t < x.size() / n_cols; ++t) {
    for (size_t row = 0; row < n_rows; ++row) {
      double sum = 0, sum_product = 0, sum_weight = 0;
      for (size_t col = 0; col < n_cols; ++col) {
        const double product = double{w[row * n_cols + col]} * x[t * n_cols + col];
        sum += product;
        sum_product += std::abs(product);
        sum_weight += std::abs(double{w[row * n_cols + col]});
      }
      check(double{y[t * n_rows + row]}, sum, sum_product, sum_weight);
    }
  }
}

}  // namespace

TEST_CASE("a product equals the exact sum up to f32 rounding when activations fit int8") {
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    for (const TensorType type : kCpuTypes) {
      CAPTURE(std::string(tensor_type_traits(type).name));
      std::vector<Shape> shapes(std::begin(kShapes), std::end(kShapes));
      if (tensor_type_traits(type).block_elements <= 32)
        shapes.insert(shapes.end(), std::begin(kNarrowShapes), std::end(kNarrowShapes));
      for (const Shape& shape : shapes) {
        CAPTURE(shape.n_rows);
        CAPTURE(shape.n_cols);
        const FileMatrix matrix = random_matrix(type, shape.n_rows, shape.n_cols, /*seed=*/1);
        const auto x = exact_activations(static_cast<size_t>(3 * shape.n_cols), /*seed=*/2);
        compare(matrix, x, multiply(*backend, matrix, x),
                [&](double got, double exact, double sum_product, double sum_weight) {
                  // Dense: one rounding of 2^-24 per column, each relative to a partial sum below sum_product.
                  // Quantized: about six roundings per superblock, relative to terms that may cancel where there are
                  // minimums; n_cols = 256 roundings per superblock leave room for terms forty times their difference.
                  const double tolerance = static_cast<double>(shape.n_cols + 2) * 0x1p-24 * (sum_product + sum_weight);
                  if (!(std::abs(got - exact) <= tolerance))
                    FAIL_CHECK("got ", got, ", exact ", exact, ", tolerance ", tolerance);
                });
      }
    }
  }
}

TEST_CASE("a product of any activations is within the error of quantizing them to int8") {
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    for (const TensorType type : kCpuTypes) {
      CAPTURE(std::string(tensor_type_traits(type).name));
      const FileMatrix matrix = random_matrix(type, 33, 512, /*seed=*/3);
      const auto x = random_f32(5 * 512, /*seed=*/4);
      const bool is_quantized = matmul_input_kind(type) != MatmulInputKind::kF32;
      compare(matrix, x, multiply(*backend, matrix, x),
              [&](double got, double exact, double sum_product, double sum_weight) {
                // |x| <= 1, so a step is at most 1/127 and each activation is off by half a step at most.
                const double quantization = is_quantized ? 0.5 / 127 * sum_weight : 0.0;
                CHECK(std::abs(got - exact) <= 1.001 * quantization + 514 * 0x1p-24 * (sum_product + sum_weight));
              });
    }
  }
}

TEST_CASE("the bits of a product do not depend on kernels, threads or the number of tokens") {
  const auto backends = all_cpu_backends();
  for (const TensorType type : kCpuTypes) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    const int64_t n_rows = 37, n_cols = tensor_type_traits(type).block_elements <= 32 ? 480 : 512;
    const FileMatrix matrix = random_matrix(type, n_rows, n_cols, /*seed=*/5);
    const int64_t n_most = 19;
    const auto x = random_f32(static_cast<size_t>(n_most * n_cols), /*seed=*/6);
    const std::vector<float> reference = multiply(*backends[0].backend, matrix, x);
    for (const auto& [name, backend] : backends) {
      CAPTURE(name);
      for (const int64_t n_tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 19}) {
        CAPTURE(n_tokens);
        // The last n_tokens tokens: a token's place in the batch differs from the reference's, too.
        const std::vector<float> part(x.end() - n_tokens * n_cols, x.end());
        const std::vector<float> y = multiply(*backend, matrix, part);
        CHECK(std::equal(y.begin(), y.end(), reference.end() - n_tokens * n_rows));
      }
    }
  }
}

// Blocks of 16 tokens on a matrix unit, of which the last may begin in the one before; calls of 64 tokens.
TEST_CASE("the bits of a product do not depend on how many tokens a prompt's pass has") {
  const auto backends = all_cpu_backends();
  constexpr int64_t kMost = 150, kTokenCounts[] = {31, 32, 33, 64, 65, 127, 128, 129, kMost};
  for (const TensorType type : kCpuTypes) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    const int64_t n_rows = 49, n_cols = tensor_type_traits(type).block_elements <= 32 ? 288 : 512;
    const FileMatrix matrix = random_matrix(type, n_rows, n_cols, /*seed=*/11);
    const auto x = random_f32(static_cast<size_t>(kMost * n_cols), /*seed=*/12);
    const std::vector<float> reference = multiply(*backends[0].backend, matrix, x);
    for (const auto& [name, backend] : backends) {
      CAPTURE(name);
      for (const int64_t n_tokens : kTokenCounts) {
        CAPTURE(n_tokens);
        const std::vector<float> part(x.end() - n_tokens * n_cols, x.end());
        const std::vector<float> y = multiply(*backend, matrix, part);
        CHECK(std::equal(y.begin(), y.end(), reference.end() - n_tokens * n_rows));
      }
    }
  }
}

TEST_CASE("tasks that share their input are each computed as if alone") {
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    // As q, k and v of a real file: different types and heights.
    const FileMatrix matrices[] = {random_matrix(TensorType::kIQ2_XXS, 200, 256, 1),
                                   random_matrix(TensorType::kF32, 7, 256, 2),
                                   random_matrix(TensorType::kQ4_K, 33, 256, 3)};
    const auto x = random_f32(9 * 256, /*seed=*/7);
    std::vector<std::unique_ptr<Weight>> weights;
    std::vector<std::vector<float>> results;
    std::vector<MatmulTask> tasks;
    for (const FileMatrix& matrix : matrices) {
      weights.push_back(backend->load_weight(matrix.view()));
      results.emplace_back(static_cast<size_t>(9 * matrix.n_rows), NAN);
    }
    for (size_t i = 0; i < 3; ++i) tasks.push_back({weights[i].get(), span_of(results[i])});
    backend->matmul(tasks, span_of(x), 9);
    for (size_t i = 0; i < 3; ++i) CHECK(results[i] == multiply(*backend, matrices[i], x));
  }
}

TEST_CASE("a product writes its own results and nothing beside them") {
  for (const auto& [name, backend] : all_cpu_backends()) {
    CAPTURE(name);
    for (const TensorType type : kCpuTypes) {
      const FileMatrix matrix = random_matrix(type, 17, 256, /*seed=*/8);
      const auto weight = backend->load_weight(matrix.view());
      const auto x = random_f32(2 * 256, /*seed=*/9);
      std::vector<float> guarded(8 + 2 * 17 + 8, 12345.0f);
      const MatmulTask task{weight.get(), {guarded.data() + 8, 2 * 17}};
      backend->matmul({&task, 1}, span_of(x), 2);
      for (size_t i = 0; i < 8; ++i) CHECK((guarded[i] == 12345.0f && guarded[guarded.size() - 1 - i] == 12345.0f));
    }
  }
}

TEST_CASE("scales at the ends of f16 and activations at the ends of f32 give finite, equal bits") {
  const auto backends = all_cpu_backends();
  for (const TensorType type : kCpuTypes) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    for (const uint16_t half : {0x0000, 0x8000, 0x0001, 0x83ff, 0x7bff, 0xfbff}) {  // 0, -0, subnormals, +-65504
      FileMatrix matrix = random_matrix(type, 16, 256, /*seed=*/10);
      set_block_scales(matrix, half);
      for (const float magnitude : {0.0f, 1e-42f, 1e-38f, 1e20f}) {
        CAPTURE(half);
        CAPTURE(magnitude);
        std::vector<float> x = random_f32(256, /*seed=*/11);
        for (float& v : x) v *= magnitude;
        const std::vector<float> reference = multiply(*backends[0].backend, matrix, x);
        CHECK(std::all_of(reference.begin(), reference.end(), [](float v) { return std::isfinite(v); }));
        for (const auto& [name, backend] : backends) {
          CAPTURE(name);
          CHECK(multiply(*backend, matrix, x) == reference);
        }
      }
    }
  }
}

TEST_CASE("a bias is added to the product of its own task and to no other") {
  const auto backends = all_cpu_backends();
  for (const TensorType type : kCpuTypes) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    // A part of a tile, one tile, several and a part, more than a thread takes at once.
    const int64_t heights[] = {5, 16, 37, 131};
    const int64_t n_cols = 256, n_most = 33;  // more tokens than one call of a kernel takes
    const auto x = random_f32(static_cast<size_t>(n_most * n_cols), /*seed=*/20);
    std::vector<FileMatrix> matrices;
    std::vector<std::vector<float>> biases;
    for (const int64_t n_rows : heights) {
      matrices.push_back(random_matrix(type, n_rows, n_cols, static_cast<uint32_t>(n_rows)));
      biases.push_back(random_f32(static_cast<size_t>(n_rows), static_cast<uint32_t>(n_rows + 1)));
    }
    biases[2].clear();  // empty, though its address is not null
    std::vector<std::vector<float>> expected;
    for (size_t i = 0; i < matrices.size(); ++i) {
      expected.push_back(multiply(*backends[0].backend, matrices[i], x));
      for (size_t at = 0; at < expected[i].size(); ++at)
        if (!biases[i].empty()) expected[i][at] += biases[i][at % biases[i].size()];
    }
    for (const auto& [name, backend] : backends) {
      CAPTURE(name);
      std::vector<std::unique_ptr<Weight>> weights;
      for (const FileMatrix& matrix : matrices) weights.push_back(backend->load_weight(matrix.view()));
      for (const int64_t n_tokens : {int64_t{1}, int64_t{9}, n_most}) {
        CAPTURE(n_tokens);
        std::vector<std::vector<float>> guarded;
        std::vector<MatmulTask> tasks;
        for (size_t i = 0; i < matrices.size(); ++i) {
          const auto n = static_cast<size_t>(n_tokens * heights[i]);
          guarded.emplace_back(n + 2, 12345.0f);
          tasks.push_back({weights[i].get(), {guarded[i].data() + 1, n}, span_of(biases[i])});
        }
        backend->matmul(tasks, span_of(x), static_cast<int32_t>(n_tokens));
        for (size_t i = 0; i < matrices.size(); ++i) {
          CHECK(std::equal(guarded[i].begin() + 1, guarded[i].end() - 1, expected[i].begin()));
          CHECK((guarded[i].front() == 12345.0f && guarded[i].back() == 12345.0f));
        }
      }
    }
  }
}

TEST_CASE("a type that holds no weights is refused with the tensor's name") {
  const auto backend = create_cpu_backend(CpuKernels::kScalar, 1);
  const std::vector<std::byte> bytes(256);
  const WeightView view{"blk.0.attn_q.weight", TensorType::kI8, 1, 256, bytes};
  try {
    backend->load_weight(view);
    FAIL("nothing was thrown");
  } catch (const EngineError& error) {
    CHECK(error.code() == ErrorCode::kModelUnsupported);
    const std::string message = error.what();
    CHECK(message.find("blk.0.attn_q.weight") != std::string::npos);
    CHECK(message.find("type i8") != std::string::npos);
  }
}
