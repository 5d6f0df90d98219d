#include "tokenizer/trainer/vocabulary_file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "core/strings.h"
#include "core/utf8.h"
#include "engine.h"
#include "gguf/gguf_file.h"

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

/// The metadata section of a GGUF file.
class Metadata {
 public:
  void add_uint32(std::string_view key, uint32_t value) {
    begin(key, GgufType::kUint32);
    append(value);
  }
  void add_bool(std::string_view key, bool value) {
    begin(key, GgufType::kBool);
    append(static_cast<uint8_t>(value));
  }
  void add_string(std::string_view key, std::string_view value) {
    begin(key, GgufType::kString);
    append_string(value);
  }
  void begin_array(std::string_view key, GgufType type, size_t n_elements) {
    begin(key, GgufType::kArray);
    append(static_cast<uint32_t>(type));
    append(uint64_t{n_elements});
  }
  void append_string(std::string_view text) {
    append(uint64_t{text.size()});
    bytes_ += text;
  }
  template <typename T>
  void append(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  std::string file() const {
    Metadata header;
    header.append(uint32_t{3});  // version
    header.append(uint64_t{0});  // tensors
    header.append(n_entries_);
    return "GGUF" + header.bytes_ + bytes_;
  }

 private:
  void begin(std::string_view key, GgufType type) {
    ++n_entries_;
    append_string(key);
    append(static_cast<uint32_t>(type));
  }
  uint64_t n_entries_ = 0;
  std::string bytes_;
};

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

std::string vocabulary_gguf(const TrainingResult& result, const std::string& name) {
  const LearnedTokens& tokens = result.tokens;
  const auto n_tokens = static_cast<size_t>(kSpecialTokens + tokens.size());
  Metadata metadata;
  // Readers ask for an architecture; a vocabulary of its own has none.
  metadata.add_string("general.architecture", "llama");
  metadata.add_string("general.type", "vocabulary");
  metadata.add_string("general.name", name);
  metadata.add_string("tokenizer.ggml.model", "gpt2");
  metadata.add_string("tokenizer.ggml.pre", "superbpe");
  metadata.begin_array("tokenizer.ggml.tokens", GgufType::kString, n_tokens);
  for (int32_t id = 0; id < kSpecialTokens; ++id) metadata.append_string(special_text(id));
  for (int32_t id = 0; id < tokens.size(); ++id) metadata.append_string(spelled(tokens.text(id)));
  metadata.begin_array("tokenizer.ggml.token_type", GgufType::kInt32, n_tokens);
  constexpr int32_t kNormal = 1, kControl = 3;
  for (size_t id = 0; id < n_tokens; ++id) metadata.append(id < kSpecialTokens ? kControl : kNormal);
  metadata.begin_array("tokenizer.ggml.merges", GgufType::kString, tokens.merges().size());
  for (const Merge& merge : tokens.merges())
    metadata.append_string(spelled(tokens.text(merge.left)) + " " + spelled(tokens.text(merge.right)));
  for (const auto& [key, id] : kSpecialRoles) metadata.add_uint32(concat("tokenizer.ggml.", key), id);
  metadata.add_bool("tokenizer.ggml.add_bos_token", true);
  metadata.add_bool("tokenizer.ggml.add_eos_token", false);
  return metadata.file();
}

std::string vocabulary_json(const TrainingResult& result, const TrainerOptions& options) {
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
  return out + "]\n}\n";
}

void replace_file(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".partial";
  const auto fail = [&](const std::string& reason) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    return EngineError(ErrorCode::kFileUnreadable, concat("Cannot write ", path, ": ", reason, "."));
  };
  errno = 0;
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  if (!out) throw fail(errno != 0 ? std::strerror(errno) : "the disk refused it");
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) throw fail(error.message());
}

}  // namespace outpost
