// What a reply's drafts do when a source cannot compute.
#include <doctest/doctest.h>

#include "runtime/drafter.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws_error.h"
#include "tests/support/tiny_model.h"

using namespace outpost;
using namespace outpost::test;

namespace {

struct FailingSource : ComputedSource {
  FailingSource(ErrorCode error, int& n) : code(error), n_asked(n) {}
  DraftSource source() const override { return DraftSource::kModel; }
  std::vector<int32_t> draft(const Reply&, int32_t) override {
    ++n_asked;
    throw EngineError(code, "The device has no room.");
  }
  ErrorCode code;
  int& n_asked;
};

}  // namespace

TEST_CASE("a draft model without room is not asked again; other errors are the request's") {
  const TempDir dir;
  const auto model = std::dynamic_pointer_cast<const LoadedModel>(
      Model::load(dir.write("tiny.gguf", tiniest_llama().bytes()), LoadOptions{}));
  GenerateRequest request;
  request.tokens = {1, 5, 6};
  const Reply reply(*model, request, 64, nullptr);
  for (const ErrorCode code : {ErrorCode::kOutOfMemory, ErrorCode::kDeviceLost}) {
    SharedDrafts shared;
    shared.cost.observe(1, 10);
    int n_asked = 0;
    std::vector<std::unique_ptr<ComputedSource>> computed;
    computed.push_back(std::make_unique<FailingSource>(code, n_asked));
    Drafter drafter(shared, {}, {}, request.tokens, std::move(computed));
    if (code == ErrorCode::kDeviceLost) {
      CHECK(error_of([&] { drafter.draft(reply, 1, 8); }) == code);
      continue;
    }
    for (int pass = 0; pass < 200; ++pass) {
      CHECK(drafter.draft(reply, 1, 8).empty());
      drafter.learn(reply, 0);
    }
    CHECK(n_asked == 1);
  }
}
