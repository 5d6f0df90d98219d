#ifdef _WIN32
#include <windows.h>

#include "core/atomic_wait.h"

namespace outpost {

void sleep_while_equal(const void* address, const void* old, size_t n_bytes) {
  WaitOnAddress(const_cast<void*>(address), const_cast<void*>(old), n_bytes, INFINITE);
}

void wake_all_sleepers(const void* address) { WakeByAddressAll(const_cast<void*>(address)); }

}  // namespace outpost
#endif
