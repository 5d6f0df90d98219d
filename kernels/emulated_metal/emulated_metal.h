// Metal's device (kernels/metal/metal_device.h) as the SIMT emulator, so that its runtime, launches and the backend are
// tested without a Mac. It holds a list of commands to what Metal allows, and does its work when somebody waits for it:
// what is given too early, too late or beyond a limit is a Fault, or wrong numbers every time.
//
// kernels/emulated_device/emulated_device.h says what memory there is.
#pragma once

#include <set>
#include <string>

#include "kernels/metal/metal_device.h"

namespace outpost::emulator {

/// The next list that is waited for does nothing, and ends so.
void fail_next_list(metal::Outcome outcome, const std::string& reason);

/// The kernels that anybody has asked for.
std::set<std::string> asked_kernels();
/// Those that lists were given since this was asked last.
std::set<std::string> take_dispatched();

/// Buffers and lists that there are.
size_t live_buffers();
size_t live_lists();
/// Of the host's memory, that kernels may read now.
size_t lent_bytes();

}  // namespace outpost::emulator
