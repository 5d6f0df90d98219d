// Models in several files: loaded as one, and refused by what is wrong with the set.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "gguf/gguf_file.h"
#include "gguf/gguf_file_writer.h"
#include "runtime/loaded_model.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

struct Part {
  std::string name;
  uint32_t no, count;
  size_t first, last;  ///< of the model's tensors
  uint32_t n_tensors_told;
};

TinyLlama small_llama() {
  TinyLlama tiny;
  tiny.pieces = word_pieces();
  return with_random_weights(tiny);
}

void write_part(const TempDir& dir, const GgufFile& whole, const Part& part) {
  const std::vector<std::string> own = {encode_uint32_entry("split.no", part.no),
                                        encode_uint32_entry("split.count", part.count),
                                        encode_uint32_entry("split.tensors.count", part.n_tensors_told)};
  std::vector<std::string_view> entries(own.begin(), own.end());
  if (part.no == 0) {
    for (const auto& [key, value] : whole.metadata()) entries.push_back(value.entry);
  }
  std::vector<TensorHeader> headers;
  for (size_t i = part.first; i < part.last; ++i) {
    const TensorInfo& tensor = whole.tensors()[i];
    headers.push_back({tensor.name, tensor.type, tensor.shape});
  }
  GgufFileWriter writer(dir.path(part.name), entries, headers, whole.alignment());
  for (size_t i = part.first; i < part.last; ++i) {
    writer.write(whole.tensors()[i].bytes);
    writer.end_tensor();
  }
  writer.commit();
}

/// The first of three files, of which it holds no tensors, as gguf-split does it on request.
std::vector<Part> three_parts(size_t n_tensors) {
  const auto n = static_cast<uint32_t>(n_tensors);
  return {{"tiny-00001-of-00003.gguf", 0, 3, 0, 0, n},
          {"tiny-00002-of-00003.gguf", 1, 3, 0, n_tensors / 3, n},
          {"tiny-00003-of-00003.gguf", 2, 3, n_tensors / 3, n_tensors, n}};
}

}  // namespace

TEST_CASE("a model in three files computes what it computes in one") {
  const TempDir dir;
  const std::string bytes = small_llama().bytes(), path = dir.write("tiny.gguf", bytes);
  const GgufFile whole = GgufFile::open(path);
  for (const bool has_empty_first : {true, false}) {
    CAPTURE(has_empty_first);
    auto parts = three_parts(whole.tensors().size());
    if (!has_empty_first) {
      parts[0].last = 2;
      parts[1].first = 2;
    }
    uint64_t n_bytes = 0;
    for (const Part& part : parts) {
      write_part(dir, whole, part);
      n_bytes += std::filesystem::file_size(dir.path(part.name));
    }
    LoadOptions options;
    options.n_threads = 1;
    {
      const auto one = Model::load(path, options), three = Model::load(dir.path(parts[0].name), options);
      CHECK(three->info().n_params == one->info().n_params);
      CHECK(three->info().weight_bytes == one->info().weight_bytes);
      CHECK(three->info().file_bytes == n_bytes);
      const std::vector<int32_t> tokens = {1, 300, 301, 302, 310};
      CHECK(evaluate_logits(*three, tokens, 5, 5) == evaluate_logits(*one, tokens, 5, 5));
    }  // Windows lets nobody write into a file that is mapped

    // A saved context belongs to the weights of all files.
    const uint64_t before = GgufFile::open(dir.path(parts[0].name)).fingerprint();
    std::string last = dir.read(parts[2].name);
    last.back() ^= 1;
    dir.write(parts[2].name, last);
    CHECK(GgufFile::open(dir.path(parts[0].name)).fingerprint() != before);
  }
}

TEST_CASE("a set of files that is none is refused with what is wrong with it") {
  const TempDir dir;
  const std::string bytes = small_llama().bytes();
  const GgufFile whole = GgufFile::parse(as_bytes(bytes), "tiny.gguf");
  const size_t n_tensors = whole.tensors().size();
  const auto refused = [&](const std::string& name, const std::string& why, ErrorCode code = ErrorCode::kModelInvalid) {
    CAPTURE(name);
    CHECK(error_of([&] { GgufFile::open(dir.path(name)); }) == code);
    CHECK(message_of([&] { GgufFile::open(dir.path(name)); }).find(why) != std::string::npos);
  };
  const auto write_all = [&](std::vector<Part> parts) {
    for (const Part& part : parts) write_part(dir, whole, part);
    return parts[0].name;
  };

  auto parts = three_parts(n_tensors);
  write_all(parts);
  refused(parts[1].name, "is part 2 of 3 of a model. Choose the first");
  std::filesystem::remove(dir.path(parts[2].name));
  refused(parts[0].name, "tiny-00003-of-00003.gguf", ErrorCode::kFileNotFound);

  parts = three_parts(n_tensors);
  parts[2].no = 1;
  refused(write_all(parts), "as part 3 of 3, but that is part 2 of 3");

  parts = three_parts(n_tensors);
  parts[2].first -= 1;
  refused(write_all(parts), "which is also in");

  parts = three_parts(n_tensors);
  parts[2].last -= 1;
  refused(write_all(parts), "tensors; they hold");

  parts = three_parts(n_tensors);
  parts[0].name = "renamed.gguf";
  refused(write_all(parts), "its name must end in -00001-of-00003.gguf");

  write_part(dir, whole, {"many.gguf", 0, 70'000, 0, 0, 0});
  refused("many.gguf", "claims to be one of 70000 files");
}
