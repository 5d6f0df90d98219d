// Attention of many tokens over pages of codes, by kernels that take pages of f16: which pages have to be unpacked, in
// which forms, and where each token finds them. For the host, without a GPU's runtime.
#pragma once

#include <algorithm>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "kernels/portable/attention_tiles.h"
#include "kernels/portable/pack_codes.h"

namespace outpost {

struct UnpackedPlan {
  std::vector<gpu::UnpackedPage> pages;  ///< `to` counts from 0
  std::vector<int32_t> page_tables;      ///< of unpacked pages; those that nobody reads are 0
  std::vector<gpu::AttentionTile> tiles;
};

/// The tokens of a run that lie in one page read the same forms: they have a page table of their own, and tiles end
/// with their page. A page that some read packed and others fresh is unpacked twice, one that several sequences share
/// once.
/// @param n_window as AttentionParams; n_group and n_rows as append_tiles. Tiles that see most come first.
inline UnpackedPlan plan_unpacked(std::span<const SequenceRun> runs, int32_t n_group, int32_t n_rows,
                                  int32_t n_window) {
  UnpackedPlan plan;
  std::map<std::pair<int32_t, int32_t>, int32_t> known;  // page and form
  int32_t row = 0;
  for (const SequenceRun& run : runs) {
    const int32_t end = run.n_past + run.n_tokens;
    for (int32_t position = run.n_past; position < end;) {
      const int32_t query_page = position / kKvPageSize;
      const int32_t n = std::min(end, (query_page + 1) * kKvPageSize) - position;
      const auto table = static_cast<int32_t>(plan.page_tables.size());
      const int32_t first_visible = n_window > 0 ? std::max(0, position - n_window + 1) : 0;
      plan.page_tables.resize(plan.page_tables.size() + static_cast<size_t>(query_page) + 1, 0);
      for (int32_t p = first_visible / kKvPageSize; p <= query_page; ++p) {
        const int32_t page = run.page_table[static_cast<size_t>(p)];
        const int32_t form = query_page - p <= kKvRecentPages ? gpu::kFreshForm : gpu::kPackedForm;
        const auto [entry, is_new] = known.try_emplace({page, form}, static_cast<int32_t>(plan.pages.size()));
        if (is_new) plan.pages.push_back({page, form, entry->second, std::min(kKvPageSize, end - p * kKvPageSize), p});
        plan.page_tables[static_cast<size_t>(table + p)] = entry->second;
      }
      gpu::append_tiles(plan.tiles, row, n, position, table, n_group, n_rows);
      row += n;
      position += n;
    }
  }
  std::stable_sort(plan.tiles.begin(), plan.tiles.end(),
                   [](const auto& a, const auto& b) { return a.first_position > b.first_position; });
  return plan;
}

}  // namespace outpost
