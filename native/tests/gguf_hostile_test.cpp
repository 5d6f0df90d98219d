// Files that are truncated, corrupted or made to hurt: each gives kModelInvalid and names what is wrong.
#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gguf/gguf_file.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/shared_data.h"
#include "tests/support/throws_error.h"

using namespace outpost;
using namespace outpost::test;

namespace {

const std::vector<int64_t> kRow32 = {32};
const std::string kRow32Data(32 * 4, '\0');

/// The message that reading `bytes` ends with. Fails the test if it does not end with kModelInvalid.
std::string refusal(const std::string& bytes) {
  try {
    GgufFile::parse(as_bytes(bytes), "bad.gguf");
  } catch (const EngineError& error) {
    CHECK(error.code() == ErrorCode::kModelInvalid);
    return error.what();
  }
  return "accepted";
}

bool is_refused_with(const std::string& bytes, const char* expected) {
  const std::string message = refusal(bytes);
  CAPTURE(message);
  const bool is_named = message.find("bad.gguf") != std::string::npos;
  CHECK(is_named);
  return message.find(expected) != std::string::npos;
}

/// A file with one key and two tensors whose bytes tests patch.
std::string base_file() {
  GgufWriter writer;
  writer.add_uint32("answer", 42);
  writer.add_strings("words", std::vector<std::string>{"one", "two"});
  writer.add_int32s("numbers", std::vector<int32_t>{1, 2, 3});
  writer.add_tensor("first", TensorType::kF32, kRow32, kRow32Data);
  writer.add_tensor("second", TensorType::kF32, kRow32, kRow32Data);
  return writer.bytes();
}

/// Overwrites the number at `offset`.
template <typename T>
std::string patched(std::string bytes, size_t offset, T value) {
  REQUIRE(offset + sizeof(T) <= bytes.size());
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
  return bytes;
}

/// Where the field `distance` bytes after the end of the text `name` lies.
size_t after(const std::string& bytes, const char* name, size_t distance = 0) {
  const size_t at = bytes.find(name);
  REQUIRE(at != std::string::npos);
  return at + std::strlen(name) + distance;
}

constexpr size_t kTensorCount = 8, kMetadataCount = 16;  // offsets in the header
// Fields of a tensor with one dimension, after its name.
constexpr size_t kDims = 0, kExtent = 4, kType = 12, kOffset = 16;

}  // namespace

TEST_CASE("a file cut at any byte is refused") {
  GgufWriter metadata_only;  // ends with a value instead of with tensor data
  metadata_only.add_string("general.architecture", "llama");
  metadata_only.add_uint32("answer", 42);
  for (const std::string& whole : {base_file(), metadata_only.bytes()}) {
    REQUIRE(refusal(whole) == "accepted");
    for (size_t n = 0; n < whole.size(); ++n) {
      CAPTURE(n);
      // An allocation that ends at the cut: AddressSanitizer sees a read past it.
      const auto part = as_bytes(whole).first(n);
      const std::vector<std::byte> cut(part.begin(), part.end());
      CHECK(error_of([&] { GgufFile::parse(cut, "bad.gguf"); }) == ErrorCode::kModelInvalid);
    }
  }
}

TEST_CASE("a flipped bit anywhere is refused or read, never worse") {
  const std::string whole = base_file();
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      refusal(bytes);  // checks that what is thrown is kModelInvalid
    }
  }
}

TEST_CASE("random damage in several places is refused or read, never worse") {
  const std::string whole = base_file();
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = whole;
    for (int k = 0; k < 3; ++k) {
      static constexpr uint64_t kNasty[] = {0, 1, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff, ~uint64_t{0}, 8, 9};
      const size_t size = 1u << (random() % 4);
      std::memcpy(bytes.data() + random() % (bytes.size() - size), &kNasty[random() % 8], size);
    }
    refusal(bytes);
  }
}

TEST_CASE("the header is checked") {
  const std::string whole = base_file();
  CHECK(is_refused_with("", "a GGUF header has 24"));
  CHECK(is_refused_with("GGU", "the file has 3 bytes"));
  CHECK(is_refused_with(patched(whole, 0, uint32_t{0x6c6d6767}), "instead of \"GGUF\""));
  CHECK(is_refused_with(patched(whole, 4, uint32_t{1}), "version 1 is not supported"));
  CHECK(is_refused_with(patched(whole, 4, uint32_t{4}), "version 4 is not supported"));
  CHECK(is_refused_with(patched(whole, 4, uint32_t{0x03000000}), "big-endian"));
  CHECK(is_refused_with(patched(whole, kTensorCount, ~uint64_t{0}), "18446744073709551615 tensors"));
  CHECK(is_refused_with(patched(whole, kMetadataCount, ~uint64_t{0}), "18446744073709551615 metadata entries"));
  CHECK(is_refused_with(patched(whole, kMetadataCount, uint64_t{4}), "(at byte "));
}

TEST_CASE("metadata is checked") {
  const std::string whole = base_file();
  CHECK(is_refused_with(patched(whole, 24, ~uint64_t{0}), "a metadata key needs 18446744073709551615 bytes"));
  CHECK(is_refused_with(patched(whole, 24, uint64_t{0}), "metadata key number 0 has 0 bytes"));
  CHECK(is_refused_with(patched(whole, after(whole, "answer"), uint32_t{13}), "\"answer\" has the unknown type 13"));
  CHECK(is_refused_with(patched(whole, after(whole, "answer"), uint32_t{8}), "a string value needs"));
  // An array: its type, the type of its elements, their number.
  CHECK(is_refused_with(patched(whole, after(whole, "words", 4), uint32_t{99}), "unknown type 99"));
  CHECK(is_refused_with(patched(whole, after(whole, "words", 4), uint32_t{9}), "an array of arrays"));
  CHECK(is_refused_with(patched(whole, after(whole, "words", 8), ~uint64_t{0}), "18446744073709551615 strings"));
  CHECK(is_refused_with(patched(whole, after(whole, "words", 16), ~uint64_t{0}), "a string of an array needs"));
  CHECK(is_refused_with(patched(whole, after(whole, "numbers", 8), uint64_t{1} << 62), "4611686018427387904 elements"));

  GgufWriter twice;
  twice.add_uint32("key", 1);
  twice.add_uint32("key", 2);
  CHECK(is_refused_with(twice.bytes(), "\"key\" appears twice"));
  GgufWriter flag;
  flag.add_raw("flag", static_cast<uint32_t>(GgufType::kBool), "\x02");
  CHECK(is_refused_with(flag.bytes(), "a bool with the value 2"));
  GgufWriter long_key;
  long_key.add_uint32(std::string(70'000, 'k'), 1);
  CHECK(is_refused_with(long_key.bytes(), "has 70000 bytes"));
}

TEST_CASE("the tensor index is checked") {
  const std::string whole = base_file();
  const auto first = [&](size_t field) { return after(whole, "first", field); };
  CHECK(is_refused_with(patched(whole, first(kDims), uint32_t{0}), "\"first\" has 0 dimensions"));
  CHECK(is_refused_with(patched(whole, first(kDims), uint32_t{5}), "\"first\" has 5 dimensions"));
  CHECK(is_refused_with(patched(whole, first(kExtent), uint64_t{0}), "\"first\" has the extent 0"));
  CHECK(is_refused_with(patched(whole, first(kExtent), ~uint64_t{0}), "has the extent 18446744073709551615"));
  CHECK(is_refused_with(patched(whole, first(kExtent), uint64_t{1} << 50), "past the end of the file"));
  CHECK(is_refused_with(patched(whole, first(kType), uint32_t{4}), "\"first\" has the unknown type 4"));
  CHECK(is_refused_with(patched(whole, first(kType), uint32_t{12}), "no multiple of the 256 in a block of q4_K"));
  CHECK(is_refused_with(patched(whole, first(kOffset), uint64_t{4}), "not aligned to 32"));
  CHECK(is_refused_with(patched(whole, first(kOffset), uint64_t{128}), "overlap"));
  CHECK(is_refused_with(patched(whole, first(kOffset), uint64_t{1} << 40), "past the end of the file"));
  CHECK(is_refused_with(patched(whole, first(kOffset), ~uint64_t{0} - 31), "past the end of the file"));
  CHECK(is_refused_with(patched(whole, after(whole, "second", kOffset), uint64_t{96}), "overlap"));

  GgufWriter twice;
  twice.add_tensor("t", TensorType::kF32, kRow32, kRow32Data);
  twice.add_tensor("t", TensorType::kF32, kRow32, kRow32Data);
  CHECK(is_refused_with(twice.bytes(), "\"t\" appears twice"));
  GgufWriter long_name;
  long_name.add_tensor(std::string(65, 'n'), TensorType::kF32, kRow32, kRow32Data);
  CHECK(is_refused_with(long_name.bytes(), "has a name of 65 bytes"));
  GgufWriter overflow;  // 2^32 * 2^32 elements wrap to 0 in 64 bits
  overflow.add_tensor("t", TensorType::kF32, std::vector<int64_t>{int64_t{1} << 32, int64_t{1} << 32}, kRow32Data);
  CHECK(is_refused_with(overflow.bytes(), "has the extent 4294967296"));
}

TEST_CASE("the alignment is checked and used") {
  for (const uint32_t bad : {0u, 4u, 33u, 1u << 21}) {
    CAPTURE(bad);
    GgufWriter writer;
    writer.add_uint32("general.alignment", bad);
    writer.add_tensor("t", TensorType::kF32, kRow32, kRow32Data);
    CHECK(is_refused_with(writer.bytes(), "general.alignment is"));
  }
  GgufWriter writer;
  writer.alignment = 64;
  writer.add_uint32("general.alignment", 64);
  writer.add_tensor("t", TensorType::kF32, kRow32, std::string(128, 't'));
  const std::string bytes = writer.bytes();
  const GgufFile file = GgufFile::parse(as_bytes(bytes), "aligned.gguf");
  CHECK(file.tensors()[0].bytes[0] == std::byte{'t'});
}

TEST_CASE("a real vocabulary file cut at many places is refused") {
  const auto path =
      shared_data("tokenizers/vocabs/ggml-vocab-llama-spm.gguf", "a real vocabulary file cut at many places");
  if (!path) return;
  const std::string whole = read_all(*path);
  for (size_t n = 0; n < whole.size(); n += n < 2000 ? 1 : 4999) {
    CAPTURE(n);
    CHECK(error_of([&] { GgufFile::parse(as_bytes(whole).first(n), "cut.gguf"); }) == ErrorCode::kModelInvalid);
  }
}
