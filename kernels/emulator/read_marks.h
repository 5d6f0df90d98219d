// Who has read a shared array since it was written, for blocks in which more than barriers orders accesses (order.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/emulator/order.h"

namespace outpost::emulator {

/// Sixteen bytes at a time, which is what most reads have, but exact to the byte.
class ReadMarks {
 public:
  explicit ReadMarks(size_t size_bytes) : pieces_((size_bytes + 15) / 16) {}

  void clear() {
    for (Piece& piece : pieces_) {
      piece.marks.clear();
      piece.n_next = kFewMarks;
    }
  }

  /// @param seen what is ordered before the read, which stands for those that it follows: they are forgotten, though
  ///        only when they have become twice as many, as a search of all for every read would take long
  void add(size_t begin, size_t n_bytes, size_t agent, uint32_t time, const VectorClock& seen) {
    for_each_piece(begin, n_bytes, [&](Piece& piece, uint16_t bytes) {
      auto& [marks, n_next] = piece;
      if (!marks.empty() && marks.back().agent == agent && marks.back().time == time) {
        marks.back().bytes |= bytes;
        return;
      }
      if (marks.size() >= n_next) {
        std::erase_if(marks, [&](Mark& mark) {
          if (seen[mark.agent] >= mark.time) mark.bytes &= static_cast<uint16_t>(~bytes);
          return mark.bytes == 0;
        });
        n_next = std::max(kFewMarks, 2 * marks.size());
      }
      marks.push_back({static_cast<uint16_t>(agent), bytes, time});
    });
  }

  /// Forgets the reads of bytes that are written now.
  /// @return the agent of one that is not ordered before
  std::optional<size_t> take(size_t begin, size_t n_bytes, const VectorClock& seen) {
    std::optional<size_t> unordered;
    for_each_piece(begin, n_bytes, [&](Piece& piece, uint16_t bytes) {
      std::erase_if(piece.marks, [&](Mark& mark) {
        if ((mark.bytes & bytes) != 0 && seen[mark.agent] < mark.time) unordered = mark.agent;
        mark.bytes &= static_cast<uint16_t>(~bytes);
        return mark.bytes == 0;
      });
    });
    return unordered;
  }

 private:
  struct Mark {
    uint16_t agent;
    uint16_t bytes;  ///< a bit for each
    uint32_t time;
  };
  static constexpr size_t kFewMarks = 8;
  struct Piece {
    std::vector<Mark> marks;
    size_t n_next = kFewMarks;  ///< with as many, those that others stand for are forgotten
  };

  template <typename Visitor>
  void for_each_piece(size_t begin, size_t n_bytes, const Visitor& visitor) {
    const size_t end = begin + n_bytes;
    for (size_t piece = begin / 16; piece * 16 < end; ++piece) {
      const size_t first = std::max(begin, piece * 16) % 16, last = std::min(end - piece * 16, size_t{16});
      visitor(pieces_[piece], static_cast<uint16_t>((1u << last) - (1u << first)));
    }
  }

  std::vector<Piece> pieces_;
};

}  // namespace outpost::emulator
