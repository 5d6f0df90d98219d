// What the backend and its launchers need of a GPU's runtime: devices, memory, copies, streams and recorded work. A
// build has one of them: CUDA's (kernels/cuda/cuda_runtime.cpp), Metal's (kernels/metal/metal_runtime.cpp), or the
// emulated device's (kernels/emulated_device).
//
// Work that is given a stream is done in the stream's order, some time later. Without a stream it is done when the call
// returns, except that copies from ordinary memory may go on: synchronize(nullptr) waits for them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace outpost::gpu {

/// What went wrong: those of every platform, kTaken where a device may be one process's alone, and any other number of
/// the platform.
enum class Error : int32_t { kNone = 0, kInvalidValue = 1, kOutOfMemory = 2, kTaken = 46 };

/// The platform's message and name.
std::string error_text(Error error);

// ---- devices

/// What ids of devices begin with: "cuda", "metal".
const char* platform();
/// How many devices there are. @param reason why there are none
int32_t n_devices(std::string& reason);

struct DeviceProperties {
  std::string name;
  size_t n_bytes;  ///< of memory
  int32_t n_multiprocessors;
  bool is_usable;           ///< whether there are kernels for it
  bool shares_host_memory;  ///< it has none of its own
};
/// What a device has to have to be usable.
std::string requirement();
/// @return an error also of a device that cannot be used now, as one whose memory others have: its name is there all
/// the same if the platform tells, and the next call may find it usable
Error device_properties(int32_t device, DeviceProperties& properties);
/// On the PCI bus, "0000:65:00.0"; empty if it is on none.
std::string bus_id(int32_t device);

/// What follows on this thread is done with that device.
Error choose_device(int32_t device);
Error current_device(int32_t& device);
Error synchronize_device();
/// What a block can have of shared memory, if a launch asks for it; 0 after an error.
size_t max_shared_bytes();

// ---- memory of the current device

Error memory_info(size_t& n_free, size_t& n_total);
/// @param data null after an error
Error allocate(void*& data, size_t n_bytes);
Error release(void* data);
/// Memory of the host that the device reads and writes at the same address.
Error allocate_pinned(void*& data, size_t n_bytes);
Error release_pinned(void* data);
/// Lets kernels read n bytes of the host's memory where they are, until `release`. @pre they stay, and nobody writes
/// them
/// @param is_lent false, without an error, where that cannot be: on devices with memory of their own, for bytes that do
/// not begin at a multiple of 16, and for what is lent already
Error lend(const void* data, size_t n_bytes, bool& is_lent);
/// What kernels call an address of the device's memory, where they find it in data and not among their arguments. 0 for
/// null.
int64_t device_address(const void* data);

// ---- streams

struct StreamState;
/// Null: no stream.
using Stream = StreamState*;

Error create_stream(Stream& stream);
Error destroy_stream(Stream stream);
/// Waits for all of its work.
Error synchronize(Stream stream);

/// A place in a stream's work.
struct MarkState;
using Mark = MarkState*;
Error create_mark(Mark& mark);
Error destroy_mark(Mark mark);
/// From now on the mark is behind what the stream has been given until now, and nowhere else.
Error set_mark(Mark mark, Stream stream);
/// Waits for what is before the mark; for nothing if it was never set.
Error wait(Mark mark);

/// Memory for work of a stream, from what others have released in its order.
Error allocate(Stream stream, void*& data, size_t n_bytes);
Error release(Stream stream, void* data);
/// Whether released memory stays with streams. If not, what none has allocated is given back now.
Error keep_released_memory(bool is_kept);

// ---- copies

enum class Copy { kToDevice, kToHost, kOnDevice };
Error copy(void* to, const void* from, size_t n_bytes, Copy direction);
Error copy(Stream stream, void* to, const void* from, size_t n_bytes, Copy direction);
/// n_runs runs of `width` bytes, `pitch` apart in memory of the host, to the device without gaps.
Error copy_runs(void* to, const void* from, size_t pitch, size_t width, size_t n_runs);
Error fill(void* data, uint8_t byte, size_t n_bytes);
Error fill(Stream stream, void* data, uint8_t byte, size_t n_bytes);
/// Milliseconds that a copy on the device takes.
Error time_copy(void* to, const void* from, size_t n_bytes, float& ms);

// ---- work that was recorded

struct RecordingState;
using Recording = RecordingState*;

/// Until end_recording, work of the stream is written down and not done; nothing may be allocated, and nobody waits.
Error begin_recording(Stream stream);
/// @param recording null after an error. The caller destroys it.
Error end_recording(Stream stream, Recording& recording);
/// Does it once more, with the arguments and addresses of when it was recorded.
Error replay(Recording recording, Stream stream);
Error destroy_recording(Recording recording);

}  // namespace outpost::gpu
