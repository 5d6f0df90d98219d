// How large tiles of attention are, for passes of few tokens.
#include "backend/gpu/tile_rows.h"

#include <doctest/doctest.h>

using namespace outpost;

TEST_CASE("tile rows: as many as a sequence has, as long as the device stays full") {
  const auto rows = [](std::initializer_list<int32_t> tokens, int32_t n_group, int32_t n_most, int32_t n_blocks) {
    std::vector<SequenceRun> runs;
    for (const int32_t n : tokens) runs.push_back({{}, 0, n});
    return choose_tile_rows(runs, n_group, n_most, n_blocks, /*n_fill=*/100);
  };
  CHECK(rows({1}, 4, 32, 10000) == 8);
  CHECK(rows({2}, 4, 32, 10000) == 8);  // eight rows
  CHECK(rows({1}, 12, 32, 10000) == 16);
  CHECK(rows({8}, 4, 32, 10000) == 32);
  CHECK(rows({16}, 8, 32, 10000) == 32);
  CHECK(rows({8}, 4, 16, 10000) == 16);
  CHECK(rows({8}, 4, 8, 10000) == 8);
  CHECK(rows({1, 1, 1, 1, 1, 1, 1, 1}, 4, 32, 10000) == 8);  // sequences share no tile
  CHECK(rows({1, 5}, 4, 32, 10000) == 32);
  CHECK(rows({8}, 4, 32, 400) == 32);
  CHECK(rows({8}, 4, 32, 399) == 16);
  CHECK(rows({8}, 4, 32, 199) == 8);
  CHECK(rows({8}, 4, 32, 0) == 8);
}
