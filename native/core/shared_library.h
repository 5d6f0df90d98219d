// A library of the system that is opened while the program runs, because not every machine has it.
#pragma once

namespace outpost {

class SharedLibrary {
 public:
  /// @param name a path, or a name that the system looks up
  explicit SharedLibrary(const char* name);
  ~SharedLibrary();
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;

  bool is_open() const { return handle_ != nullptr; }
  /// Null if it has no function of that name, or is not open.
  template <typename Function>
  Function* function(const char* name) const {
    return reinterpret_cast<Function*>(symbol(name));
  }

 private:
  void* symbol(const char* name) const;

  void* handle_;
};

}  // namespace outpost
