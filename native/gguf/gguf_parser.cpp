// Reads header, metadata and tensor index. Getters are in gguf_file.cpp.
#include <algorithm>
#include <limits>

#include "gguf/byte_reader.h"
#include "gguf/gguf_file.h"

namespace outpost {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF", little-endian
// Limits far above any real file that keep a hostile one from wasting time and memory. Bounded by file size as well.
constexpr size_t kMaxKeyBytes = 65535;  // the format's own limit
constexpr size_t kMaxTensorNameBytes = 64;
constexpr uint64_t kMaxEntries = 1u << 20;  // metadata keys, and likewise tensors
constexpr uint32_t kMaxDims = 4;
constexpr uint32_t kDefaultAlignment = 32;
// The smallest encodings: a key (8-byte length, 1 byte), its type and a 1-byte value; a tensor name, its
// dimensions, type and offset. A count that needs more bytes than the file has is refused before anything is reserved.
constexpr size_t kMinMetadataBytes = 8 + 1 + 4 + 1;
constexpr size_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

/// Bytes of one element, 0 for strings and arrays.
size_t element_bytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool: return 1;
    case GgufType::kUint16:
    case GgufType::kInt16: return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32: return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64: return 8;
    case GgufType::kString:
    case GgufType::kArray: return 0;
  }
  return 0;
}

}  // namespace

class GgufParser {
 public:
  explicit GgufParser(GgufFile& file) : file_(file), reader_(file.bytes_, file.path_) {}

  void parse() {
    read_header();
    read_metadata();
    read_tensors();
  }

 private:
  void read_header() {
    if (reader_.remaining() < 4) reader_.fail("the file has ", reader_.remaining(), " bytes, a GGUF header has 24");
    const auto magic = reader_.read<uint32_t>("the magic number");
    if (magic != kMagic) {
      const std::string_view found(reinterpret_cast<const char*>(file_.bytes_.data()), 4);
      reader_.fail("it starts with ", in_quotes(found), " instead of \"GGUF\"");
    }
    file_.version_ = reader_.read<uint32_t>("the version");
    if (file_.version_ == 0x02000000 || file_.version_ == 0x03000000) {
      reader_.fail("it is big-endian; only little-endian files are supported");
    }
    if (file_.version_ != 2 && file_.version_ != 3) {
      reader_.fail("version ", file_.version_, " is not supported; expected 2 or 3");
    }
    n_tensors_ = reader_.read<uint64_t>("the tensor count");
    n_metadata_ = reader_.read<uint64_t>("the metadata count");
    if (n_metadata_ > std::min<uint64_t>(kMaxEntries, reader_.remaining() / kMinMetadataBytes)) {
      reader_.fail("it claims ", n_metadata_, " metadata entries, more than ", reader_.remaining(), " bytes can hold");
    }
    if (n_tensors_ > std::min<uint64_t>(kMaxEntries, reader_.remaining() / kMinTensorBytes)) {
      reader_.fail("it claims ", n_tensors_, " tensors, more than ", reader_.remaining(), " bytes can hold");
    }
  }

  GgufType read_type(std::string_view key) {
    const auto id = reader_.read<uint32_t>("a metadata type");
    if (id > static_cast<uint32_t>(GgufType::kFloat64)) {
      reader_.fail("metadata key ", in_quotes(key), " has the unknown type ", id);
    }
    return static_cast<GgufType>(id);
  }

  void read_metadata() {
    file_.metadata_.reserve(static_cast<size_t>(n_metadata_));
    for (uint64_t i = 0; i < n_metadata_; ++i) {
      const size_t begin = reader_.offset();
      const auto key = reader_.read_string("a metadata key");
      if (key.empty() || key.size() > kMaxKeyBytes)
        reader_.fail("metadata key number ", i, " has ", key.size(), " bytes");
      const GgufType type = read_type(key);
      if (!file_.metadata_index_.emplace(key, file_.metadata_.size()).second) {
        reader_.fail("metadata key ", in_quotes(key), " appears twice");
      }
      file_.metadata_.emplace_back(key, GgufValue{type, {}, {}});
      GgufValue& value = file_.metadata_.back().second;
      read_value(key, value);
      value.entry = {reinterpret_cast<const char*>(file_.bytes_.data()) + begin, reader_.offset() - begin};
    }
  }

  void read_value(std::string_view key, GgufValue& out) {
    switch (out.type) {
      case GgufType::kUint8: out.value = uint64_t{reader_.read<uint8_t>("a value")}; break;
      case GgufType::kUint16: out.value = uint64_t{reader_.read<uint16_t>("a value")}; break;
      case GgufType::kUint32: out.value = uint64_t{reader_.read<uint32_t>("a value")}; break;
      case GgufType::kUint64: out.value = reader_.read<uint64_t>("a value"); break;
      case GgufType::kInt8: out.value = int64_t{reader_.read<int8_t>("a value")}; break;
      case GgufType::kInt16: out.value = int64_t{reader_.read<int16_t>("a value")}; break;
      case GgufType::kInt32: out.value = int64_t{reader_.read<int32_t>("a value")}; break;
      case GgufType::kInt64: out.value = reader_.read<int64_t>("a value"); break;
      case GgufType::kFloat32: out.value = double{reader_.read<float>("a value")}; break;
      case GgufType::kFloat64: out.value = reader_.read<double>("a value"); break;
      case GgufType::kBool: {
        const auto byte = reader_.read<uint8_t>("a value");
        if (byte > 1) reader_.fail("metadata key ", in_quotes(key), " is a bool with the value ", int{byte});
        out.value = byte == 1;
        break;
      }
      case GgufType::kString: out.value = reader_.read_string("a string value"); break;
      case GgufType::kArray: out.value = read_array(key); break;
    }
  }

  GgufArray read_array(std::string_view key) {
    GgufArray array{};
    array.element_type = read_type(key);
    array.n_elements = reader_.read<uint64_t>("an array length");
    if (array.element_type == GgufType::kArray) {
      reader_.fail("metadata key ", in_quotes(key), " is an array of arrays, which no supported model uses");
    }
    if (array.element_type == GgufType::kString) {
      if (array.n_elements > reader_.remaining() / 8) {
        reader_.fail("metadata key ", in_quotes(key), " claims ", array.n_elements, " strings, more than ",
                     reader_.remaining(), " bytes can hold");
      }
      array.strings.reserve(static_cast<size_t>(array.n_elements));
      for (uint64_t i = 0; i < array.n_elements; ++i)
        array.strings.push_back(reader_.read_string("a string of an array"));
      return array;
    }
    const size_t size = element_bytes(array.element_type);
    if (array.n_elements > reader_.remaining() / size) {
      reader_.fail("metadata key ", in_quotes(key), " claims ", array.n_elements, " elements of ", size,
                   " bytes, but only ", reader_.remaining(), " bytes are left");
    }
    array.bytes = reader_.take(array.n_elements * size, "an array");
    return array;
  }

  uint64_t read_alignment() {
    const auto alignment = file_.get_uint("general.alignment").value_or(kDefaultAlignment);
    if (alignment == 0 || alignment % 8 != 0 || alignment > (1u << 20)) {
      reader_.fail("general.alignment is ", alignment, "; expected a multiple of 8, at most 1 MiB");
    }
    return alignment;
  }

  struct PendingTensor {
    uint64_t offset;  // from the start of the data section
    uint64_t n_bytes;
  };

  void read_tensors() {
    const uint64_t alignment = read_alignment();
    file_.alignment_ = static_cast<uint32_t>(alignment);
    std::vector<PendingTensor> pending;
    pending.reserve(static_cast<size_t>(n_tensors_));
    file_.tensors_.reserve(static_cast<size_t>(n_tensors_));
    for (uint64_t i = 0; i < n_tensors_; ++i) pending.push_back(read_tensor_info(alignment));

    const uint64_t data_offset = (reader_.offset() + alignment - 1) / alignment * alignment;
    const uint64_t file_bytes = file_.bytes_.size();
    if (n_tensors_ > 0 && data_offset > file_bytes) reader_.fail("the tensor data is missing: the file is truncated");
    for (size_t i = 0; i < pending.size(); ++i) {
      const auto [offset, n_bytes] = pending[i];
      if (offset > file_bytes - data_offset || n_bytes > file_bytes - data_offset - offset) {
        reader_.fail("tensor ", in_quotes(file_.tensors_[i].name), " lies at ", data_offset, " + ", offset, " with ",
                     n_bytes, " bytes, past the end of the file (", file_bytes,
                     " bytes): the file is truncated or damaged");
      }
      file_.tensors_[i].bytes =
          file_.bytes_.subspan(static_cast<size_t>(data_offset + offset), static_cast<size_t>(n_bytes));
    }
    check_overlap();
  }

  PendingTensor read_tensor_info(uint64_t alignment) {
    TensorInfo tensor{};
    tensor.name = reader_.read_string("a tensor name");
    if (tensor.name.empty() || tensor.name.size() > kMaxTensorNameBytes) {
      reader_.fail("tensor number ", file_.tensors_.size(), " has a name of ", tensor.name.size(),
                   " bytes; expected 1 to ", kMaxTensorNameBytes);
    }
    const auto n_dims = reader_.read<uint32_t>("a tensor's dimensions");
    if (n_dims < 1 || n_dims > kMaxDims) {
      reader_.fail("tensor ", in_quotes(tensor.name), " has ", n_dims, " dimensions; expected 1 to ", kMaxDims);
    }
    tensor.n_elements = 1;
    for (uint32_t d = 0; d < n_dims; ++d) {
      const auto extent = reader_.read<uint64_t>("a tensor's shape");
      constexpr uint64_t kMaxElements =
          std::numeric_limits<int64_t>::max() / 16;  // bytes cannot overflow: <= 8 per element
      if (extent == 0 || extent > kMaxElements / tensor.n_elements) {
        reader_.fail("tensor ", in_quotes(tensor.name), " has the extent ", extent, " in dimension ", d);
      }
      tensor.n_elements *= extent;
      tensor.shape.push_back(static_cast<int64_t>(extent));
    }
    std::reverse(tensor.shape.begin(), tensor.shape.end());

    const auto type_id = reader_.read<uint32_t>("a tensor's type");
    const TensorTypeTraits* traits = tensor_type_traits(type_id);
    if (traits == nullptr) reader_.fail("tensor ", in_quotes(tensor.name), " has the unknown type ", type_id);
    tensor.type = static_cast<TensorType>(type_id);
    const auto n_cols = static_cast<uint64_t>(tensor.shape.back());
    if (n_cols % traits->block_elements != 0) {
      reader_.fail("tensor ", in_quotes(tensor.name), " has rows of ", n_cols,
                   " elements, which is no multiple of the ", traits->block_elements, " in a block of ", traits->name);
    }
    const auto offset = reader_.read<uint64_t>("a tensor's offset");
    if (offset % alignment != 0) {
      reader_.fail("tensor ", in_quotes(tensor.name), " starts at offset ", offset, ", which is not aligned to ",
                   alignment);
    }
    if (!file_.tensor_index_.emplace(tensor.name, file_.tensors_.size()).second) {
      reader_.fail("tensor ", in_quotes(tensor.name), " appears twice");
    }
    const uint64_t n_bytes = tensor.n_elements / traits->block_elements * traits->block_bytes;
    file_.tensors_.push_back(std::move(tensor));
    return {offset, n_bytes};
  }

  void check_overlap() {
    std::vector<const TensorInfo*> by_offset;
    by_offset.reserve(file_.tensors_.size());
    for (const auto& tensor : file_.tensors_) by_offset.push_back(&tensor);
    std::sort(by_offset.begin(), by_offset.end(), [](auto* a, auto* b) { return a->bytes.data() < b->bytes.data(); });
    for (size_t i = 1; i < by_offset.size(); ++i) {
      const auto& before = *by_offset[i - 1];
      if (before.bytes.data() + before.bytes.size() > by_offset[i]->bytes.data()) {
        reader_.fail("tensors ", in_quotes(before.name), " and ", in_quotes(by_offset[i]->name), " overlap");
      }
    }
  }

  GgufFile& file_;
  ByteReader reader_;
  uint64_t n_tensors_ = 0;
  uint64_t n_metadata_ = 0;
};

GgufFile GgufFile::open(const std::string& path) {
  GgufFile file = open_one(path);
  file.open_siblings();
  return file;
}

GgufFile GgufFile::open_one(const std::string& path) {
  GgufFile file;
  file.path_ = path;
  file.mapping_ = std::make_unique<MappedFile>(path);
  file.bytes_ = file.mapping_->bytes();
  GgufParser(file).parse();
  return file;
}

GgufFile GgufFile::parse(std::span<const std::byte> bytes, const std::string& name) {
  GgufFile file;
  file.path_ = name;
  file.bytes_ = bytes;
  GgufParser(file).parse();
  return file;
}

}  // namespace outpost
