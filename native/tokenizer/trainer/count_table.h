// How often each text occurs and in how many sources, for millions of different texts.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace outpost {

/// What is known of one text. A source is whatever should count as one author: a file, or all files of a package.
struct Tally {
  uint64_t count = 0;
  /// Bit i is set if a source whose number is i modulo 64 has the text. The number of bits set is therefore a lower
  /// bound of the number of sources, whatever that is.
  uint64_t sources = 0;
};

uint64_t hash_text(std::string_view text);

/// Hash table that owns its texts. Texts are at most 1 MiB long.
class CountTable {
 public:
  void add(std::string_view text, uint64_t hash, const Tally& tally);

  size_t size() const { return entries_.size(); }
  /// Memory held: texts, entries and slots.
  size_t bytes() const { return n_bytes_; }
  template <typename Visitor>
  void for_each(const Visitor& visit) const {
    for (const Entry& entry : entries_) visit(entry.text(), entry.tally);
  }
  /// Forgets every text that occurred `max_count` times or less.
  void drop_rare(uint64_t max_count);

 private:
  struct Entry {
    const char* data;
    uint32_t n_bytes;
    uint32_t hash;
    Tally tally;
    std::string_view text() const { return {data, n_bytes}; }
  };
  const char* store(std::string_view text);
  void grow();

  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // index of the entry + 1; 0 is free
  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t n_block_used_ = 0, n_bytes_ = 0;
};

/// A count table that several threads fill at once. What it holds in the end does not depend on who came first.
class SharedCounts {
 public:
  static constexpr size_t kShards = 64;

  void add(const CountTable& table);
  /// Nobody may be adding.
  const CountTable& shard(size_t i) const { return shards_[i].table; }
  size_t size() const;
  size_t bytes() const;

  /// If the table holds more than `max_bytes`, forgets the rarest texts until it holds at most half of that.
  /// Texts of equal count stay or go together. `on_drop` is called before, with the highest count that goes.
  /// @return that count, 0 if all stay
  uint64_t limit_bytes(size_t max_bytes, const std::function<void(uint64_t max_count)>& on_drop = {});

 private:
  struct Shard {
    mutable std::mutex mutex;
    CountTable table;
  };
  std::array<Shard, kShards> shards_;
};

}  // namespace outpost
