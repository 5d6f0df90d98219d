// Which pages of a KvStorage are in use. Not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

namespace outpost {

class PagePool {
 public:
  explicit PagePool(int32_t n_page) : n_page_(n_page) {
    for (int32_t page = n_page - 1; page >= 0; --page) free_.push_back(page);
  }

  int32_t n_page() const { return n_page_; }
  int32_t n_free() const { return static_cast<int32_t>(free_.size()); }

  /// @pre n_free() > 0
  int32_t take() {
    const int32_t page = free_.back();
    free_.pop_back();
    return page;
  }
  void release(int32_t page) { free_.push_back(page); }

 private:
  int32_t n_page_;
  std::vector<int32_t> free_;
};

}  // namespace outpost
