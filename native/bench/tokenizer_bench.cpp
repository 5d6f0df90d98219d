// How fast one core tokenizes, in MB of text per second, and how long a vocabulary takes to load.
//
//   cmake --build build/native/release --target outpost-tokenizer-bench
//   build/native/release/outpost-tokenizer-bench TEXT_FILE MODEL...       vocabulary-only files will do
//
// The text is encoded whole, in parts of 4 kB as an editor asks for them, and again after an edit in the middle. Each
// figure is the best of several runs in processor time: other load on the machine only ever slows a run down.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>

#include "tokenizer/tokenizer.h"

namespace outpost {
namespace {

constexpr int kRepetitions = 5;
constexpr size_t kPartBytes = 4096;

template <typename Run>
double best_seconds(const Run& run) {
  double best = 1e300;
  for (int i = 0; i < kRepetitions; ++i) {
    const std::clock_t start = std::clock();
    run();
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

void measure(const char* path, const std::string& text) {
  std::unique_ptr<Tokenizer> tokenizer;
  const double load = best_seconds([&] { tokenizer = Tokenizer::create(GgufFile::open(path)); });
  size_t n_tokens = 0;
  const double whole = best_seconds([&] { n_tokens = tokenizer->encode(text, {}).size(); });
  const double parts = best_seconds([&] {
    for (size_t at = 0; at < text.size(); at += kPartBytes) {
      tokenizer->encode(std::string_view(text).substr(at, kPartBytes), {});
    }
  });
  TokenizedText tokens = tokenizer->encode_with_begins(text, {});
  std::string edited = text;
  size_t n_edited = 0;
  const double edit = best_seconds([&] {
    const size_t at = edited.size() / 2;
    edited.insert(at, "x");
    n_edited = tokenizer->retokenize(tokens, {at, 0, 1}, edited, {});
  });
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  std::printf("%-40.40s %8.1f %8.1f %8.2f %10.1f %9zu %8.0f\n", path + std::string(path).find_last_of('/') + 1,
              megabytes / whole, megabytes / parts, static_cast<double>(text.size()) / static_cast<double>(n_tokens),
              edit * 1e6, n_edited, load * 1e3);
}

}  // namespace
}  // namespace outpost

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: outpost-tokenizer-bench TEXT_FILE MODEL...\n");
    return 2;
  }
  std::ifstream in(argv[1], std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (text.empty()) {
    std::fprintf(stderr, "%s is empty or cannot be read\n", argv[1]);
    return 1;
  }
  std::printf("%-40s %8s %8s %8s %10s %9s %8s\n", "vocabulary", "MB/s", "in 4 kB", "B/token", "edit us", "edit B",
              "load ms");
  try {
    for (int i = 2; i < argc; ++i) outpost::measure(argv[i], text);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
