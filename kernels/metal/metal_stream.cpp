#include "kernels/metal/metal_stream.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace outpost::metal {
namespace {

/// The GPU starts with these while the host still adds what follows: a pass has some hundred commands.
constexpr int kMostOpen = 64;
/// Of the texts that `failed` was given: any other number of runtime.h's.
constexpr int32_t kFirstFailure = 1000;

struct Failures {
  std::mutex mutex;
  std::vector<std::string> texts;
};

Failures& failures() {
  static Failures& instance = *new Failures;  // as the runtime
  return instance;
}

}  // namespace

gpu::Error failed(const std::string& text) {
  Failures& f = failures();
  const std::lock_guard lock(f.mutex);
  const auto known = std::find(f.texts.begin(), f.texts.end(), text);
  const auto i = static_cast<int32_t>(known - f.texts.begin());
  if (known == f.texts.end()) f.texts.push_back(text);
  return static_cast<gpu::Error>(kFirstFailure + i);
}

std::string failure_text(gpu::Error error) {
  Failures& f = failures();
  const std::lock_guard lock(f.mutex);
  const int64_t i = int64_t{static_cast<int32_t>(error)} - kFirstFailure;
  return i >= 0 && i < static_cast<int64_t>(f.texts.size()) ? f.texts[static_cast<size_t>(i)] : "";
}

std::unique_ptr<CommandStream> CommandStream::create(gpu::Error& error) {
  auto stream = std::make_unique<CommandStream>();
  std::string reason;
  stream->queue_.reset(create_queue(reason));
  error = stream->queue_ == nullptr ? failed(reason) : gpu::Error::kNone;
  if (stream->queue_ == nullptr) stream.reset();
  return stream;
}

gpu::Error CommandStream::open_list() {
  std::string reason;
  CommandList* list = begin_list(*queue_, reason);
  if (list == nullptr) return failed(reason);
  open_ = List(list, destroy_list);
  n_open_ = 0;
  n_addressed_ = 0;
  return gpu::Error::kNone;
}

gpu::Error CommandStream::add(const Memory& memory, Command command) {
  if (!is_recording_) return encode(memory, command);
  recorded_.push_back(std::move(command));
  return gpu::Error::kNone;
}

gpu::Error CommandStream::add_all(const Memory& memory, const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    if (const gpu::Error error = encode(memory, command); error != gpu::Error::kNone) return error;
  }
  return gpu::Error::kNone;
}

gpu::Error CommandStream::encode(const Memory& memory, const Command& command) {
  if (open_ == nullptr) {
    if (const gpu::Error error = open_list(); error != gpu::Error::kNone) return error;
  }
  CommandList& list = *open_;
  if (const auto* work = std::get_if<Dispatch>(&command)) {
    n_addressed_ = memory.visit_addressed(n_addressed_, [&](const Buffer& buffer) { use(list, buffer); });
    dispatch(list, *work);
  } else if (const auto* c = std::get_if<CopyCommand>(&command)) {
    copy(list, *c->to.buffer, c->to.offset, *c->from.buffer, c->from.offset, c->n_bytes);
  } else if (const auto* f = std::get_if<FillCommand>(&command)) {
    fill(list, *f->to.buffer, f->to.offset, f->byte, f->n_bytes);
  }
  if (++n_open_ == kMostOpen) commit();
  return gpu::Error::kNone;
}

void CommandStream::begin_recording() {
  is_recording_ = true;
  recorded_.clear();
}

std::vector<Command> CommandStream::end_recording() {
  is_recording_ = false;
  return std::exchange(recorded_, {});
}

std::vector<CommandStream::List> CommandStream::commit() {
  if (open_ != nullptr) {
    metal::commit(*open_);
    committed_.push_back(std::exchange(open_, nullptr));
  }
  return committed_;
}

gpu::Error CommandStream::wait(const List& list) {
  std::string reason;
  switch (metal::wait(*list, reason)) {
    case Outcome::kDone: return gpu::Error::kNone;
    case Outcome::kOutOfMemory: return gpu::Error::kOutOfMemory;
    default: return failed(reason);
  }
}

void CommandStream::forget(const std::vector<List>& done, gpu::Error error) {
  std::erase_if(committed_, [&](const List& list) { return std::find(done.begin(), done.end(), list) != done.end(); });
  if (error_ == gpu::Error::kNone) error_ = error;
}

gpu::Error CommandStream::take_error() { return std::exchange(error_, gpu::Error::kNone); }

BlockPool& CommandStream::pool(size_t n_block_bytes) {
  return pools_.try_emplace(n_block_bytes, n_block_bytes).first->second;
}

}  // namespace outpost::metal
