#include "gguf/gguf_file_writer.h"

#include <cassert>
#include <utility>

#include "gguf/gguf_file.h"

namespace outpost {
namespace {

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_string(std::string& out, std::string_view text) {
  append(out, uint64_t{text.size()});
  out += text;
}

std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

uint64_t aligned(uint64_t n, uint32_t alignment) { return (n + alignment - 1) / alignment * alignment; }

}  // namespace

uint64_t TensorHeader::n_bytes() const {
  const TensorTypeTraits& traits = tensor_type_traits(type);
  uint64_t n_elements = 1;
  for (const int64_t extent : shape) n_elements *= static_cast<uint64_t>(extent);
  return n_elements / traits.block_elements * traits.block_bytes;
}

std::string encode_uint32_entry(std::string_view key, uint32_t value) {
  std::string entry;
  append_string(entry, key);
  append(entry, static_cast<uint32_t>(GgufType::kUint32));
  append(entry, value);
  return entry;
}

GgufFileWriter::GgufFileWriter(const std::string& path, std::span<const std::string_view> metadata,
                               std::vector<TensorHeader> tensors, uint32_t alignment)
    : file_(path), tensors_(std::move(tensors)), alignment_(alignment) {
  std::string head = "GGUF";
  append(head, uint32_t{3});
  append(head, uint64_t{tensors_.size()});
  append(head, uint64_t{metadata.size()});
  for (const std::string_view entry : metadata) head += entry;
  uint64_t offset = 0;
  for (const TensorHeader& tensor : tensors_) {
    append_string(head, tensor.name);
    append(head, static_cast<uint32_t>(tensor.shape.size()));
    for (size_t d = tensor.shape.size(); d-- > 0;) append(head, tensor.shape[d]);
    append(head, static_cast<uint32_t>(tensor.type));
    append(head, offset);
    offset += aligned(tensor.n_bytes(), alignment);
  }
  file_.write(as_bytes(head));
  pad();
}

void GgufFileWriter::write(std::span<const std::byte> bytes) {
  assert(i_tensor_ < tensors_.size());
  file_.write(bytes);
  n_written_ += bytes.size();
}

void GgufFileWriter::end_tensor() {
  assert(n_written_ == tensors_[i_tensor_].n_bytes());
  pad();
  ++i_tensor_;
  n_written_ = 0;
}

void GgufFileWriter::commit() {
  assert(i_tensor_ == tensors_.size());
  file_.commit();
}

void GgufFileWriter::pad() {
  const std::string zeros(aligned(file_.n_written(), alignment_) - file_.n_written(), '\0');
  file_.write(as_bytes(zeros));
}

}  // namespace outpost
