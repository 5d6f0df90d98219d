#include "tokenizer/splitter.h"

#include <algorithm>

#include "core/utf8.h"
#include "tokenizer/split_stage.h"

namespace outpost {
namespace {

constexpr PreTokenizer kPreTokenizers[] = {
    {.name = "default", .splitter = &kDefaultPre},
    {.name = "gpt-2", .splitter = &kGpt2},
    {.name = "phi-2", .splitter = &kGpt2},
    {.name = "mpt", .splitter = &kGpt2},
    {.name = "olmo", .splitter = &kGpt2},
    {.name = "jais", .splitter = &kGpt2},
    {.name = "trillion", .splitter = &kGpt2},
    {.name = "granite-docling", .splitter = &kGpt2},
    {.name = "gigachat", .splitter = &kGpt2},
    {.name = "a.x-4.0", .splitter = &kGpt2},
    {.name = "mellum", .splitter = &kGpt2},
    {.name = "modern-bert", .splitter = &kGpt2},
    {.name = "exaone4", .splitter = &kGpt2},
    {.name = "jina-es", .splitter = &kGpt2},
    {.name = "jina-de", .splitter = &kGpt2},
    {.name = "jina-v2-es", .splitter = &kGpt2},
    {.name = "jina-v2-de", .splitter = &kGpt2},
    {.name = "jina-v1-en", .splitter = &kGpt2, .add_sep = true},
    {.name = "jina-v2-code", .splitter = &kGpt2, .add_sep = true},
    {.name = "roberta-bpe", .splitter = &kGpt2, .add_sep = true},
    {.name = "starcoder", .splitter = &kStarcoder},
    {.name = "refact", .splitter = &kStarcoder},
    {.name = "command-r", .splitter = &kStarcoder},
    {.name = "smollm", .splitter = &kStarcoder},
    {.name = "codeshell", .splitter = &kStarcoder},
    {.name = "exaone", .splitter = &kStarcoder},
    {.name = "minerva-7b", .splitter = &kStarcoder},
    {.name = "mellum2", .splitter = &kStarcoder},
    {.name = "falcon", .splitter = &kFalcon},
    {.name = "chameleon", .splitter = &kChameleon, .add_bos = true},
    {.name = "llama3", .splitter = &kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "llama-v3", .splitter = &kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "llama-bpe", .splitter = &kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "falcon3", .splitter = &kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "falcon-h1", .splitter = &kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "pixtral", .splitter = &kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "midm-2.0", .splitter = &kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "lfm2", .splitter = &kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "jina-v5-nano", .splitter = &kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "dbrx", .splitter = &kLlama3},
    {.name = "smaug-bpe", .splitter = &kLlama3},
    {.name = "glm4", .splitter = &kLlama3},
    {.name = "chatglm-bpe", .splitter = &kLlama3},
    {.name = "jais-2", .splitter = &kJais2},
    {.name = "minicpm5", .splitter = &kMinicpm5, .ignore_merges = true},
    {.name = "qwen2", .splitter = &kQwen2},
    {.name = "deepseek-r1-qwen", .splitter = &kQwen2},
    {.name = "kormo", .splitter = &kQwen2},
    {.name = "f2llmv2", .splitter = &kQwen2},
    {.name = "megrez", .splitter = &kQwen2},
    {.name = "stablelm2", .splitter = &kQwen2},
    {.name = "hunyuan", .splitter = &kQwen2},
    {.name = "solar-open", .splitter = &kQwen2},
    {.name = "grok-2", .splitter = &kQwen2},
    {.name = "bailingmoe", .splitter = &kQwen2},
    {.name = "bailingmoe2", .splitter = &kQwen2},
    {.name = "llada-moe", .splitter = &kQwen2},
    {.name = "qwen35", .splitter = &kQwen35},
    {.name = "seed-coder", .splitter = &kSeedCoder},
    {.name = "ufakzeka", .splitter = &kUfakzeka},
    {.name = "laguna", .splitter = &kLaguna},
    {.name = "exaone-moe", .splitter = &kExaoneMoe},
    {.name = "tekken", .splitter = &kTekken, .ignore_merges = true, .add_bos = true},
    {.name = "gpt-4o", .splitter = &kGpt4o},
    {.name = "llama4", .splitter = &kGpt4o},
    {.name = "kanana2", .splitter = &kGpt4o},
    {.name = "talkie", .splitter = &kGpt4o},
    {.name = "minimax-m2", .splitter = &kGpt4o},
    {.name = "granite-embed-multi-97m", .splitter = &kGraniteMulti, .ignore_merges = true},
    {.name = "tiny_aya", .splitter = &kTinyAya},
    {.name = "cohere2moe", .splitter = &kTinyAya},
    {.name = "youtu", .splitter = &kYoutu, .ignore_merges = true},
    {.name = "kimi-k2", .splitter = &kKimiK2},
    {.name = "deepseek-llm", .splitter = &kDeepseekLlm},
    {.name = "deepseek-coder", .splitter = &kDeepseekCoder},
    {.name = "deepseek-v3", .splitter = &kDeepseek3},
    {.name = "hunyuan-dense", .splitter = &kDeepseek3},
    {.name = "hy_v4", .splitter = &kDeepseek3},
    {.name = "joyai-llm", .splitter = &kDeepseek3},
    {.name = "spark2_5", .splitter = &kSpark},
    {.name = "afmoe", .splitter = &kAfmoe},
    {.name = "poro-chat", .splitter = &kPoro},
    {.name = "bloom", .splitter = &kPoro},
    {.name = "gpt3-finnish", .splitter = &kPoro},
    {.name = "viking", .splitter = &kViking},
    {.name = "superbpe", .splitter = &kSuperBpe},
    {.name = "gemma4", .splitter = &kNewlines, .has_raw_text = true, .joins_newlines = true, .forces_add_bos = true},
    {.name = "granite-embed-multi-311m",
     .splitter = &kNewlines,
     .has_raw_text = true,
     .joins_newlines = true,
     .forces_add_bos = true},
    {.name = "sarvam-moe", .splitter = &kNewlines, .has_raw_text = true},
};

}  // namespace

void Splitter::split(const ClassifiedText& text, std::vector<uint32_t>& ends) const {
  ends.clear();
  if (text.size() == 0) return;
  stages[0](text, 0, text.size(), ends);
  std::vector<uint32_t> pieces;
  for (const SplitStage stage : stages.subspan(1)) {
    pieces.swap(ends);
    ends.clear();
    size_t begin = 0;
    for (const uint32_t end : pieces) {
      stage(text, begin, end, ends);
      begin = end;
    }
  }
}

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  const auto* it = std::find_if(std::begin(kPreTokenizers), std::end(kPreTokenizers),
                                [&](const PreTokenizer& pre) { return pre.name == name; });
  return it == std::end(kPreTokenizers) ? nullptr : it;
}

std::vector<std::string_view> pre_tokenizer_names() {
  std::vector<std::string_view> names;
  for (const PreTokenizer& pre : kPreTokenizers) names.push_back(pre.name);
  return names;
}

Neighbours neighbours_at(std::string_view text, size_t at) {
  // The character before: the longest of up to four bytes that ends here.
  DecodedChar left = {kReplacementCharacter, 1};
  for (size_t n = 1; n <= 4 && n <= at; ++n) {
    const DecodedChar c = decode_char(text.substr(at - n, n));
    if (c.n_bytes == n && (n > 1 || c.code_point < 128)) {
      left = c;
      break;
    }
  }
  bool is_between_chars = true;  // no lead byte takes others than its own
  for (size_t n = 1; n <= 4 && n <= at; ++n) {
    const auto lead = static_cast<unsigned char>(text[at - n]);
    if (lead >= 0xC0 && utf8_sequence_length(text.substr(at - n, n)) < 1) is_between_chars = false;
  }
  const DecodedChar right = decode_char(text.substr(at));
  return {left.code_point, right.code_point, char_class(left.code_point), char_class(right.code_point),
          is_between_chars};
}

}  // namespace outpost
