#include "tokenizer/trainer/vocabulary_file.h"

#include <array>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/atomic_file.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "gguf/gguf_file.h"
#include "gguf/gguf_file_writer.h"
#include "tokenizer/vocabulary.h"

namespace outpost {
namespace {

// Names as llama.cpp's guesses of a token's role by its text know them, where it has any (src/llama-vocab.cpp).
constexpr std::array<std::string_view, 14> kSpecialNames = {
    "<|begin_of_text|>", "<|end_of_text|>", "<|pad|>",       "<|fim_prefix|>",  "<|fim_suffix|>",
    "<|fim_middle|>",    "<|fim_pad|>",     "<|repo_name|>", "<|file_sep|>",    "<|system|>",
    "<|user|>",          "<|assistant|>",   "<|tool|>",      "<|end_of_turn|>",
};

struct SpecialRole {
  const char* key;
  uint32_t id;
};
constexpr SpecialRole kSpecialRoles[] = {
    {"bos_token_id", 0},     {"eos_token_id", 1},     {"padding_token_id", 2}, {"fim_pre_token_id", 3},
    {"fim_suf_token_id", 4}, {"fim_mid_token_id", 5}, {"fim_pad_token_id", 6}, {"fim_rep_token_id", 7},
    {"fim_sep_token_id", 8}, {"eot_token_id", 13},
};

std::string special_text(int32_t id) {
  const auto i = static_cast<size_t>(id);
  return i < kSpecialNames.size() ? std::string(kSpecialNames[i]) : concat("<|reserved_", i, "|>");
}

void append_utf8(std::string& out, uint32_t code_point) {
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else {  // below 0x800 here
    out += static_cast<char>(0xc0 | code_point >> 6);
    out += static_cast<char>(0x80 | (code_point & 63));
  }
}

/// GPT-2's spelling of bytes: printable ones of Latin-1 stand for themselves, the others, in order, for U+0100 on.
std::string spelled(std::string_view bytes) {
  static const auto code_points = [] {
    std::array<uint32_t, 256> table{};
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool is_printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      table[byte] = is_printable ? byte : next++;
    }
    return table;
  }();
  std::string out;
  for (const char c : bytes) append_utf8(out, code_points[static_cast<unsigned char>(c)]);
  return out;
}

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_string(std::string& out, std::string_view text) {
  append(out, uint64_t{text.size()});
  out += text;
}

/// Key and type of a metadata entry; its value is appended by the caller.
std::string begin_entry(std::string_view key, GgufType type) {
  std::string entry;
  append_string(entry, key);
  append(entry, static_cast<uint32_t>(type));
  return entry;
}

std::string string_entry(std::string_view key, std::string_view value) {
  std::string entry = begin_entry(key, GgufType::kString);
  append_string(entry, value);
  return entry;
}

std::string bool_entry(std::string_view key, bool value) {
  std::string entry = begin_entry(key, GgufType::kBool);
  append(entry, static_cast<uint8_t>(value));
  return entry;
}

std::string begin_array(std::string_view key, GgufType type, size_t n_elements) {
  std::string entry = begin_entry(key, GgufType::kArray);
  append(entry, static_cast<uint32_t>(type));
  append(entry, uint64_t{n_elements});
  return entry;
}

std::string json_text(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += concat("\\u00", kHex[c >> 4], kHex[c & 15]);
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

void write_vocabulary_gguf(const std::string& path, const TrainingResult& result, const std::string& name) {
  const LearnedTokens& tokens = result.tokens;
  const auto n_tokens = static_cast<size_t>(kSpecialTokens + tokens.size());
  std::string texts = begin_array("tokenizer.ggml.tokens", GgufType::kString, n_tokens);
  std::string kinds = begin_array("tokenizer.ggml.token_type", GgufType::kInt32, n_tokens);
  for (int32_t id = 0; id < kSpecialTokens; ++id) {
    append_string(texts, special_text(id));
    append(kinds, static_cast<int32_t>(TokenKind::kControl));
  }
  for (int32_t id = 0; id < tokens.size(); ++id) {
    append_string(texts, spelled(tokens.text(id)));
    append(kinds, static_cast<int32_t>(TokenKind::kNormal));
  }
  std::string merges = begin_array("tokenizer.ggml.merges", GgufType::kString, tokens.merges().size());
  for (const Merge& merge : tokens.merges())
    append_string(merges, spelled(tokens.text(merge.left)) + " " + spelled(tokens.text(merge.right)));

  std::vector<std::string> entries = {
      // Readers ask for an architecture, which a vocabulary alone does not have.
      string_entry("general.architecture", "llama"),
      string_entry("general.name", name),
      string_entry("tokenizer.ggml.model", "gpt2"),
      string_entry("tokenizer.ggml.pre", "superbpe"),
      std::move(texts),
      std::move(kinds),
      std::move(merges),
  };
  for (const auto& [key, id] : kSpecialRoles)
    entries.push_back(encode_uint32_entry(concat("tokenizer.ggml.", key), id));
  entries.push_back(bool_entry("tokenizer.ggml.add_bos_token", true));
  entries.push_back(bool_entry("tokenizer.ggml.add_eos_token", false));
  const std::vector<std::string_view> metadata(entries.begin(), entries.end());
  GgufFileWriter(path, metadata, {}, 32).commit();
}

void write_vocabulary_json(const std::string& path, const TrainingResult& result, const TrainerOptions& options) {
  const LearnedTokens& tokens = result.tokens;
  std::string out =
      concat("{\n\"options\": {\"tokens\": ", options.n_tokens, ", \"maxTokenBytes\": ", options.limits.max_token_bytes,
             ", \"maxWords\": ", options.limits.max_words, ", \"minCount\": ", options.limits.min_count,
             ", \"minSources\": ", options.limits.min_sources, ", \"sourceDepth\": ", options.source_depth,
             ", \"maxBytes\": ", options.max_bytes, "},\n\"corpus\": {\"files\": ", result.n_files,
             ", \"bytes\": ", result.n_bytes, ", \"sources\": ", result.n_sources, ", \"words\": ", result.n_words,
             ", \"pieces\": ", result.n_pieces, ", \"droppedWordsUpToCount\": ", result.dropped_words,
             ", \"droppedPiecesUpToCount\": ", result.dropped_pieces, "},\n\"subwords\": ", result.n_subwords,
             ",\n\"tokens\": [\n");
  for (int32_t id = 0; id < kSpecialTokens; ++id)
    out += concat("{\"id\": ", id, ", \"special\": ", json_text(special_text(id)), "},\n");
  for (int32_t id = 0; id < tokens.size(); ++id) {
    // Bytes that are no character alone are shown in GPT-2's spelling.
    const std::string& text = tokens.text(id);
    out += concat("{\"id\": ", kSpecialTokens + id,
                  is_utf8(text) ? ", \"text\": " : ", \"bytes\": ", json_text(is_utf8(text) ? text : spelled(text)));
    if (id >= 256) {
      const Merge& merge = tokens.merges()[static_cast<size_t>(id) - 256];
      out += concat(", \"left\": ", kSpecialTokens + merge.left, ", \"right\": ", kSpecialTokens + merge.right,
                    ", \"count\": ", merge.count);
    }
    out += id + 1 < tokens.size() ? "},\n" : "}\n";
  }
  out += "]\n}\n";
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(out)));
  file.commit();
}

}  // namespace outpost
