// A stream on Metal: a queue of lists of commands, of which the last is still open.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "kernels/metal/block_pool.h"
#include "kernels/metal/metal_memory.h"
#include "kernels/runtime/runtime.h"

namespace outpost::metal {

/// An error with this text. Texts are kept: there are few.
gpu::Error failed(const std::string& text);
/// Of such an error; empty if it is none.
std::string failure_text(gpu::Error error);

struct CopyCommand {
  Place to, from;
  size_t n_bytes;
};
struct FillCommand {
  Place to;
  uint8_t byte;
  size_t n_bytes;
};
/// With everything looked up: it is done again as it is.
using Command = std::variant<Dispatch, CopyCommand, FillCommand>;

/// Not for several threads at once, except `wait`.
class CommandStream {
 public:
  using List = std::shared_ptr<CommandList>;

  /// Null after an error.
  static std::unique_ptr<CommandStream> create(gpu::Error& error);

  /// Puts a command behind the others, or writes it down. @param memory with what kernels find by addresses
  gpu::Error add(const Memory& memory, Command command);
  gpu::Error add_all(const Memory& memory, const std::vector<Command>& commands);

  bool is_recording() const { return is_recording_; }
  void begin_recording();
  std::vector<Command> end_recording();

  /// Lets everything start. @return what is to be waited for
  std::vector<List> commit();
  /// Waits for one of these. @return its error
  static gpu::Error wait(const List& list);
  /// These were waited for; what went wrong is kept until it is asked for.
  void forget(const std::vector<List>& done, gpu::Error error);
  gpu::Error take_error();

  BlockPool& pool(size_t n_block_bytes);
  std::map<size_t, BlockPool>& pools() { return pools_; }
  /// Of blocks that are taken.
  std::map<void*, size_t>& block_bytes() { return block_bytes_; }

 private:
  struct QueueDeleter {
    void operator()(Queue* queue) const { destroy_queue(queue); }
  };

  gpu::Error encode(const Memory& memory, const Command& command);
  gpu::Error open_list();

  std::unique_ptr<Queue, QueueDeleter> queue_;
  List open_;
  int n_open_ = 0;            // its commands
  uint64_t n_addressed_ = 0;  // of Memory::visit_addressed, that it knows
  std::vector<List> committed_;
  bool is_recording_ = false;
  std::vector<Command> recorded_;
  gpu::Error error_ = gpu::Error::kNone;
  std::map<size_t, BlockPool> pools_;  // by the bytes of a block
  std::map<void*, size_t> block_bytes_;
};

}  // namespace outpost::metal
