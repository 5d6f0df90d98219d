#include "gguf/gguf_file.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "tests/support/gguf_writer.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

GgufWriter small_file() {
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  writer.add_uint32("count", 7);
  writer.add_int32("below", -3);
  writer.add_uint64("large", uint64_t{1} << 40);
  writer.add_float("eps", 0.5f);
  writer.add_double("pi", 3.25);
  writer.add_bool("flag", true);
  writer.add_strings("words", std::vector<std::string>{"a", "", "ccc"});
  writer.add_floats("scores", std::vector<float>{1.0f, -2.0f});
  writer.add_int32s("kinds", std::vector<int32_t>{1, 6});
  writer.add_tensor_f32("w", std::vector<int64_t>{2, 3}, std::vector<float>{0, 1, 2, 3, 4, 5});
  writer.add_tensor("q", TensorType::kQ8_0, std::vector<int64_t>{4, 1, 64}, std::string(4 * 2 * 34, 'q'));
  return writer;
}

}  // namespace

TEST_CASE("a file is read back as it was written") {
  for (const uint32_t version : {2u, 3u}) {
    CAPTURE(version);
    GgufWriter writer = small_file();
    writer.version = version;
    const std::string bytes = writer.bytes();
    const GgufFile file = GgufFile::parse(as_bytes(bytes), "small.gguf");
    CHECK(file.version() == version);
    CHECK(file.file_bytes() == bytes.size());
    CHECK(file.metadata().size() == 10);
    CHECK(file.metadata()[1].first == "count");
    CHECK(file.get_string("general.architecture") == "llama");
    CHECK(file.get_uint("count") == 7u);
    CHECK(file.get_uint("large") == uint64_t{1} << 40);
    CHECK(file.get_float("eps") == 0.5);
    CHECK(file.get_float("pi") == 3.25);
    CHECK(file.get_bool("flag") == true);
    const auto words = file.get_strings("words");
    REQUIRE(words.has_value());
    REQUIRE(words->size() == 3);
    CHECK((*words)[2] == "ccc");
    CHECK(file.get_floats("scores") == std::vector<float>{1.0f, -2.0f});
    CHECK(file.get_ints("kinds") == std::vector<int32_t>{1, 6});
    CHECK_FALSE(file.get_uint("absent").has_value());

    REQUIRE(file.tensors().size() == 2);
    const TensorInfo* w = file.find_tensor("w");
    REQUIRE(w != nullptr);
    CHECK(w->shape == std::vector<int64_t>{2, 3});
    CHECK(w->n_elements == 6);
    float last = 0;
    REQUIRE(w->bytes.size() == 24);
    std::memcpy(&last, w->bytes.data() + 20, 4);
    CHECK(last == 5.0f);
    const TensorInfo* q = file.find_tensor("q");
    REQUIRE(q != nullptr);
    CHECK(q->type == TensorType::kQ8_0);
    CHECK(q->shape == std::vector<int64_t>{4, 1, 64});
    CHECK(q->bytes.size() == 4 * 2 * 34);
    CHECK(q->bytes.back() == std::byte{'q'});
    CHECK(file.find_tensor("absent") == nullptr);
  }
}

TEST_CASE("a file keeps its views valid when it is moved, and opens from disk") {
  const TempDir dir;
  GgufFile file = GgufFile::open(dir.write("small.gguf", small_file().bytes()));
  const GgufFile moved = std::move(file);
  CHECK(moved.get_string("general.architecture") == "llama");
  moved.release(moved.find_tensor("q")->bytes);
  CHECK(moved.find_tensor("q")->bytes[0] == std::byte{'q'});
}

TEST_CASE("a getter refuses a value of another type and says which") {
  GgufWriter writer = small_file();
  writer.add_float("nan", std::numeric_limits<float>::quiet_NaN());
  const std::string bytes = writer.bytes();
  const GgufFile file = GgufFile::parse(as_bytes(bytes), "small.gguf");
  CHECK(message_of([&] { file.get_uint("eps"); }) ==
        "small.gguf: metadata key \"eps\" is 0.5 (float32); expected an integer that is not negative.");
  CHECK(error_of([&] { file.get_uint("below"); }) == ErrorCode::kModelInvalid);
  CHECK(error_of([&] { file.get_string("count"); }) == ErrorCode::kModelInvalid);
  CHECK(error_of([&] { file.get_float("nan"); }) == ErrorCode::kModelInvalid);
  CHECK(error_of([&] { file.get_float("count"); }) == ErrorCode::kModelInvalid);
  CHECK(error_of([&] { file.get_bool("count"); }) == ErrorCode::kModelInvalid);
  CHECK(error_of([&] { file.get_strings("scores"); }) == ErrorCode::kModelInvalid);
  CHECK(error_of([&] { file.get_floats("kinds"); }) == ErrorCode::kModelInvalid);
  CHECK(error_of([&] { file.get_ints("scores"); }) == ErrorCode::kModelInvalid);
}

TEST_CASE("the data of the real vocabularies is read") {
  const auto path =
      shared_data("tokenizers/vocabs/ggml-vocab-llama-spm.gguf", "the data of the real vocabularies is read");
  if (!path) return;
  const GgufFile file = GgufFile::open(*path);
  CHECK(file.get_strings("tokenizer.ggml.tokens")->size() == 32000);
  CHECK(file.get_floats("tokenizer.ggml.scores")->size() == 32000);
  CHECK(file.get_uint("llama.block_count") == 32u);
}

#ifdef __linux__
namespace {

/// Memory of this process that belongs to files.
size_t file_memory_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    size_t kibibytes = 0;
    if (word == "RssFile:" && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

}  // namespace

TEST_CASE("a fingerprint of a large file does not keep the file in memory") {
  constexpr size_t kBytes = size_t{48} << 20;
  const TempDir dir;
  GgufWriter writer;
  const int64_t shape[] = {static_cast<int64_t>(kBytes)};
  writer.add_tensor("codes", TensorType::kI8, shape, std::string(kBytes, 'x'));
  const GgufFile file = GgufFile::open(dir.write("large.gguf", writer.bytes()));
  const size_t before = file_memory_bytes();
  file.fingerprint();
  CHECK(file_memory_bytes() < before + kBytes / 4);
}
#endif
