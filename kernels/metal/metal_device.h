// What is used of Apple's Metal, as plain C++: one GPU, memory that it shares with the host, pipelines by name, and
// lists of commands. metal_device.mm has it with Metal, and kernels/emulated_metal with the SIMT emulator.
//
// May be called from any thread; a list, and a queue while a list is begun or committed on it, by one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace outpost::metal {

struct DeviceInfo {
  std::string name;
  size_t n_bytes;       ///< that the GPU can use without moving others' memory out (recommendedMaxWorkingSetSize)
  size_t n_most_bytes;  ///< of one buffer
  size_t n_page_bytes;  ///< what memory of the host is lent by
  bool is_usable;       ///< Metal 3, family Apple 7 or above
};

/// The GPU. @param reason why there is none @return null then
const DeviceInfo* device_info(std::string& reason);
/// All that this process has allocated on it.
size_t bytes_in_use();

// ---- memory

/// At one place for both, though each calls it by an address of its own.
struct Buffer {
  std::byte* contents;  ///< where the host finds it
  uint64_t address;     ///< what kernels call it
  size_t n_bytes;
};

/// @param is_pinned whether the host writes to it by itself, rather than by `write`: no difference to Metal
/// @return null if there is no memory
Buffer* create_buffer(size_t n_bytes, bool is_pinned);
/// A buffer of whole pages of the host's, which stay the host's: kernels read them, and nobody writes them.
/// @param offset where what is read begins, n_read bytes: no difference to Metal
/// @return null if Metal does not take them
Buffer* lend_pages(const std::byte* pages, size_t n_bytes, size_t offset, size_t n_read);
/// @pre no list that is not done has it
void destroy_buffer(Buffer* buffer);
/// The host writes, at once. @pre inside the buffer, which was not lent
void write(Buffer& buffer, size_t offset, const void* from, size_t n_bytes);
void fill(Buffer& buffer, size_t offset, uint8_t byte, size_t n_bytes);

// ---- kernels

struct Pipeline {
  int32_t n_most_threads;  ///< of a threadgroup
};
/// Made at the first call, and kept. @param reason why there is none @return null then
const Pipeline* find_pipeline(const std::string& name, std::string& reason);

/// Of a kernel: an array, or a value.
struct Argument {
  const Buffer* buffer = nullptr;  ///< null: an array that the kernel does not look at
  size_t offset = 0;               ///< in the buffer, or in the bytes of the dispatch
  size_t n_bytes = 0;              ///< of a value; 0: it is an array
};

struct Dispatch {
  const Pipeline* pipeline = nullptr;
  std::array<uint32_t, 3> n_groups = {1, 1, 1};
  uint32_t n_threads = 32;          ///< of a threadgroup
  std::vector<Argument> arguments;  ///< of [[buffer(i)]]
  std::vector<std::byte> bytes;     ///< of all values
};

// ---- work

struct Queue;
struct CommandList;

/// Lists of a queue are done in the order in which they are committed. @param reason why there is none @return null
/// then
Queue* create_queue(std::string& reason);
/// @pre all of its lists are destroyed
void destroy_queue(Queue* queue);

/// Commands of a list are done one after the other. @return null if there is none, with the reason
CommandList* begin_list(Queue& queue, std::string& reason);
/// What follows may find this buffer by an address in data, and not among its arguments.
void use(CommandList& list, const Buffer& buffer);
void dispatch(CommandList& list, const Dispatch& work);
/// Offsets and n_bytes are multiples of 4, and n_bytes is not 0.
void copy(CommandList& list, Buffer& to, size_t to_offset, const Buffer& from, size_t from_offset, size_t n_bytes);
void fill(CommandList& list, Buffer& buffer, size_t offset, uint8_t byte, size_t n_bytes);
/// Nothing is done before, and nothing can be added after.
void commit(CommandList& list);

enum class Outcome { kDone, kOutOfMemory, kFailed };
/// Waits until a committed list is done, also on several threads at once. @param reason if it is not kDone
Outcome wait(CommandList& list, std::string& reason);
/// @pre it was waited for, or never committed
void destroy_list(CommandList* list);

}  // namespace outpost::metal
