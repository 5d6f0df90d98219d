// Writes the seed corpus of the fuzzers: write_seeds DIRECTORY. Small well-formed files, one per feature.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/gguf_writer.h"
#include "tests/support/spm_vocabulary.h"

namespace {

using outpost::TensorType;
using outpost::test::GgufWriter;

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

GgufWriter metadata_only() {
  GgufWriter writer;
  writer.add_bool("b", true);
  writer.add_uint32("u", 1);
  writer.add_int32("i", -1);
  writer.add_uint64("U", 1);
  writer.add_float("f", 1.0f);
  writer.add_double("d", 1.0);
  writer.add_string("s", "text");
  writer.add_strings("S", std::vector<std::string>{"x", ""});
  writer.add_floats("F", std::vector<float>{1.0f});
  writer.add_int32s("I", std::vector<int32_t>{1});
  return writer;
}

GgufWriter with_tensors() {
  GgufWriter writer;
  writer.alignment = 8;
  writer.add_uint32("general.alignment", 8);
  writer.add_tensor_f32("a", std::vector<int64_t>{2, 2}, std::vector<float>{1, 2, 3, 4});
  writer.add_tensor("q", TensorType::kQ8_0, std::vector<int64_t>{1, 32}, std::string(34, 'q'));
  return writer;
}

GgufWriter with_every_type() {
  GgufWriter writer;
  for (uint32_t id = 0; id < 64; ++id) {
    const outpost::TensorTypeTraits* traits = outpost::tensor_type_traits(id);
    if (traits == nullptr) continue;
    writer.add_tensor(traits->name, static_cast<TensorType>(id),
                      std::vector<int64_t>{static_cast<int64_t>(traits->block_elements)},
                      std::string(traits->block_bytes, 'x'));
  }
  return writer;
}

GgufWriter vocabulary() {
  GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", "llama");
  writer.add_strings("tokenizer.ggml.tokens",
                     std::vector<std::string>{"<unk>", "<s>", "</s>", "<0x41>", "\xE2\x96\x81", "G", "U", "GU"});
  writer.add_floats("tokenizer.ggml.scores", std::vector<float>{0, 0, 0, 0, -1, -2, -3, -4});
  writer.add_int32s("tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, 3, 6, 1, 1, 1, 1});
  return writer;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_seeds DIRECTORY\n");
    return 2;
  }
  const std::filesystem::path dir = argv[1];
  std::filesystem::create_directories(dir);
  write(dir / "metadata", metadata_only().bytes());
  write(dir / "tensors", with_tensors().bytes());
  write(dir / "types", with_every_type().bytes());
  write(dir / "vocabulary", vocabulary().bytes());
  GgufWriter old = with_tensors();
  old.version = 2;
  write(dir / "version2", old.bytes());
  write(dir / "text", "ab <user>  a\xC3\xA9</s>\xF0\x9F\x98\x80 \xF0 x");
  return 0;
}
