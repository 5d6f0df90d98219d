#include "kernels/emulator/fiber.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

// Switching by hand takes a few nanoseconds; swapcontext makes two system calls. OUTPOST_UCONTEXT_FIBERS chooses the
// latter where both exist, to test it.
#if !defined(OUTPOST_UCONTEXT_FIBERS) && \
    ((defined(__linux__) && defined(__x86_64__)) || (!defined(_WIN32) && defined(__aarch64__)))
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
/// Saves the registers that a callee keeps on this stack and takes those of the other.
extern "C" void outpost_switch_stack(void** save, void* load);
#ifdef __aarch64__
#ifdef __APPLE__
#define OUTPOST_SWITCH_STACK "_outpost_switch_stack"
#else
#define OUTPOST_SWITCH_STACK "outpost_switch_stack"
#endif
// Procedure call standard for 64-bit ARM: x19 to x28, frame and link register, the lower halves of v8 to v15.
constexpr size_t kSavedWords = 20, kReturnWord = 11;
asm(".text\n.p2align 2\n.globl " OUTPOST_SWITCH_STACK "\n" OUTPOST_SWITCH_STACK R"(:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
)");
#else
// System V ABI. Behind the six registers the address to return to, and a word for the alignment of a call.
constexpr size_t kSavedWords = 8, kReturnWord = 6;
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

/// Where the next stack begins, below the end of its memory: memory of this size lies at the same place of a page, and
/// were stacks as well, those of a block would push each other out of the cache's few lines for that place.
size_t next_stack_shift() {
  constexpr size_t kPage = 4096, kStep = 5 * 64;  // of lines of 64 bytes, so that all places have their turn
  static thread_local size_t shift = 0;
  return shift = (shift + kStep) % kPage;
}

/// Where somebody goes on.
#ifdef OUTPOST_ASM_FIBERS
using Context = void*;
void switch_context(Context& save, Context& load) { outpost_switch_stack(&save, load); }
#else
using Context = ucontext_t;
void switch_context(Context& save, Context& load) { swapcontext(&save, &load); }
#endif

/// Who is in `resume`.
struct Resumer {
  Context context{};
#ifdef OUTPOST_ASAN
  bool was_left = false;  ///< by the last switch
  void* fake_stack = nullptr;
  const void* stack = nullptr;
  size_t n_stack_bytes = 0;
#endif
};

}  // namespace

struct Fiber::State {
  std::byte* stack = nullptr;
  size_t n_stack_bytes = 0;
  const std::function<void()>* body = nullptr;
  bool is_finished = true;
  Context own{};
#ifdef OUTPOST_ASAN
  void* fake_stack = nullptr;
#endif

  static thread_local State* current;
  static thread_local Resumer resumer;

  /// First and last function of every fiber.
  static void run() {
    State* self = current;
    finish_switch(nullptr);
    (*self->body)();
    self->is_finished = true;
    self->leave(/*is_last=*/true);
    std::abort();  // nobody resumes a finished fiber
  }

  void leave([[maybe_unused]] bool is_last) {
#ifdef OUTPOST_ASAN
    __sanitizer_start_switch_fiber(is_last ? nullptr : &fake_stack, resumer.stack, resumer.n_stack_bytes);
#endif
    switch_context(own, resumer.context);
    finish_switch(this);
  }

  void leave_for(State& next) {
    current = &next;
#ifdef OUTPOST_ASAN
    __sanitizer_start_switch_fiber(&fake_stack, next.stack, next.n_stack_bytes);
#endif
    switch_context(own, next.own);
    finish_switch(this);
  }

  /// On the stack of a fiber that was switched to. @param self null: it begins
  static void finish_switch([[maybe_unused]] const State* self) {
#ifdef OUTPOST_ASAN
    const void* before = nullptr;
    size_t n_before = 0;
    __sanitizer_finish_switch_fiber(self == nullptr ? nullptr : self->fake_stack, &before, &n_before);
    if (!resumer.was_left) return;  // it was another fiber
    resumer.was_left = false;
    resumer.stack = before;
    resumer.n_stack_bytes = n_before;
#endif
  }
};

thread_local Fiber::State* Fiber::State::current = nullptr;
thread_local Resumer Fiber::State::resumer;

Fiber::Fiber() : state_(std::make_unique<State>()) {
  state_->stack = static_cast<std::byte*>(std::aligned_alloc(64, kStackBytes));
  if (state_->stack == nullptr) throw std::bad_alloc();
  state_->n_stack_bytes = kStackBytes - next_stack_shift();
  std::memcpy(state_->stack, &kStackMark, sizeof(kStackMark));
}

Fiber::~Fiber() { std::free(state_->stack); }

void Fiber::start(const std::function<void()>& body) {
#ifdef OUTPOST_ASAN
  if (!state_->is_finished) __asan_unpoison_memory_region(state_->stack, kStackBytes);  // frames that are forgotten
#endif
  state_->body = &body;
  state_->is_finished = false;
#ifdef OUTPOST_ASM_FIBERS
  // As if `run` had been called from address 0 and had left: see outpost_switch_stack.
  uintptr_t words[kSavedWords] = {};
  words[kReturnWord] = reinterpret_cast<uintptr_t>(&State::run);
  std::byte* top = state_->stack + state_->n_stack_bytes - sizeof(words);
  std::memcpy(top, words, sizeof(words));
  state_->own = top;
#else
  getcontext(&state_->own);
  state_->own.uc_stack.ss_sp = state_->stack;
  state_->own.uc_stack.ss_size = state_->n_stack_bytes;
  state_->own.uc_link = nullptr;
  makecontext(&state_->own, &State::run, 0);
#endif
}

void Fiber::resume() {
  State::current = state_.get();
#ifdef OUTPOST_ASAN
  State::resumer.was_left = true;
  __sanitizer_start_switch_fiber(&State::resumer.fake_stack, state_->stack, state_->n_stack_bytes);
#endif
  switch_context(State::resumer.context, state_->own);
#ifdef OUTPOST_ASAN
  __sanitizer_finish_switch_fiber(State::resumer.fake_stack, nullptr, nullptr);
#endif
  State::current = nullptr;
}

void Fiber::suspend() { State::current->leave(/*is_last=*/false); }

void Fiber::suspend_for(Fiber& next) { State::current->leave_for(*next.state_); }

bool Fiber::is_finished() const { return state_->is_finished; }

bool Fiber::has_overflowed() const { return std::memcmp(state_->stack, &kStackMark, sizeof(kStackMark)) != 0; }

}  // namespace outpost::emulator
