// A grammar in one of its states, as samplers ask for it.
#pragma once

#include "grammar/grammar_program.h"
#include "sampling/token_filter.h"

namespace outpost {

/// Refers to the program, which must outlive it.
class GrammarFilter final : public TokenFilter {
 public:
  GrammarFilter(GrammarProgram& program, GrammarProgram::State state) : program_(program), state_(state) {}

  bool allows(int32_t id) override { return program_.allows(state_, id); }
  std::span<const uint64_t> mask() override { return program_.mask(state_); }

 private:
  GrammarProgram& program_;
  GrammarProgram::State state_;
};

}  // namespace outpost
