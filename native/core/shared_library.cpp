// The branch for Windows has run under Wine only.
#include "core/shared_library.h"

#ifdef _WIN32
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
