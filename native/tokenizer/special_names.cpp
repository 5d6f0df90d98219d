// Special tokens by their text. Files seldom name these by role, and often get their kind wrong: a reply must not show
// them, nor a text contain them by accident. Spellings and behaviour are llama.cpp's (src/llama-vocab.cpp, where it
// fills `special_eog_ids` and the `special_fim_*` ids), with some families' added.
#include "tokenizer/vocabulary.h"

namespace outpost {
namespace {

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace

/// The first of the texts that is a token, made a control token; -1 for none.
int32_t Vocabulary::find_control(std::initializer_list<std::string_view> texts) {
  for (const std::string_view text : texts) {
    const int32_t id = find(text);
    if (id < 0) continue;
    kinds_[static_cast<size_t>(id)] = TokenKind::kControl;
    return id;
  }
  return -1;
}

void Vocabulary::find_special_by_text() {
  const auto find_missing = [&](int32_t& id, std::initializer_list<std::string_view> texts) {
    if (id < 0) id = find_control(texts);
  };
  find_missing(eot, {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",
                     "<EOT>", "_<EOT>", "[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"});
  find_missing(eom, {"<|eom_id|>"});
  // Qwen, SantaCoder, StarCoder and Granite, DeepSeek, Code Llama, GLM, Falcon-H1, Codestral, Seed-Coder
  find_missing(fim.prefix, {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
                            "<|code_prefix|>", "<|prefix|>", "[PREFIX]", "<[fim-prefix]>"});
  find_missing(fim.suffix, {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
                            "<|code_suffix|>", "<|suffix|>", "[SUFFIX]", "<[fim-suffix]>"});
  find_missing(fim.middle, {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
                            "<|code_middle|>", "<|middle|>", "[MIDDLE]", "<[fim-middle]>"});
  find_missing(fim.pad, {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"});
  find_missing(fim.repository, {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<repo_name>"});
  find_missing(fim.file_separator, {"<|file_sep|>", "<|file_separator|>", "<file_sep>", "<filename>"});
}

void Vocabulary::mark_ends() {
  is_end_.assign(texts_.size(), false);
  is_shown_.assign(texts_.size(), false);
  for (const int32_t id : {eos, eot, eom, fim.pad, fim.repository, fim.file_separator}) {
    if (id >= 0) is_end_[static_cast<size_t>(id)] = true;
  }
  for (const std::string_view text : {"<|eot_id|>",
                                      "<|im_end|>",
                                      "<|end|>",
                                      "<|return|>",
                                      "<|call|>",
                                      "<|flush|>",
                                      "<|calls|>",
                                      "<end_of_turn>",
                                      "<|endoftext|>",
                                      "</s>",
                                      "<|eom_id|>",
                                      "<EOT>",
                                      "_<EOT>",
                                      "[EOT]",
                                      "[EOS]",
                                      "<|end_of_text|>",
                                      "<end_of_utterance>",
                                      "<eos>",
                                      "<turn|>",
                                      "<|tool_response>",
                                      "<｜end▁of▁sentence｜>",
                                      "[e~["}) {
    if (const int32_t id = find_control({text}); id >= 0) is_end_[static_cast<size_t>(id)] = true;
  }

  const auto ends = [&](std::string_view text) {
    const int32_t id = find(text);
    return id >= 0 && is_end(id);
  };
  // A harmony reply (gpt-oss) is made of parts with headers; the reader of the reply needs their marks, and <|end|> is
  // the end of a part only. llama.cpp makes these user-defined tokens, which match in any text; here they stay control
  // tokens for encoding: text that only quotes them must not become them.
  const auto show = [&](std::string_view text) {
    if (const int32_t id = find_control({text}); id >= 0) is_shown_[static_cast<size_t>(id)] = true;
  };
  for (const std::string_view text : {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"}) show(text);
  const bool has_call = ends("<|call|>") || ends("<|calls|>");
  if (has_call && (ends("<|return|>") || ends("<|flush|>")) && ends("<|end|>")) {
    is_end_[static_cast<size_t>(find("<|end|>"))] = false;
    show("<|end|>");
  }
  // Gemma 4 has SentencePiece's </s> as a piece of text.
  if (ends("<|tool_response>") && ends("</s>")) {
    const auto id = static_cast<size_t>(find("</s>"));
    is_end_[id] = false;
    kinds_[id] = TokenKind::kNormal;
  }
}

void Vocabulary::mark_strips(const GgufFile& file) {
  strips_right_.assign(texts_.size(), false);
  // GGUF has no field for this. llama.cpp goes by names.
  const std::string name = lower_case(file.get_string("general.name").value_or(""));
  const std::string_view pre = file.get_string("tokenizer.ggml.pre").value_or("");
  const std::string_view architecture = file.get_string("general.architecture").value_or("");
  const bool is_phi3 = contains(name, "phi-3") || contains(name, "phi3");
  if (contains(pre, "jina-v2-de") || contains(pre, "jina-v2-es") || contains(pre, "jina-v2-code") ||
      contains(architecture, "nomic-bert-moe") || contains(architecture, "jina-bert-v3")) {
    strips_left_ = find("<mask>");
  } else if (!is_phi3 && contains(name, "modern-bert")) {
    strips_left_ = find("[MASK]");
  } else if (is_phi3) {
    // Phi-3's special tokens take the white space after them, except those that SentencePiece defines itself.
    for (int32_t id = 0; id < n_tokens(); ++id) {
      const bool keeps = text(id) == "<unk>" || text(id) == "<s>" || text(id) == "<|endoftext|>";
      if ((is_special(id) || text(id) == "</s>") && !keeps) strips_right_[static_cast<size_t>(id)] = true;
    }
  }
}

}  // namespace outpost
