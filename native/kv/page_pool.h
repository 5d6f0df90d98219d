// Which pages of a KvStorage are in use, and by how many sequences. Not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

namespace outpost {

class PagePool {
 public:
  explicit PagePool(int32_t n_page) : n_references_(static_cast<size_t>(n_page), 0) {
    for (int32_t page = n_page - 1; page >= 0; --page) free_.push_back(page);
  }

  int32_t n_page() const { return static_cast<int32_t>(n_references_.size()); }
  int32_t n_free() const { return static_cast<int32_t>(free_.size()); }
  int32_t n_references(int32_t page) const { return n_references_[static_cast<size_t>(page)]; }
  bool is_shared(int32_t page) const { return n_references(page) > 1; }

  /// A page with one reference. @pre n_free() > 0
  int32_t take() {
    const int32_t page = free_.back();
    free_.pop_back();
    n_references_[static_cast<size_t>(page)] = 1;
    return page;
  }
  void add_reference(int32_t page) { ++n_references_[static_cast<size_t>(page)]; }
  void release(int32_t page) {
    if (--n_references_[static_cast<size_t>(page)] == 0) free_.push_back(page);
  }

 private:
  std::vector<int32_t> n_references_;
  std::vector<int32_t> free_;
};

}  // namespace outpost
