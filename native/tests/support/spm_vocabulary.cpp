#include "tests/support/spm_vocabulary.h"

#include <cstdio>

namespace outpost::test {

int32_t add_spm_vocabulary(GgufWriter& writer, const std::vector<Piece>& pieces) {
  std::vector<Piece> all = {{"<unk>", 0.0f, 2}, {"<s>", 0.0f, 3}, {"</s>", 0.0f, 3}};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", byte);
    all.push_back({text, 0.0f, 6});
  }
  all.insert(all.end(), pieces.begin(), pieces.end());

  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<int32_t> kinds;
  for (const Piece& piece : all) {
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    kinds.push_back(piece.kind);
  }
  writer.add_string("tokenizer.ggml.model", "llama");
  writer.add_strings("tokenizer.ggml.tokens", texts);
  writer.add_floats("tokenizer.ggml.scores", scores);
  writer.add_int32s("tokenizer.ggml.token_type", kinds);
  writer.add_uint32("tokenizer.ggml.bos_token_id", 1);
  writer.add_uint32("tokenizer.ggml.eos_token_id", 2);
  writer.add_uint32("tokenizer.ggml.unknown_token_id", 0);
  return static_cast<int32_t>(all.size());
}

}  // namespace outpost::test
