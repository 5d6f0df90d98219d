#include "kv/kv_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "backend/kv_calibration.h"
#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/mapped_file.h"
#include "core/strings.h"

namespace outpost {
namespace {

constexpr uint64_t kMagic = 0x5643'4B54'534F'5055u;
constexpr uint64_t kVersion = 1;
constexpr KvForm kForms[] = {KvForm::kFresh, KvForm::kPacked, KvForm::kSinks};

struct Head {
  uint64_t magic, version, identity, n_nodes, checksum;
};

struct NodeHead {
  int64_t parent;
  int32_t n_tokens;
  uint32_t forms;
};

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

uint64_t checksum_of(const Head& head) {
  Hash64 hash;
  hash.add(bytes_of(head).first(offsetof(Head, checksum)));
  return hash.value();
}

/// What decides how pages lie in memory and which bits are in them.
uint64_t full_identity(const KvCache& cache, const KvStorage& storage, uint64_t identity) {
  Hash64 hash;
  const KvShape& shape = cache.shape();
  const std::array<int64_t, 8> numbers = {static_cast<int64_t>(identity),
                                          shape.n_layer,
                                          shape.n_head_kv,
                                          shape.head_dim_k,
                                          shape.head_dim_v,
                                          kKvPageSize,
                                          kKvSinks,
                                          kKvRecentPages};
  hash.add(std::as_bytes(std::span(numbers)));
  for (const KvBits& bits : cache.format().layers) hash.add(bytes_of(bits));
  if (cache.format().calibration != nullptr) hash.add(bytes_of(cache.format().calibration->hash));
  for (const KvForm form : kForms) hash.add(bytes_of(uint64_t{storage.form_bytes(form)}));
  return hash.value();
}

/// Reads a mapped file from front to back, and says what is wrong with it.
class Reader {
 public:
  explicit Reader(const std::string& path) : file_(path) {}

  template <typename T>
  T get() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  /// As part of the checksum.
  std::span<const std::byte> take(size_t n) {
    if (n > file_.bytes().size() - at_) fail("it ends too early");
    const auto bytes = file_.bytes().subspan(at_, n);
    at_ += n;
    hash_.add(bytes);
    return bytes;
  }
  void check() {
    const uint64_t expected = hash_.value();
    if (get<uint64_t>() != expected) fail("a checksum is wrong");
  }
  bool is_at_end() const { return at_ == file_.bytes().size(); }
  uint64_t n_bytes() const { return file_.bytes().size(); }

  [[noreturn]] void fail(const std::string& reason) const {
    throw EngineError(ErrorCode::kInvalidArgument, concat("The saved context ", in_quotes(file_.path()),
                                                          " cannot be used: ", reason, ". It will be computed again."));
  }

 private:
  MappedFile file_;
  size_t at_ = 0;
  Hash64 hash_;
};

/// A page as it lies in the file, checked.
struct SavedPage {
  int64_t parent;
  std::vector<int32_t> tokens;
  std::span<const std::byte> forms[3];
  uint64_t n_bytes = 0;
};

std::vector<SavedPage> read_pages(Reader& reader, const KvCache& cache, const KvStorage& storage, uint64_t identity) {
  const Head head = reader.get<Head>();
  if (head.magic != kMagic) reader.fail("it is no such file");
  if (head.version != kVersion)
    reader.fail(concat("it has version ", head.version, "; this engine reads version ", kVersion));
  if (head.checksum != checksum_of(head)) reader.fail("a checksum is wrong");
  if (head.identity != full_identity(cache, storage, identity))
    reader.fail("it belongs to another model, device or way to keep keys and values");
  std::vector<SavedPage> pages;
  for (uint64_t i = 0; i < head.n_nodes; ++i) {
    const NodeHead node = reader.get<NodeHead>();
    SavedPage page{node.parent, {}, {}};
    const bool has_parent = node.parent >= 0 && node.parent < static_cast<int64_t>(i) &&
                            pages[static_cast<size_t>(node.parent)].tokens.size() == size_t{kKvPageSize};
    if (node.n_tokens < 1 || node.n_tokens > kKvPageSize || (node.parent != -1 && !has_parent) || node.forms > 7 ||
        (node.forms & 3) == 0)
      reader.fail("a page is described wrongly");
    page.tokens.resize(static_cast<size_t>(node.n_tokens));
    const size_t n_padded = (page.tokens.size() + 1) / 2 * 2;  // the hash goes by eight bytes
    const auto tokens = reader.take(n_padded * sizeof(int32_t));
    std::memcpy(page.tokens.data(), tokens.data(), page.tokens.size() * sizeof(int32_t));
    for (size_t form = 0; form < std::size(kForms); ++form) {
      if ((node.forms >> form & 1) == 0) continue;
      page.forms[form] = reader.take(storage.form_bytes(kForms[form]));
      page.n_bytes += page.forms[form].size();
    }
    reader.check();
    pages.push_back(std::move(page));
  }
  if (!reader.is_at_end()) reader.fail("something follows its last page");
  return pages;
}

/// Fills in the page of a node, or takes the node back: nobody is to find a page that lacks some of its forms.
/// @return false if the device has no room
bool write_page(KvCache& cache, KvNode& node, const SavedPage& saved) {
  try {
    for (size_t form = 0; form < std::size(kForms); ++form) {
      if (saved.forms[form].empty()) continue;
      if (!cache.storage().write_form(node.page, kForms[form], saved.forms[form]))
        throw EngineError(ErrorCode::kModelUnsupported, "Keys and values on this device cannot be restored.");
    }
    return true;
  } catch (const EngineError& error) {
    cache.give_up(node);
    if (error.code() != ErrorCode::kOutOfMemory) throw;
    return false;
  } catch (...) {
    cache.give_up(node);
    throw;
  }
}

KvNode* child_that_begins_with(KvNode& parent, std::span<const int32_t> tokens) {
  for (const auto& child : parent.children) {
    if (child->tokens.size() >= tokens.size() && std::equal(tokens.begin(), tokens.end(), child->tokens.begin()))
      return child.get();
  }
  return nullptr;
}

}  // namespace

CacheFile save_kv(KvCache& cache, uint64_t identity, const std::string& path) {
  KvStorage& storage = cache.storage();
  AtomicFile file(path);
  Hash64 hash;
  const auto write = [&](std::span<const std::byte> bytes) {
    hash.add(bytes);
    file.write(bytes);
  };
  Head head{kMagic, kVersion, full_identity(cache, storage, identity), cache.tree().size(), 0};
  head.checksum = checksum_of(head);
  write(bytes_of(head));

  const std::vector<bool> is_needed = cache.needed_fresh();
  std::unordered_map<const KvNode*, int64_t> index;
  std::vector<std::byte> bytes;
  CacheFile saved;
  cache.tree().for_each([&](KvNode& node) {
    uint32_t forms = 0;
    for (size_t form = 0; form < std::size(kForms); ++form) {
      if (!storage.has(node.page, kForms[form])) continue;
      // Where texts part, another one may leave.
      const bool is_spare = kForms[form] == KvForm::kFresh && kv_has_spare(storage, node.page) &&
                            !is_needed[static_cast<size_t>(node.page)] && node.children.size() < 2;
      if (!is_spare) forms |= 1u << form;
    }
    const auto parent = index.find(node.parent);
    index.emplace(&node, static_cast<int64_t>(index.size()));
    const NodeHead node_head{parent == index.end() ? -1 : parent->second, static_cast<int32_t>(node.tokens.size()),
                             forms};
    write(bytes_of(node_head));
    std::vector<int32_t> tokens = node.tokens;
    if (tokens.size() % 2 != 0) tokens.push_back(0);
    write(std::as_bytes(std::span(tokens)));
    for (size_t form = 0; form < std::size(kForms); ++form) {
      if ((forms >> form & 1) == 0) continue;
      bytes.resize(storage.form_bytes(kForms[form]));
      if (!storage.read_form(node.page, kForms[form], bytes))
        throw EngineError(ErrorCode::kModelUnsupported, "Keys and values on this device cannot be saved.");
      write(bytes);
    }
    write(bytes_of(hash.value()));
    saved.n_tokens += static_cast<int64_t>(node.tokens.size());
  });
  file.commit();
  saved.n_bytes = file.n_written();
  return saved;
}

CacheFile restore_kv(KvCache& cache, uint64_t identity, const std::string& path) {
  Reader reader(path);
  const std::vector<SavedPage> pages = read_pages(reader, cache, cache.storage(), identity);
  CacheFile restored;
  const uint64_t used = cache.used_bytes() + cache.spare_bytes();
  uint64_t room = cache.total_bytes() > used ? cache.total_bytes() - used : 0;
  std::vector<KvNode*> nodes;
  for (const SavedPage& page : pages) {
    KvNode* parent = page.parent < 0 ? cache.tree().root() : nodes[static_cast<size_t>(page.parent)];
    KvNode* node = nullptr;
    if (parent != nullptr) {
      node = child_that_begins_with(*parent, page.tokens);  // computed since then, to the same bits
      if (node == nullptr && page.n_bytes <= room) {
        node = cache.restore(*parent, page.tokens);
        if (node == nullptr || !write_page(cache, *node, page)) break;
        restored.n_tokens += static_cast<int64_t>(page.tokens.size());
        restored.n_bytes += page.n_bytes;
        room -= page.n_bytes;
      }
    }
    nodes.push_back(node);  // null: there was no room, and so there is none for what follows
  }
  return restored;
}

}  // namespace outpost
