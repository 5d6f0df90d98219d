// Only the branch for POSIX systems has been built and run.
#include "core/shared_library.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace outpost {

#ifdef _WIN32
SharedLibrary::SharedLibrary(const char* name) : handle_(LoadLibraryA(name)) {}
SharedLibrary::~SharedLibrary() {
  if (is_open()) FreeLibrary(static_cast<HMODULE>(handle_));
}
void* SharedLibrary::symbol(const char* name) const {
  return is_open() ? reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(handle_), name)) : nullptr;
}
#else
SharedLibrary::SharedLibrary(const char* name) : handle_(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {}
SharedLibrary::~SharedLibrary() {
  if (is_open()) dlclose(handle_);
}
void* SharedLibrary::symbol(const char* name) const { return is_open() ? dlsym(handle_, name) : nullptr; }
#endif

}  // namespace outpost
