// The draft sources by themselves: what they propose, and how the length is chosen. None of them can change a reply, so
// what is tested here is that they are worth their time.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "draft/draft_policy.h"
#include "draft/edit_cursor.h"
#include "draft/suffix_index.h"

using namespace outpost;

namespace {

std::vector<int32_t> letters(const std::string& text) { return {text.begin(), text.end()}; }

std::string as_text(const std::vector<int32_t>& tokens) { return {tokens.begin(), tokens.end()}; }

std::string proposed_by(const SuffixIndex& index, const std::string& tail, int32_t n_most = 8) {
  Proposal proposal;
  index.propose(letters(tail), n_most, proposal);
  CHECK(proposal.tokens.size() == proposal.shares.size());
  return as_text(proposal.tokens);
}

void append(SuffixIndex& index, const std::string& text) {
  for (const int32_t token : letters(text)) index.append(token);
}

/// How many tokens of `after` a cursor in `before` proposes right, one pass after the other with drafts of n_most.
struct Replay {
  int n_passes = 0, n_drafted = 0, n_accepted = 0;
};
Replay replay(const std::vector<int32_t>& before, const std::vector<int32_t>& after, int32_t n_most) {
  EditCursor cursor(before);
  Replay counts;
  for (size_t at = 0; at < after.size();) {
    Proposal proposal;
    cursor.propose(n_most, proposal);
    size_t n = 0;
    while (n < proposal.tokens.size() && at + n < after.size() && proposal.tokens[n] == after[at + n]) ++n;
    counts.n_drafted += static_cast<int>(proposal.tokens.size());
    counts.n_accepted += static_cast<int>(n);
    const size_t end = std::min(after.size(), at + n + 1);
    for (; at < end; ++at) cursor.advance(after[at]);
    ++counts.n_passes;
  }
  return counts;
}

}  // namespace

TEST_CASE("the suffix index says what followed the same tokens before") {
  SuffixIndex index(1024);
  append(index, "the cat sat on the mat. the c");
  CHECK(proposed_by(index, "the cat sat on the mat. the c") == "at sat o");
  CHECK(proposed_by(index, "sat on th", 3) == "e m");
  CHECK(proposed_by(index, "xyz").empty());
  CHECK(proposed_by(index, "").empty());
  CHECK(proposed_by(index, "t").empty());
  CHECK(SuffixIndex(16).capacity() == 16);
}

TEST_CASE("the suffix index prefers the longest match, and of equal ones what most of them say") {
  SuffixIndex index(1024);
  append(index, "a==1;b==2;b==2;c==3;");
  CHECK(proposed_by(index, "....;b==", 1) == "2");
  append(index, "foo(x);foo(y);foo(y);foo(z);");
  CHECK(proposed_by(index, "?foo(", 1) == "y");
}

TEST_CASE("the suffix index neither matches nor drafts across the end of a text") {
  SuffixIndex index(1024);
  append(index, "abcd");
  index.end_text();
  index.end_text();  // nothing new: no second end
  append(index, "efgh");
  CHECK(index.n_appended() == 9);
  CHECK(proposed_by(index, "abcd").empty());
  CHECK(proposed_by(index, "zabc") == "d");
  CHECK(proposed_by(index, "cdef") == "gh");
}

TEST_CASE("the suffix index forgets what its ring has lost, whatever is asked of it") {
  // Against a search through the tokens that are still there: an index with random texts of few tokens, many times
  // longer than its ring.
  std::mt19937 random(7);
  SuffixIndex index(64);
  std::vector<int32_t> all;
  int n_proposals = 0;
  for (int i = 0; i < 5000; ++i) {
    const auto token = static_cast<int32_t>(random() % 4);
    index.append(token);
    all.push_back(token);
    Proposal proposal;
    index.propose(all, 4, proposal);
    if (proposal.tokens.empty()) continue;
    ++n_proposals;
    const auto kept = std::span<const int32_t>(all).last(std::min<size_t>(all.size(), index.capacity()));
    // What it says stood somewhere in the ring, behind as many of the last tokens as it claims.
    std::vector<int32_t> wanted(all.end() - proposal.n_matched, all.end());
    wanted.insert(wanted.end(), proposal.tokens.begin(), proposal.tokens.end());
    const bool is_longest_there =
        std::search(kept.begin(), kept.end(), wanted.begin(), wanted.begin() + proposal.n_matched) != kept.end();
    const std::span<const int32_t> last_two = std::span(wanted).subspan(static_cast<size_t>(proposal.n_matched) - 2);
    CHECK(is_longest_there);
    CHECK(std::search(kept.begin(), kept.end(), last_two.begin(), last_two.end()) != kept.end());
  }
  CHECK(n_proposals > 3000);
}

TEST_CASE("the edit cursor copies, and finds its place again after each kind of change") {
  const std::string before =
      "def area(width, height):\n    return width * height\n\ndef main():\n    print(area(3, 4))\n    print('done')\n";
  const auto check = [&](const std::string& after, int n_most_passes) {
    CAPTURE(after);
    const Replay counts = replay(letters(before), letters(after), 32);
    CAPTURE(counts.n_passes);
    CHECK(counts.n_passes <= n_most_passes);
    CHECK(counts.n_passes + counts.n_accepted >= static_cast<int>(after.size()));
  };
  check(before, 5);  // 107 characters in drafts of 32
  std::string after = before;
  check(after.replace(before.find("width * height"), 5, "widtH"), 9);  // replaced
  after = before;
  check(after.insert(before.find("    return"), "    # the area\n"), 25);  // inserted
  after = before;
  check(after.erase(before.find("    print(area"), 22), 12);  // deleted
  check("```python\n" + before, 18);                          // something before it
  CHECK(replay({}, letters("abc"), 8).n_drafted == 0);
}

TEST_CASE("the edit cursor proposes the original and nothing else") {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<int32_t> original(random() % 40), said(random() % 60);
    for (int32_t& token : original) token = static_cast<int32_t>(random() % 5);
    for (int32_t& token : said) token = static_cast<int32_t>(random() % 5);
    EditCursor cursor(original);
    for (const int32_t token : said) {
      cursor.advance(token);
      Proposal proposal;
      cursor.propose(10, proposal);
      CHECK(proposal.tokens.size() <= 10);
      CHECK((proposal.tokens.empty() || std::search(original.begin(), original.end(), proposal.tokens.begin(),
                                                    proposal.tokens.end()) != original.end()));
    }
  }
}

TEST_CASE("the cost of a pass is what was observed, and a straight line between") {
  PassCost cost;
  CHECK(cost.ms(1) == 0);
  cost.observe(1, 10);
  CHECK(cost.ms(1) == doctest::Approx(10));
  CHECK(cost.ms(11) == doctest::Approx(25));  // a guess
  cost.observe(9, 50);
  CHECK(cost.ms(5) == doctest::Approx(30));
  CHECK(cost.ms(9) == doctest::Approx(50));
  CHECK(cost.ms(64) > 50);
  cost.observe(9, 1e6);  // another program ran
  CHECK(cost.ms(9) < 70);
  PassCost disturbed;
  disturbed.observe(1, 10);
  disturbed.observe(5, 1000);
  CHECK(disturbed.ms(5) == doctest::Approx(1000));
  for (int i = 0; i < 3000; ++i) disturbed.observe(1, 10);
  CHECK(disturbed.ms(5) == doctest::Approx(16));  // tried again at last
  cost.observe(0, 1);
  cost.observe(1000, 1);
  CHECK(cost.ms(1) == doctest::Approx(10));
}

TEST_CASE("what passes cost is kept from one run to the next, and what is no time is not taken") {
  PassCost cost;
  cost.observe(1, 10);
  cost.observe(4, 16);
  std::vector<double> kept;
  cost.copy_to(kept);
  CHECK(kept.size() == kMaxDraft + 1);
  PassCost next;
  next.start_from(kept);
  for (const int32_t n : {1, 2, 4, 9}) CHECK(next.ms(n) == cost.ms(n));
  next.start_from({});
  next.start_from(std::vector<double>{std::nan(""), -1, 0, std::numeric_limits<double>::infinity()});
  CHECK(next.ms(4) == doctest::Approx(16));
  std::vector<double> too_many(500, 7);
  next.start_from(too_many);
  CHECK(next.ms(64) == doctest::Approx(7));
}

TEST_CASE("a draft is as long as it pays, by cost and acceptance") {
  Proposal proposal{DraftSource::kEdit, 20, std::vector<int32_t>(32, 1), std::vector<float>(32, 1.0f)};
  PassCost free, dear;
  for (int n = 1; n <= 64; ++n) {
    free.observe(n, 10 + 0.01 * n);
    dear.observe(n, 10.0 * n);
  }
  CHECK(choose_length(proposal, 0.99, free, 1, 32).n == 32);
  CHECK(choose_length(proposal, 0.99, free, 1, 7).n == 7);
  CHECK(choose_length(proposal, 0.99, dear, 1, 32).n == 0);  // each row costs what a token costs
  CHECK(choose_length(proposal, 0.02, free, 1, 32).n == 0);
  CHECK(choose_length(proposal, 0.99, PassCost(), 1, 32).n == 0);  // nothing is known yet
  CHECK(choose_length(proposal, 0.6, free, 1, 32).n < 32);
  CHECK(choose_length(proposal, 0.99, free, 1, 32, 20).n == 0);  // making the draft costs more than it saves
  proposal.shares.assign(32, 0.1f);
  CHECK(choose_length(proposal, 0.99, free, 1, 32).n < 3);
  CHECK(choose_length({}, 0.99, free, 1, 32).n == 0);
}

TEST_CASE("acceptance is learned for each source and certainty by itself, and forgets") {
  Acceptance acceptance;
  const double first = acceptance.probability(DraftSource::kSuffix, 1);
  CHECK(acceptance.probability(DraftSource::kSuffix, 30) > first);
  for (int i = 0; i < 100; ++i) acceptance.observe(DraftSource::kSuffix, 1, 4, false);
  CHECK(acceptance.probability(DraftSource::kSuffix, 2) > 0.95);
  CHECK(acceptance.probability(DraftSource::kSuffix, 3) < 0.6);
  for (int i = 0; i < 300; ++i) acceptance.observe(DraftSource::kSuffix, 1, 0, true);
  CHECK(acceptance.probability(DraftSource::kSuffix, 1) < 0.1);
  acceptance.observe(DraftSource::kSuffix, 1, 0, false);  // says nothing
  CHECK(acceptance.probability(DraftSource::kEdit, 1) ==
        doctest::Approx(Acceptance().probability(DraftSource::kEdit, 1)));
}
