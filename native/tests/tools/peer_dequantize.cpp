// outpost-peer-dequantize LIBRARY TYPE IN OUT: the values of a tensor's bytes, as f32, by llama.cpp's own code.
//
// LIBRARY is libggml-base of the peer's npm build, TYPE the number of the tensor type in GGUF. What comes out is the
// model that both implementations approximate when they quantize activations.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

namespace {

/// What ggml_get_type_traits returns (ggml-org/llama.cpp, ggml/include/ggml.h).
struct TypeTraits {
  const char* type_name;
  int64_t block_elements;
  int64_t block_elements_interleaved;
  size_t block_bytes;
  bool is_quantized;
  void (*to_float)(const void* in, float* out, int64_t n);
  void (*from_float)(const float* in, void* out, int64_t n);
};

int fail(const char* what, const char* why) {
  std::fprintf(stderr, "outpost-peer-dequantize: %s: %s\n", what, why);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: outpost-peer-dequantize LIBRARY TYPE IN OUT\n");
    return 2;
  }
  void* library = dlopen(argv[1], RTLD_NOW);
  if (library == nullptr) return fail(argv[1], dlerror());
  const auto type_traits = reinterpret_cast<const TypeTraits* (*)(int)>(dlsym(library, "ggml_get_type_traits"));
  if (type_traits == nullptr) return fail(argv[1], dlerror());
  const TypeTraits& traits = *type_traits(std::atoi(argv[2]));
  if (traits.to_float == nullptr) return fail(argv[2], "this type cannot be dequantized");

  std::ifstream in(argv[3], std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  if (!in || bytes.empty() || bytes.size() % traits.block_bytes != 0)
    return fail(argv[3], "not a whole number of blocks");
  const auto n = static_cast<int64_t>(bytes.size() / traits.block_bytes) * traits.block_elements;
  std::vector<float> values(static_cast<size_t>(n));
  traits.to_float(bytes.data(), values.data(), n);

  std::ofstream out(argv[4], std::ios::binary);
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  out.close();
  if (!out) return fail(argv[4], "cannot be written");
}
