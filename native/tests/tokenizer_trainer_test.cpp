#include "tokenizer/trainer/trainer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <set>

#include "gguf/gguf_file.h"
#include "tests/support/naive_bpe.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tokenizer/trainer/corpus.h"
#include "tokenizer/trainer/merge_encoder.h"
#include "tokenizer/trainer/pieces.h"
#include "tokenizer/trainer/vocabulary_file.h"

using namespace outpost;
using namespace outpost::test;

namespace {

/// Something like code: few words, so that pairs repeat and counts tie.
std::string random_code(std::mt19937& random, size_t n_parts) {
  static const std::vector<std::string> parts = {
      "for", " (",  "int",  " i", " = ",  "0",      "; ", "foo", "_bar", "\n", "\n", "\n    ", "  ",  "\t", "12345",
      "678", "});", "\r\n", "é",  "漢字", "return", " x", ".",   "aaa",  "a",  "++", "\n\n",   " //", "1",  " "};
  std::string text;
  for (size_t i = 0; i < n_parts; ++i) text += parts[random() % parts.size()];
  return text;
}

std::vector<NaiveMerge> merges_of(const TrainingResult& result) {
  std::vector<NaiveMerge> merges;
  for (const Merge& merge : result.tokens.merges()) {
    merges.push_back({result.tokens.text(merge.left), result.tokens.text(merge.right), merge.count});
  }
  return merges;
}

/// One file per text; the names keep the order.
void write_texts(const TempDir& dir, const std::vector<std::string>& texts) {
  for (size_t i = 0; i < texts.size(); ++i) dir.write(std::string("file-") + static_cast<char>('a' + i), texts[i]);
}

TrainerOptions small_options(int32_t n_tokens = 400, int32_t n_subwords = 320) {
  TrainerOptions options;
  options.n_tokens = n_tokens;
  options.n_subwords = n_subwords;
  options.limits = {.max_token_bytes = 24, .max_words = 4, .min_count = 2, .min_sources = 1};
  options.n_threads = 2;
  return options;
}

std::vector<std::string> pieces_of(const std::string& text) {
  std::vector<std::string> pieces;
  for_each_piece(text, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += part;
  return text;
}

}  // namespace

TEST_CASE("trainer: pieces are lines with the line ends before them, cut at numbers") {
  CHECK(pieces_of("") == std::vector<std::string>{});
  CHECK(pieces_of("a b\n  c;\n\n\td\r\ne") == std::vector<std::string>{"a b", "\n  c;", "\n\n\td", "\r\ne"});
  CHECK(pieces_of("u8 = 1234567, x12\n34") ==
        std::vector<std::string>{"u", "8", " = ", "1", "234", "567", ", x", "12", "\n", "34"});
  CHECK(pieces_of("good\n\xff bad\ngood") == std::vector<std::string>{"good", "\ngood"});
  const auto long_line = pieces_of(std::string(3000, 'x'));
  CHECK(long_line.size() == 3);
  CHECK(joined(long_line).size() == 3000);
}

TEST_CASE("trainer: pieces and words agree with their regular expressions") {
  std::mt19937 random(7);
  for (int round = 0; round < 100; ++round) {
    const std::string text = random_code(random, 40);
    CAPTURE(text);
    const auto pieces = pieces_of(text);
    CHECK(pieces == naive_pieces(text));
    CHECK(joined(pieces) == text);
    for (const std::string& piece : pieces) {
      std::vector<std::string> words;
      for_each_word(piece, [&](std::string_view word) { words.emplace_back(word); });
      CHECK(words == naive_words(piece));
      CHECK(joined(words) == piece);
    }
  }
}

TEST_CASE("trainer: the merges are those of a trainer that counts everything anew at each step") {
  std::mt19937 random(1);
  for (int round = 0; round < 12; ++round) {
    CAPTURE(round);
    std::vector<std::string> texts;
    for (int i = 0; i < 4; ++i) texts.push_back(random_code(random, 60 + random() % 100));
    TrainerOptions options = small_options(256 + 90, 256 + 40);
    options.limits.min_sources = 1 + round % 3;
    options.limits.max_words = 1 + round % 4;
    options.limits.max_token_bytes = 4 + static_cast<size_t>(round) * 2;
    options.limits.min_count = 2 + static_cast<uint64_t>(round) % 2;
    const TempDir dir;
    write_texts(dir, texts);
    const TrainingResult result = train_tokenizer(dir.path(""), options);
    const auto expected = naive_training(texts, options);
    REQUIRE(expected.size() > 20);
    CHECK(merges_of(result) == expected);
  }
}

TEST_CASE("trainer: the second stage joins words, and no token reaches over a line's end") {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "for (let i = 0; i < n; i++) {\n  return None;\n});\n\n";
  const TempDir dir;
  write_texts(dir, {text, text});
  const TrainingResult result = train_tokenizer(dir.path(""), small_options(256 + 200, 256 + 20));
  std::set<std::string> tokens;
  for (int32_t id = 0; id < result.tokens.size(); ++id) {
    const std::string& token = result.tokens.text(id);
    tokens.insert(token);
    // Line ends come first.
    CHECK(token.find_first_of("\r\n", token.find_first_not_of("\r\n")) == std::string::npos);
  }
  CHECK(static_cast<int32_t>(tokens.size()) == result.tokens.size());
  CHECK(result.n_subwords == 256 + 20);
  CHECK(tokens.count("\n  return None;") == 1);
  CHECK(tokens.count("\n});") == 1);
}

TEST_CASE("trainer: encoding whole texts gives the tokens of their pieces") {
  std::mt19937 random(3);
  std::vector<std::string> texts;
  for (int i = 0; i < 3; ++i) texts.push_back(random_code(random, 300));
  const TempDir dir;
  write_texts(dir, texts);
  const TrainingResult result = train_tokenizer(dir.path(""), small_options());
  const MergeEncoder encoder(result.tokens);
  const auto merges = merges_of(result);
  for (int round = 0; round < 30; ++round) {
    const std::string text = random_code(random, 50);
    CAPTURE(text);
    std::vector<std::string> tokens;
    for (const std::string& piece : pieces_of(text)) {
      std::vector<int32_t> ids;
      encoder.encode(piece, ids);
      for (const int32_t id : ids) tokens.push_back(result.tokens.text(id));
    }
    CHECK(tokens == naive_encoding(text, merges));
  }
}

TEST_CASE("trainer: the result does not depend on the number of threads") {
  std::mt19937 random(5);
  std::vector<std::string> texts;
  for (int i = 0; i < 9; ++i) texts.push_back(random_code(random, 2000));
  const TempDir dir;
  write_texts(dir, texts);
  for (const uint64_t max_bytes : {uint64_t{1} << 30, uint64_t{40} << 10}) {
    CAPTURE(max_bytes);
    TrainerOptions options = small_options(600, 450);
    options.max_bytes = max_bytes;
    options.limits.min_sources = 3;
    std::string first;
    for (const int32_t n_threads : {1, 2, 5}) {
      CAPTURE(n_threads);
      options.n_threads = n_threads;
      const TrainingResult result = train_tokenizer(dir.path(""), options);
      CHECK((result.dropped_pieces > 0) == (max_bytes < (1u << 20)));
      const TempDir out;
      write_vocabulary_gguf(out.path("gguf"), result, "name");
      write_vocabulary_json(out.path("json"), result, options);
      const std::string bytes = read_all(out.path("gguf")) + read_all(out.path("json"));
      if (first.empty()) first = bytes;
      CHECK(bytes == first);
    }
  }
}

TEST_CASE("trainer: what is dropped for the memory is the rarest, and its words still count") {
  std::string text;
  for (int i = 0; i < 4000; ++i)
    text += "\n" + std::string(1 + static_cast<size_t>(i) / 26, 'q') + static_cast<char>('a' + i % 26);
  for (int i = 0; i < 50; ++i) text += "\nfrequent line";
  const TempDir dir;
  write_texts(dir, {text});
  ThreadPool pool(2);
  CorpusCounts counts;
  count_corpus(
      list_corpus(dir.path(""), 0), 64 << 10, pool, [](uint64_t, uint64_t) {}, counts);
  CHECK(counts.dropped_pieces == 1);
  uint64_t n_frequent = 0, n_words = 0;
  for (size_t i = 0; i < SharedCounts::kShards; ++i) {
    counts.pieces.shard(i).for_each([&](std::string_view piece, const Tally& tally) {
      if (piece == "\nfrequent line") n_frequent += tally.count;
    });
    counts.words.shard(i).for_each([&](std::string_view word, const Tally& tally) {
      if (word == "\n") n_words += tally.count;
    });
  }
  CHECK(n_frequent == 50);
  CHECK(n_words == 4050);
}

TEST_CASE("trainer: files of one folder can count as one source") {
  const std::string text = "\nsame words here\nsame words here";
  const TempDir dir;
  for (const char* folder : {"x/a", "x/b"}) std::filesystem::create_directories(dir.path(folder));
  for (const char* name : {"x/a/1", "x/a/2", "x/b/1"}) dir.write(name, text);
  const auto n_sources = [&](int32_t depth) {
    std::set<uint32_t> sources;
    for (const CorpusFile& file : list_corpus(dir.path(""), depth)) sources.insert(file.source);
    return sources.size();
  };
  CHECK(n_sources(0) == 3);
  CHECK(n_sources(1) == 1);
  CHECK(n_sources(2) == 2);
  CHECK(n_sources(3) == 3);
  TrainerOptions options = small_options();
  options.limits.min_sources = 3;
  CHECK(train_tokenizer(dir.path(""), options).tokens.size() > 256);
  options.source_depth = 2;
  CHECK(train_tokenizer(dir.path(""), options).tokens.size() == 256);
}

TEST_CASE("trainer: hostile text does no harm") {
  std::mt19937 random(11);
  std::string binary;
  for (int i = 0; i < 100000; ++i) binary += static_cast<char>(random());
  std::string one_line;
  for (int i = 0; i < 10 << 20; ++i) one_line += static_cast<char>('a' + (random() % 64 < 63 ? 0 : 1));
  const TempDir dir;
  write_texts(dir, {binary, one_line, "", "\xff\xfe", std::string(1000, '\n'), std::string(1000, '\0'), "\xe2\x82"});
  const TrainingResult result = train_tokenizer(dir.path(""), small_options(300, 280));
  CHECK(result.tokens.size() == 300);
  CHECK(result.n_files == 7);
}

TEST_CASE("trainer: an empty folder gives the bytes, and a vocabulary that stays smaller than asked for") {
  const TempDir dir;
  CHECK(train_tokenizer(dir.path(""), small_options()).tokens.size() == 256);
}

TEST_CASE("trainer: wrong arguments and folders are refused by name") {
  const TempDir dir;
  CHECK(error_of([&] { train_tokenizer(dir.path("missing"), small_options()); }) == ErrorCode::kFileNotFound);
  CHECK(error_of([&] { train_tokenizer(dir.path(""), small_options(255, 0)); }) == ErrorCode::kInvalidArgument);
  CHECK(error_of([&] { train_tokenizer(dir.path(""), small_options(300, 301)); }) == ErrorCode::kInvalidArgument);
  CHECK(message_of([&] { train_tokenizer(dir.path(""), small_options(300, 301)); }).find("301") != std::string::npos);
}

TEST_CASE("trainer: it stops when it is told to") {
  const TempDir dir;
  write_texts(dir, {"some text\nsome text"});
  std::set<std::string> stages;
  train_tokenizer(dir.path(""), small_options(), [&](const TrainerProgress& progress) {
    stages.insert(progress.stage);
    return true;
  });
  CHECK(stages == std::set<std::string>{"reading", "encoding", "subwords", "superwords"});
  for (const std::string& stage : stages) {
    const auto stop = [&](const TrainerProgress& progress) { return progress.stage != stage; };
    CHECK(error_of([&] { train_tokenizer(dir.path(""), small_options(), stop); }) == ErrorCode::kCancelled);
  }
}

TEST_CASE("trainer: the GGUF file holds the vocabulary in GPT-2's spelling") {
  const TempDir dir;
  write_texts(dir, {"a é\n a é\n a é"});
  const TrainingResult result = train_tokenizer(dir.path(""), small_options(262, 258));
  const TempDir out;
  write_vocabulary_gguf(out.path("tiny.gguf"), result, "tiny");
  const GgufFile file = GgufFile::open(out.path("tiny.gguf"));
  CHECK(file.get_string("tokenizer.ggml.model") == "gpt2");
  CHECK(file.get_string("tokenizer.ggml.pre") == "superbpe");
  const auto tokens = file.get_strings("tokenizer.ggml.tokens").value();
  const auto kinds = file.get_ints("tokenizer.ggml.token_type").value();
  REQUIRE(static_cast<int32_t>(tokens.size()) == kSpecialTokens + result.tokens.size());
  REQUIRE(kinds.size() == tokens.size());
  CHECK(tokens[file.get_uint("tokenizer.ggml.fim_mid_token_id").value()] == "<|fim_middle|>");
  CHECK(kinds[0] == 3);
  CHECK(kinds[kSpecialTokens] == 1);
  // GPT-2: 0 is U+0100, the line feed U+010A, the space U+0120, DEL U+0121, the soft hyphen (0xad) U+0143.
  CHECK(tokens[kSpecialTokens + 0] == "\u0100");
  CHECK(tokens[kSpecialTokens + '\n'] == "\u010a");
  CHECK(tokens[kSpecialTokens + ' '] == "\u0120");
  CHECK(tokens[kSpecialTokens + 'a'] == "a");
  CHECK(tokens[kSpecialTokens + 0x7f] == "\u0121");
  CHECK(tokens[kSpecialTokens + 0xad] == "\u0143");
  CHECK(tokens[kSpecialTokens + 0xff] == "\u00ff");
  const auto merges = file.get_strings("tokenizer.ggml.merges").value();
  REQUIRE(merges.size() == result.tokens.merges().size());
  for (size_t i = 0; i < merges.size(); ++i) {
    std::string text(merges[i]);
    text.erase(text.find(' '), 1);
    CHECK(text == tokens[static_cast<size_t>(kSpecialTokens) + 256 + i]);
  }
  // A space and the two bytes of é, each as it is spelled.
  CHECK(std::find(tokens.begin(), tokens.end(), "\u0120\u00c3\u00a9") != tokens.end());
}

TEST_CASE("trainer: a vocabulary that cannot be written leaves nothing behind") {
  const TempDir dir;
  const TrainingResult result = train_tokenizer(dir.path(""), small_options());
  const auto write = [&] { write_vocabulary_gguf(dir.path("missing/out.gguf"), result, "name"); };
  CHECK(error_of(write) == ErrorCode::kFileUnreadable);
  CHECK(std::filesystem::is_empty(dir.path("")));
}
