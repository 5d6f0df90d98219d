// The Node API is imported from "node.exe" by name, but the program that loads the addon may have any: in the app it is
// Electron's. The import is resolved late, and this says that it is the running program. (Node's own tools for addons
// do the same; "Linker support for delay-loaded DLLs" in Microsoft's documentation has the hook.)
#ifdef _WIN32
#include <windows.h>
// Behind it, whose types it needs.
#include <delayimp.h>

#include <cstring>

namespace {

FARPROC WINAPI find_host(unsigned event, DelayLoadInfo* info) {
  if (event != dliNotePreLoadLibrary || _stricmp(info->szDll, "node.exe") != 0) return nullptr;
  return reinterpret_cast<FARPROC>(GetModuleHandleW(nullptr));
}

}  // namespace

PfnDliHook __pfnDliNotifyHook2 = find_host;  // declared in delayimp.h
#endif
