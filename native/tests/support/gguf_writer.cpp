#include "tests/support/gguf_writer.h"

namespace outpost::test {

void append_string(std::string& out, std::string_view text) {
  append_number(out, uint64_t{text.size()});
  out += text;
}

void GgufWriter::begin_value(std::string_view key, GgufType type) {
  ++n_metadata_;
  append_string(metadata_, key);
  append_number(metadata_, static_cast<uint32_t>(type));
}

void GgufWriter::begin_array(std::string_view key, GgufType element_type, size_t n_elements) {
  begin_value(key, GgufType::kArray);
  append_number(metadata_, static_cast<uint32_t>(element_type));
  append_number(metadata_, uint64_t{n_elements});
}

void GgufWriter::add_bool(std::string_view key, bool value) {
  begin_value(key, GgufType::kBool);
  append_number(metadata_, static_cast<uint8_t>(value));
}

void GgufWriter::add_uint32(std::string_view key, uint32_t value) {
  begin_value(key, GgufType::kUint32);
  append_number(metadata_, value);
}

void GgufWriter::add_int32(std::string_view key, int32_t value) {
  begin_value(key, GgufType::kInt32);
  append_number(metadata_, value);
}

void GgufWriter::add_uint64(std::string_view key, uint64_t value) {
  begin_value(key, GgufType::kUint64);
  append_number(metadata_, value);
}

void GgufWriter::add_float(std::string_view key, float value) {
  begin_value(key, GgufType::kFloat32);
  append_number(metadata_, value);
}

void GgufWriter::add_double(std::string_view key, double value) {
  begin_value(key, GgufType::kFloat64);
  append_number(metadata_, value);
}

void GgufWriter::add_string(std::string_view key, std::string_view value) {
  begin_value(key, GgufType::kString);
  append_string(metadata_, value);
}

void GgufWriter::add_strings(std::string_view key, std::span<const std::string> values) {
  begin_array(key, GgufType::kString, values.size());
  for (const std::string& value : values) append_string(metadata_, value);
}

void GgufWriter::add_floats(std::string_view key, std::span<const float> values) {
  begin_array(key, GgufType::kFloat32, values.size());
  for (const float value : values) append_number(metadata_, value);
}

void GgufWriter::add_int32s(std::string_view key, std::span<const int32_t> values) {
  begin_array(key, GgufType::kInt32, values.size());
  for (const int32_t value : values) append_number(metadata_, value);
}

void GgufWriter::add_raw(std::string_view key, uint32_t type_id, std::string_view bytes) {
  begin_value(key, static_cast<GgufType>(type_id));
  metadata_ += bytes;
}

void GgufWriter::add_tensor(std::string_view name, TensorType type, std::span<const int64_t> shape,
                            std::string_view data) {
  ++n_tensors_;
  append_string(tensor_index_, name);
  append_number(tensor_index_, static_cast<uint32_t>(shape.size()));
  for (size_t d = shape.size(); d-- > 0;) append_number(tensor_index_, shape[d]);
  append_number(tensor_index_, static_cast<uint32_t>(type));
  data_.resize((data_.size() + alignment - 1) / alignment * alignment);
  append_number(tensor_index_, uint64_t{data_.size()});
  data_ += data;
}

void GgufWriter::add_tensor_f32(std::string_view name, std::span<const int64_t> shape, std::span<const float> values) {
  add_tensor(name, TensorType::kF32, shape, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
}

std::string GgufWriter::bytes() const {
  std::string out = "GGUF";
  append_number(out, version);
  append_number(out, n_tensors_);
  append_number(out, n_metadata_);
  out += metadata_;
  out += tensor_index_;
  if (n_tensors_ > 0) out.resize((out.size() + alignment - 1) / alignment * alignment);
  return out + data_;
}

}  // namespace outpost::test
