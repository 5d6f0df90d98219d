// A device that is the SIMT emulator, so that the backend is tested without a GPU: its kernels run as in the tests
// of kernels, and work of a stream is done late. It waits until somebody waits for it, so that what forgets to wait,
// reads results or writes over what is still to be copied, gets wrong numbers here every time and not now and then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace outpost::emulator {

/// What the device has, in bytes; allocations beyond fail.
void set_device_memory(size_t n_bytes);
size_t device_bytes_in_use();

/// From now on whatever is given to a stream fails, as after an error that a device does not recover from.
void lose_device(bool is_lost);

/// From now on a device is refused to whoever chooses it or asks what it is, with this error's number; 0: no more.
/// @return false where no runtime refuses a device so
bool refuse_device(int32_t device, int32_t error);

/// From now on there is no room for recordings, where they take any.
void refuse_recordings(bool are_refused);

/// How many recorded passes were repeated; nothing if the runtime does not count them.
std::optional<uint64_t> replays();
/// How many kernels were launched, or recorded; alike.
std::optional<uint64_t> launches();
/// What streams were given, and nobody has waited for.
size_t n_waiting();

}  // namespace outpost::emulator
