// Writes the seed corpus of the fuzzers: write_seeds DIRECTORY. Small well-formed files, one per feature.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/gguf_writer.h"
#include "tests/support/spm_vocabulary.h"
#include "tokenizer/splitter.h"

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

/// The model, tokens that all kinds can use, and what only some read.
GgufWriter vocabulary_of(const char* model, const char* pre) {
  GgufWriter writer;
  writer.add_string("tokenizer.ggml.model", model);
  writer.add_string("tokenizer.ggml.pre", pre);
  writer.add_strings("tokenizer.ggml.tokens",
                     std::vector<std::string>{"<unk>", "<s>", "G", "U", "GU", "\xE2\x96\x81", "\xE2\x96\x81t", "t",
                                              "\xC4\xA0", "\xC4\xA0t", "<user>", "FGG", "<0x41>", "aa"});
  writer.add_floats("tokenizer.ggml.scores", std::vector<float>{0, 0, -1, -2, -3, -4, -5, -6, -7, -8, 0, -9, 0, -2});
  writer.add_int32s("tokenizer.ggml.token_type", std::vector<int32_t>{2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4, 5, 6, 1});
  writer.add_strings("tokenizer.ggml.merges",
                     std::vector<std::string>{"G U", "\xC4\xA0 t", "a a", "\xE2\x96\x81 t", "GU F"});
  writer.add_uint32("tokenizer.ggml.unknown_token_id", 0);
  writer.add_bool("tokenizer.ggml.add_space_prefix", true);
  writer.add_bool("tokenizer.ggml.remove_extra_whitespaces", true);
  return writer;
}

/// With one rule: "t" becomes "a".
GgufWriter with_charsmap() {
  GgufWriter writer = vocabulary_of("t5", "");
  std::string blob, value;
  outpost::test::append_number(blob, uint32_t{128 * 4});
  for (uint32_t i = 0; i < 128; ++i) {
    const uint32_t unit = i == 0 ? 1u << 10 : i == (1 ^ 't') ? (1u << 10 | 1u << 8 | 't') : i == 't' ? 1u << 31 : 0;
    outpost::test::append_number(blob, unit);
  }
  blob += std::string_view("a\0", 2);
  outpost::test::append_number(value, uint32_t{0});
  outpost::test::append_number(value, uint64_t{blob.size()});
  writer.add_raw("tokenizer.ggml.precompiled_charsmap", 9, value + blob);
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
  for (const char* pre : {"gpt-2", "llama-bpe", "deepseek-coder", "superbpe", "sarvam-moe"}) {
    write(dir / ("vocabulary-" + std::string(pre)), vocabulary_of("gpt2", pre).bytes());
  }
  for (const char* model : {"gemma4", "bert", "t5"}) {
    write(dir / ("vocabulary-" + std::string(model)), vocabulary_of(model, "").bytes());
  }
  write(dir / "vocabulary-charsmap", with_charsmap().bytes());
  GgufWriter old = with_tensors();
  old.version = 2;
  write(dir / "version2", old.bytes());
  // The first byte chooses one of the tokenizers of tokenizer_fuzzer.cpp, three of them without such a name.
  for (size_t kind = 0; kind < outpost::pre_tokenizer_names().size() + 3; ++kind) {
    write(dir / ("text-" + std::to_string(kind)),
          static_cast<char>(kind) +
              std::string("ab  <user> 'S aB12 "
                          "345\n\tx(\xC3\xA9)\r\n\xE6\xBC\xA2\xE3\x84\x85\xE3\x81\x82</s>\xF0\x9F\x98\x80 \xF0 x"));
  }
  write(dir / "text", "ab <user>  a\xC3\xA9</s>\xF0\x9F\x98\x80 \xF0 x");
  return 0;
}
