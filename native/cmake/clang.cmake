# clang, by whichever name it is there: for sanitizers, libFuzzer and the check of Metal's kernels. From 16 on it takes
# structured bindings in lambdas (C++20).
if(OUTPOST_CLANGXX AND NOT EXISTS "${OUTPOST_CLANGXX}")
  unset(OUTPOST_CLANGXX CACHE)  # it was there when this folder was configured before
endif()
find_program(OUTPOST_CLANGXX NAMES clang++-19 clang++-18 clang++-17 clang++-16 clang++)
