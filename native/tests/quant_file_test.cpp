// quantize_file(): which tensor gets which type, what is copied, and that nothing is left behind when it fails.
#include "quant/quantize_file.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#ifndef _WIN32
#include <sys/resource.h>

#include <csignal>
#endif

#include "quant/dequantize.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/type_vectors.h"

using namespace outpost;
using namespace outpost::test;

namespace {

using Shape = std::vector<int64_t>;

void add_f32(GgufWriter& writer, const std::string& name, const Shape& shape) {
  size_t n = 1;
  for (const int64_t extent : shape) n *= static_cast<size_t>(extent);
  writer.add_tensor_f32(name, shape, gaussian_values(n, 0.02f, n));
}

/// One tensor of each kind.
GgufWriter model() {
  GgufWriter writer;
  writer.alignment = 64;
  writer.add_string("general.architecture", "llama");
  writer.add_uint32("general.alignment", 64);
  writer.add_uint32("general.file_type", 1);
  writer.add_strings("words", std::vector<std::string>{"a", "", "ccc"});
  writer.add_double("pi", 3.25);
  add_f32(writer, "token_embd.weight", {5, 256});
  add_f32(writer, "blk.0.attn_norm.weight", {256});
  add_f32(writer, "blk.0.attn_q.weight", {3, 512});
  add_f32(writer, "blk.0.attn_q.bias", {3});
  add_f32(writer, "blk.0.ffn_gate_inp.weight", {4, 256});
  add_f32(writer, "blk.0.ffn_up_exps.weight", {4, 3, 256});
  add_f32(writer, "blk.0.ffn_down.weight", {7, 96});
  add_f32(writer, "blk.0.ffn_odd.weight", {2, 33});
  writer.add_tensor("blk.0.ids.weight", TensorType::kI32, Shape{1, 2}, std::string(8, 'i'));
  add_f32(writer, "output.weight", {5, 256});
  return writer;
}

QuantizeOptions to(TensorType type) { return {type, {}, {}}; }

bool go_on(const QuantizeProgress&) { return true; }

size_t n_files(const TempDir& dir) {
  const auto files = std::filesystem::directory_iterator(dir.path(""));
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

TensorType type_of(const GgufFile& file, std::string_view name) {
  const TensorInfo* tensor = file.find_tensor(name);
  REQUIRE(tensor != nullptr);
  return tensor->type;
}

}  // namespace

TEST_CASE("matrices are quantized, the rest is copied, and metadata stays byte for byte") {
  const TempDir dir;
  const std::string bytes = model().bytes();
  const GgufFile in = GgufFile::parse(as_bytes(bytes), "in");
  quantize_file(in, dir.path("out"), to(TensorType::kQ4_K), go_on);
  const GgufFile out = GgufFile::open(dir.path("out"));

  CHECK(type_of(out, "token_embd.weight") == TensorType::kQ4_K);
  CHECK(type_of(out, "blk.0.attn_norm.weight") == TensorType::kF32);
  CHECK(type_of(out, "blk.0.attn_q.weight") == TensorType::kQ4_K);
  CHECK(type_of(out, "blk.0.attn_q.bias") == TensorType::kF32);
  CHECK(type_of(out, "blk.0.ffn_gate_inp.weight") == TensorType::kF32);
  CHECK(type_of(out, "blk.0.ffn_up_exps.weight") == TensorType::kQ4_K);
  CHECK(type_of(out, "blk.0.ffn_down.weight") == TensorType::kQ5_0);  // rows of 96
  CHECK(type_of(out, "blk.0.ffn_odd.weight") == TensorType::kF16);    // rows of 33
  CHECK(type_of(out, "blk.0.ids.weight") == TensorType::kI32);
  CHECK(type_of(out, "output.weight") == TensorType::kQ4_K);

  REQUIRE(out.tensors().size() == in.tensors().size());
  for (size_t i = 0; i < in.tensors().size(); ++i) {
    const TensorInfo &before = in.tensors()[i], &after = out.tensors()[i];
    CAPTURE(std::string(before.name));
    CHECK(after.name == before.name);
    CHECK(after.shape == before.shape);
    if (!can_dequantize(before.type)) {
      CHECK(std::memcmp(after.bytes.data(), before.bytes.data(), before.bytes.size()) == 0);
      continue;
    }
    std::vector<float> a(before.n_elements), b(after.n_elements);
    dequantize(before.type, before.bytes.data(), a.data(), static_cast<int64_t>(a.size()));
    dequantize(after.type, after.bytes.data(), b.data(), static_cast<int64_t>(b.size()));
    CHECK(rmse(a, b) <= 0.02 * 0.1);  // of values with an rms of 0.02; a wrong order of rows or blocks gives 1.4 times
  }

  CHECK(out.version() == 3);
  CHECK(out.get_uint("general.file_type") == 14u);
  CHECK(out.get_uint("general.quantization_version") == 2u);
  REQUIRE(out.metadata().size() == in.metadata().size() + 1);
  for (const auto& [key, value] : in.metadata()) {
    if (key != "general.file_type") CHECK(out.find(key)->entry == value.entry);
  }
}

TEST_CASE("embedding and output take types of their own") {
  const std::string bytes = model().bytes();
  const GgufFile in = GgufFile::parse(as_bytes(bytes), "in");
  QuantizeOptions options = to(TensorType::kQ2_K);
  options.embedding = TensorType::kQ8_0;
  options.output = TensorType::kQ6_K;
  CHECK(planned_type(*in.find_tensor("token_embd.weight"), options) == TensorType::kQ8_0);
  CHECK(planned_type(*in.find_tensor("output.weight"), options) == TensorType::kQ6_K);
  CHECK(planned_type(*in.find_tensor("blk.0.attn_q.weight"), options) == TensorType::kQ2_K);
}

TEST_CASE("rows that are no whole number of blocks get the type that the documentation says") {
  const std::string bytes = model().bytes();
  const GgufFile in = GgufFile::parse(as_bytes(bytes), "in");
  const TensorInfo& rows_of_96 = *in.find_tensor("blk.0.ffn_down.weight");
  const TensorInfo& rows_of_33 = *in.find_tensor("blk.0.ffn_odd.weight");
  const std::pair<TensorType, TensorType> expected[] = {
      {TensorType::kQ2_K, TensorType::kIQ4_NL},   {TensorType::kQ3_K, TensorType::kIQ4_NL},
      {TensorType::kIQ4_XS, TensorType::kIQ4_NL}, {TensorType::kQ4_K, TensorType::kQ5_0},
      {TensorType::kQ5_K, TensorType::kQ5_1},     {TensorType::kQ6_K, TensorType::kQ8_0},
      {TensorType::kTQ1_0, TensorType::kQ4_0},    {TensorType::kTQ2_0, TensorType::kQ4_0},
      {TensorType::kQ4_1, TensorType::kQ4_1},     {TensorType::kMXFP4, TensorType::kMXFP4}};
  for (const auto& [type, fallback] : expected) {
    CHECK(planned_type(rows_of_96, to(type)) == fallback);
    CHECK(planned_type(rows_of_33, to(type)) == TensorType::kF16);
  }
  CHECK(planned_type(rows_of_33, to(TensorType::kBF16)) == TensorType::kBF16);
}

TEST_CASE("threads do not change a byte, and a tensor of the wanted type is copied") {
  const TempDir dir;
  GgufWriter writer;
  add_f32(writer, "a.weight", {700, 512});  // several slices for each thread, the last one short
  const std::string bytes = writer.bytes();
  const GgufFile in = GgufFile::parse(as_bytes(bytes), "in");
  QuantizeOptions options = to(TensorType::kQ8_0);
  quantize_file(in, dir.path("one"), options, go_on);
  options.n_threads = 3;
  quantize_file(in, dir.path("three"), options, go_on);
  CHECK(read_all(dir.path("one")) == read_all(dir.path("three")));
  quantize_file(GgufFile::open(dir.path("one")), dir.path("again"), options, go_on);
  CHECK(read_all(dir.path("one")) == read_all(dir.path("again")));
}

TEST_CASE("a value that the type cannot hold is refused with tensor, index and type") {
  const TempDir dir;
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf(""), 1e6f}) {
    std::vector<float> values(512 * 300, 0.5f);
    values[100'001] = bad;
    values[100'002] = bad;
    GgufWriter writer;
    writer.add_tensor_f32("a.weight", Shape{300, 512}, values);
    const std::string bytes = writer.bytes();
    const auto run = [&] {
      quantize_file(GgufFile::parse(as_bytes(bytes), "in"), dir.path("out"), to(TensorType::kQ4_0), go_on);
    };
    CHECK(error_of(run) == ErrorCode::kModelInvalid);
    const std::string message = message_of(run);
    CHECK(message.find("Tensor \"a.weight\" has the value ") == 0);
    CHECK(message.find(" at index 100001, which q4_0 cannot hold") != std::string::npos);
    CHECK(n_files(dir) == 0);
  }
}

TEST_CASE("an existing file is replaced only when asked, and kept when something fails") {
  const TempDir dir;
  const std::string bytes = model().bytes();
  const GgufFile in = GgufFile::parse(as_bytes(bytes), "in");
  const std::string path = dir.write("out", "precious");
  QuantizeOptions options = to(TensorType::kQ4_0);
  const auto run = [&] { quantize_file(in, path, options, go_on); };
  CHECK(error_of(run) == ErrorCode::kInvalidArgument);
  CHECK(message_of(run).find("exists already") != std::string::npos);

  options.overwrites = true;
  int n_calls = 0;
  const auto cancel = [&] { quantize_file(in, path, options, [&](const auto&) { return ++n_calls < 5; }); };
  CHECK(error_of(cancel) == ErrorCode::kCancelled);
  CHECK(n_calls == 5);
  CHECK(read_all(path) == "precious");
  CHECK(n_files(dir) == 1);

  run();
  CHECK(GgufFile::open(path).tensors().size() == in.tensors().size());
  CHECK(n_files(dir) == 1);

  // Over its own input, which stays mapped while it is replaced.
  options.type = TensorType::kQ8_0;
  const auto over_itself = [&] { quantize_file(GgufFile::open(path), path, options, go_on); };
#ifdef _WIN32
  CHECK(error_of(over_itself) == ErrorCode::kInvalidArgument);
  CHECK(type_of(GgufFile::open(path), "blk.0.attn_q.weight") == TensorType::kQ4_0);
#else
  over_itself();
  CHECK(type_of(GgufFile::open(path), "blk.0.attn_q.weight") == TensorType::kQ8_0);
#endif
}

TEST_CASE("a folder that is absent or is the target is refused with the reason") {
  const TempDir dir;
  const std::string bytes = model().bytes();
  const GgufFile in = GgufFile::parse(as_bytes(bytes), "in");
  const auto message = [&](const std::string& path) {
    QuantizeOptions options = to(TensorType::kQ4_0);
    options.overwrites = true;
    return message_of([&] { quantize_file(in, path, options, go_on); });
  };
  CHECK(message(dir.path("absent/out")).find("Cannot write ") == 0);
  std::filesystem::create_directory(dir.path("folder"));
  CHECK(message(dir.path("folder")).find("is not a regular file") != std::string::npos);
}

#ifndef _WIN32
TEST_CASE("a write that the system refuses leaves no file") {
  // A limit on the size of files stands for a full disk: the write fails with EFBIG in place of ENOSPC.
  const TempDir dir;
  GgufWriter writer;
  add_f32(writer, "a.weight", {1024, 256});
  const std::string bytes = writer.bytes();
  const GgufFile in = GgufFile::parse(as_bytes(bytes), "in");
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited{64 * 1024, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limited) == 0);
  const auto run = [&] { quantize_file(in, dir.path("out"), to(TensorType::kQ8_0), go_on); };
  const auto code = error_of(run);
  const std::string message = message_of(run);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(code == ErrorCode::kFileUnreadable);
  CHECK(message == "Cannot write " + dir.path("out") + ": File too large.");
  CHECK(n_files(dir) == 0);
}
#endif
