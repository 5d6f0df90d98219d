// A machine without a GPU, for a program of everything that a Mac links but for metal_device.mm: that it links, and
// says what is missing, is checked anywhere.
#include <cstdlib>

#include "kernels/launchers/launchers.h"
#include "kernels/metal/metal_device.h"

namespace outpost::metal {

const DeviceInfo* device_info(std::string& reason) {
  reason = "this is no Mac";
  return nullptr;
}
size_t bytes_in_use() { return 0; }

Buffer* create_buffer(size_t, bool) { return nullptr; }
Buffer* lend_pages(const std::byte*, size_t, size_t, size_t) { return nullptr; }
void destroy_buffer(Buffer*) {}
void write(Buffer&, size_t, const void*, size_t) {}
void fill(Buffer&, size_t, uint8_t, size_t) {}
const Pipeline* find_pipeline(const std::string&, std::string&) { return nullptr; }

Queue* create_queue(std::string& reason) {
  reason = "this is no Mac";
  return nullptr;
}
void destroy_queue(Queue*) {}
CommandList* begin_list(Queue&, std::string&) { return nullptr; }
void use(CommandList&, const Buffer&) {}
void dispatch(CommandList&, const Dispatch&) {}
void copy(CommandList&, Buffer&, size_t, const Buffer&, size_t, size_t) {}
void fill(CommandList&, Buffer&, size_t, uint8_t, size_t) {}
void commit(CommandList&) {}
Outcome wait(CommandList&, std::string&) { return Outcome::kFailed; }
void destroy_list(CommandList*) {}

}  // namespace outpost::metal

int main() {
  using namespace outpost::gpu;
  std::string reason;
  Stream stream = nullptr;
  void* data = nullptr;
  const bool is_right = n_devices(reason) == 0 && reason == "this is no Mac" &&
                        error_text(create_stream(stream)) == reason && stream == nullptr &&
                        allocate(data, 1) == Error::kOutOfMemory &&
                        launch_add(nullptr, nullptr, nullptr, {1, 1, 0}) == Error::kInvalidValue;
  return is_right ? EXIT_SUCCESS : EXIT_FAILURE;
}
