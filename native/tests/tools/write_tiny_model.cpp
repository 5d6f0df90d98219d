// outpost-write-tiny-model PATH: writes the scripted model that tests/binding_test.mjs talks to.
//
//   after <s> (1)           "Hello", " wor", "ld", then the end
//   after "again" (262)     "again" for ever
//   after "euro" (263)      the three bytes of U+20AC, one token each, then the end
#include <cstdio>
#include <fstream>

#include "tests/support/tiny_model.h"

int main(int argc, char** argv) {
  using namespace outpost::test;
  if (argc != 2) {
    std::fprintf(stderr, "usage: outpost-write-tiny-model PATH\n");
    return 2;
  }
  const TinyLlama model = scripted_llama({"Hello", " wor", "ld", "again", "euro"},
                                         {{1, text_token(0), text_token(1), text_token(2)},
                                          {text_token(3), text_token(3)},
                                          {text_token(4), byte_token(0xE2), byte_token(0x82), byte_token(0xAC)}});
  std::ofstream out(argv[1], std::ios::binary);
  out << model.bytes();
  out.close();
  if (!out) {
    std::fprintf(stderr, "outpost-write-tiny-model: cannot write %s\n", argv[1]);
    return 1;
  }
}
