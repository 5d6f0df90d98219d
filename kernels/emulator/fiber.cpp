#include "kernels/emulator/fiber.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

// Switching by hand takes a few nanoseconds; swapcontext makes two system calls. OUTPOST_UCONTEXT_FIBERS chooses the
// latter where both exist, to test it.
#if defined(__linux__) && defined(__x86_64__) && !defined(OUTPOST_UCONTEXT_FIBERS)
#define OUTPOST_ASM_FIBERS 1
#else
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define OUTPOST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OUTPOST_ASAN 1
#endif
#endif

#ifdef OUTPOST_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifdef OUTPOST_ASM_FIBERS
/// Saves the registers that a callee keeps (System V ABI) on this stack and takes those of the other.
extern "C" void outpost_switch_stack(void** save, void* load);
asm(R"(
.text
.globl outpost_switch_stack
.type outpost_switch_stack, @function
outpost_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size outpost_switch_stack, .-outpost_switch_stack
)");
#endif

namespace outpost::emulator {
namespace {

// Instrumented frames are several times as large.
#ifdef OUTPOST_ASAN
constexpr size_t kStackBytes = 512 * 1024;
#else
constexpr size_t kStackBytes = 128 * 1024;
#endif
constexpr uint64_t kStackMark = 0x5ca1ab1e0ddba11u;

}  // namespace

struct Fiber::State {
  std::byte* stack = nullptr;
  const std::function<void()>* body = nullptr;
  bool is_finished = true;
#ifdef OUTPOST_ASM_FIBERS
  void* own = nullptr;
  void* resumer = nullptr;
#else
  ucontext_t own{}, resumer{};
#endif
#ifdef OUTPOST_ASAN
  void* own_fake_stack = nullptr;
  void* resumer_fake_stack = nullptr;
  const void* resumer_stack = nullptr;
  size_t resumer_stack_bytes = 0;
#endif

  static thread_local State* current;

  /// First and last function of every fiber.
  static void run() {
    State* self = current;
#ifdef OUTPOST_ASAN
    __sanitizer_finish_switch_fiber(nullptr, &self->resumer_stack, &self->resumer_stack_bytes);
#endif
    (*self->body)();
    self->is_finished = true;
    self->leave(/*is_last=*/true);
    std::abort();  // nobody resumes a finished fiber
  }

  void leave([[maybe_unused]] bool is_last) {
#ifdef OUTPOST_ASAN
    __sanitizer_start_switch_fiber(is_last ? nullptr : &own_fake_stack, resumer_stack, resumer_stack_bytes);
#endif
#ifdef OUTPOST_ASM_FIBERS
    outpost_switch_stack(&own, resumer);
#else
    swapcontext(&own, &resumer);
#endif
#ifdef OUTPOST_ASAN
    __sanitizer_finish_switch_fiber(own_fake_stack, &resumer_stack, &resumer_stack_bytes);
#endif
  }
};

thread_local Fiber::State* Fiber::State::current = nullptr;

Fiber::Fiber() : state_(std::make_unique<State>()) {
  state_->stack = static_cast<std::byte*>(std::aligned_alloc(64, kStackBytes));
  if (state_->stack == nullptr) throw std::bad_alloc();
  std::memcpy(state_->stack, &kStackMark, sizeof(kStackMark));
}

Fiber::~Fiber() { std::free(state_->stack); }

void Fiber::start(const std::function<void()>& body) {
  state_->body = &body;
  state_->is_finished = false;
#ifdef OUTPOST_ASAN
  __asan_unpoison_memory_region(state_->stack, kStackBytes);  // frames of a body that was forgotten
#endif
#ifdef OUTPOST_ASM_FIBERS
  // As if `run` had been called from address 0 and had saved six registers: see outpost_switch_stack.
  const uintptr_t words[8] = {0, 0, 0, 0, 0, 0, reinterpret_cast<uintptr_t>(&State::run), 0};
  std::byte* top = state_->stack + kStackBytes - sizeof(words);
  std::memcpy(top, words, sizeof(words));
  state_->own = top;
#else
  getcontext(&state_->own);
  state_->own.uc_stack.ss_sp = state_->stack;
  state_->own.uc_stack.ss_size = kStackBytes;
  state_->own.uc_link = nullptr;
  makecontext(&state_->own, &State::run, 0);
#endif
}

void Fiber::resume() {
  State::current = state_.get();
#ifdef OUTPOST_ASAN
  __sanitizer_start_switch_fiber(&state_->resumer_fake_stack, state_->stack, kStackBytes);
#endif
#ifdef OUTPOST_ASM_FIBERS
  outpost_switch_stack(&state_->resumer, state_->own);
#else
  swapcontext(&state_->resumer, &state_->own);
#endif
#ifdef OUTPOST_ASAN
  __sanitizer_finish_switch_fiber(state_->resumer_fake_stack, nullptr, nullptr);
#endif
  State::current = nullptr;
}

void Fiber::suspend() { State::current->leave(/*is_last=*/false); }

bool Fiber::is_finished() const { return state_->is_finished; }

bool Fiber::has_overflowed() const { return std::memcmp(state_->stack, &kStackMark, sizeof(kStackMark)) != 0; }

}  // namespace outpost::emulator
