// outpost-write-tiny-model PATH [experts]: writes what tests/binding_test.mjs loads. With `experts` a random mixture of
// two layers with six experts each, of which a token uses two; else the scripted model that it talks to:
//
//   after <s> (1)           "Hello", " wor", "ld", then the end
//   after "again" (262)     "again" for ever
//   after "euro" (263)      the three bytes of U+20AC, one token each, then the end
#include <cstdio>
#include <cstring>
#include <fstream>

#include "tests/support/tiny_model.h"

namespace {

using namespace outpost::test;

TinyLlama scripted() {
  return scripted_llama({"Hello", " wor", "ld", "again", "euro"},
                        {{1, text_token(0), text_token(1), text_token(2)},
                         {text_token(3), text_token(3)},
                         {text_token(4), byte_token(0xE2), byte_token(0x82), byte_token(0xAC)}});
}

TinyLlama mixture() {
  TinyLlama model;
  model.n_layer = 2;
  model.n_expert = 6;
  return with_random_experts(with_random_weights(model));
}

}  // namespace

int main(int argc, char** argv) {
  const bool has_experts = argc == 3 && std::strcmp(argv[2], "experts") == 0;
  if (argc != 2 && !has_experts) {
    std::fprintf(stderr, "usage: outpost-write-tiny-model PATH [experts]\n");
    return 2;
  }
  const TinyLlama model = has_experts ? mixture() : scripted();
  std::ofstream out(argv[1], std::ios::binary);
  out << model.bytes();
  out.close();
  if (!out) {
    std::fprintf(stderr, "outpost-write-tiny-model: cannot write %s\n", argv[1]);
    return 1;
  }
}
