// Who has a device's memory: models beside one another, what is left where there is too little, and what they say of
// it.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "kernels/emulated_device/emulated_device.h"
#include "runtime/loaded_model.h"
#include "tests/emulated/emulated_models.h"

using namespace outpost;
using namespace outpost::test;

namespace {

LoadOptions on_device(std::vector<int32_t> n_layers = {kAllLayers}) {
  LoadOptions options;
  options.n_threads = 1;
  options.devices = {device_id(0)};
  options.n_device_layers = std::move(n_layers);
  return options;
}

uint64_t tensor_bytes(const GgufFile& file) {
  uint64_t sum = 0;
  for (const TensorInfo& tensor : file.tensors()) sum += tensor.bytes.size();
  return sum;
}

}  // namespace

TEST_CASE("emulated device: tied embeddings count once where the head is the table") {
  const TempDir dir;
  for (const bool is_tied : {true, false}) {
    CAPTURE(is_tied);
    TinyLlama tiny = tiniest_llama();
    if (is_tied) tiny.remove_tensor("output.weight");
    const std::string path = dir.write("tiny.gguf", tiny.bytes());
    const GgufFile file = GgufFile::open(path);
    const uint64_t table = file.find_tensor("token_embd.weight")->bytes.size();
    const ModelInfo all = Model::load(path, on_device())->info();
    CHECK(all.weight_bytes == tensor_bytes(file));  // of f32
    CHECK(all.shares[0].weight_bytes == all.weight_bytes);
    CHECK(all.table_bytes == (is_tied ? 0 : table));
    // The processor looks them up in the file, and the device has the head.
    const ModelInfo beside = Model::load(path, on_device({1}))->info();
    CHECK(beside.table_bytes == table);
    CHECK(beside.shares[1].weight_bytes >= table);
  }
}
