// Experts that are not all on the device: who gets which slot against a plain reference, the copies, and a whole layer
// against one with all experts there.
#include "kernels/portable/expert_slots.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>

#include "kernels/tests/expert_slots_operations.h"

using namespace outpost;
using namespace outpost::gpu;
using namespace outpost::test;

namespace {

/// Slots by definition: one copy after the other.
struct ReferenceSlots {
  std::vector<int32_t> expert_of;
  std::vector<int64_t> used_at, counters = std::vector<int64_t>(kSlotCounters, 0);
  std::vector<int32_t> copies;
  int32_t n_first = 0;  ///< copies of round 0
  struct Place {
    int32_t slot, round;
  };
  std::vector<Place> places;

  ReferenceSlots(int32_t n_expert, int32_t n_slots)
      : expert_of(static_cast<size_t>(n_slots), -1),
        used_at(expert_of.size(), 0),
        places(static_cast<size_t>(n_expert)) {}

  int32_t slot_of(int32_t expert) const {
    const auto at = std::find(expert_of.begin(), expert_of.end(), expert);
    return at == expert_of.end() ? -1 : static_cast<int32_t>(at - expert_of.begin());
  }

  void copy(int32_t expert, int32_t slot, int32_t round) {
    int32_t& occupant = expert_of[static_cast<size_t>(slot)];
    counters[kSlotEvictions] += occupant >= 0 ? 1 : 0;
    counters[kSlotMisses] += 1;
    occupant = expert;
    used_at[static_cast<size_t>(slot)] = counters[kSlotClock];
    copies.insert(copies.end(), {expert, slot});
    places[static_cast<size_t>(expert)] = {slot, round};
  }

  /// @param chosen in order, each once
  void pass(const std::vector<int32_t>& chosen) {
    ++counters[kSlotClock];
    copies.clear();
    std::vector<int32_t> missing, open(expert_of.size());
    std::iota(open.begin(), open.end(), 0);
    for (const int32_t expert : chosen) {
      const int32_t slot = slot_of(expert);
      if (slot < 0) {
        missing.push_back(expert);
        continue;
      }
      counters[kSlotHits] += 1;
      used_at[static_cast<size_t>(slot)] = counters[kSlotClock];
      places[static_cast<size_t>(expert)] = {slot, 0};
      open.erase(std::find(open.begin(), open.end(), slot));
    }
    std::stable_sort(open.begin(), open.end(), [&](int32_t a, int32_t b) {
      return used_at[static_cast<size_t>(a)] < used_at[static_cast<size_t>(b)];
    });
    n_first = static_cast<int32_t>(std::min(missing.size(), open.size()));
    const auto n_slots = static_cast<int32_t>(expert_of.size());
    for (int32_t i = 0; i < static_cast<int32_t>(missing.size()); ++i) {
      const int32_t expert = missing[static_cast<size_t>(i)], later = i - n_first;
      if (i < n_first)
        copy(expert, open[static_cast<size_t>(i)], 0);
      else
        copy(expert, later % n_slots, 1 + later / n_slots);
    }
  }
};

std::vector<int32_t> distinct(std::vector<int32_t> experts) {
  std::sort(experts.begin(), experts.end());
  experts.erase(std::unique(experts.begin(), experts.end()), experts.end());
  return experts;
}

/// Choices of a pass: n_tokens times n_used different experts, the first ones more often.
std::vector<int32_t> random_choices(std::mt19937& random, int32_t n_expert, int32_t n_used, int32_t n_tokens) {
  std::vector<int32_t> choices;
  for (int32_t t = 0; t < n_tokens; ++t) {
    std::vector<int32_t> of_token;
    while (static_cast<int32_t>(of_token.size()) < n_used) {
      const auto range = random() % 3 == 0 ? n_expert : std::min(n_expert, 2 * n_used);
      const auto expert = static_cast<int32_t>(random() % static_cast<uint32_t>(range));
      if (std::find(of_token.begin(), of_token.end(), expert) == of_token.end()) of_token.push_back(expert);
    }
    choices.insert(choices.end(), of_token.begin(), of_token.end());
  }
  return choices;
}

struct Shape {
  int32_t n_expert, n_slots, n_used, n_most_tokens;
};

void check_decisions(const Shape& shape, int32_t n_passes, uint32_t seed) {
  CAPTURE(shape.n_expert);
  CAPTURE(shape.n_slots);
  std::mt19937 random(seed);
  DeviceSlots slots(shape.n_expert, shape.n_slots);
  ReferenceSlots reference(shape.n_expert, shape.n_slots);
  for (int32_t pass = 0; pass < n_passes; ++pass) {
    CAPTURE(pass);
    const auto n_tokens = 1 + static_cast<int32_t>(random() % static_cast<uint32_t>(shape.n_most_tokens));
    const auto choices = random_choices(random, shape.n_expert, shape.n_used, n_tokens);
    DeviceArray<int32_t> experts("experts", choices);
    DeviceLists lists(static_cast<int32_t>(choices.size()));
    run_group_experts(experts, lists, shape.n_expert);
    run_resolve_experts(lists, slots, pass % 2 == 0 ? Schedule::kRandom : Schedule::kReverse);

    const auto chosen = distinct(choices);
    reference.pass(chosen);
    CHECK(slots.expert_of.values() == reference.expert_of);
    CHECK(slots.used_at.values() == reference.used_at);
    CHECK(slots.counters.values() == reference.counters);
    std::vector<int32_t> slot_of;
    for (int32_t e = 0; e < shape.n_expert; ++e) slot_of.push_back(reference.slot_of(e));
    CHECK(slots.slot_of.values() == slot_of);
    const auto places = slots.places.values();
    for (const int32_t expert : chosen) {
      const auto e = static_cast<size_t>(expert);
      CHECK(places[2 * e] == reference.places[e].slot);
      CHECK(places[2 * e + 1] == reference.places[e].round);
    }
    const auto n_copies = slots.n_copies.values();
    REQUIRE(n_copies == std::vector<int32_t>{reference.n_first, static_cast<int32_t>(reference.copies.size() / 2)});
    auto copies = slots.copies.values();
    copies.resize(reference.copies.size());
    CHECK(copies == reference.copies);
  }
}

}  // namespace

TEST_CASE("gpu expert slots: go to what is missing by last use, as in a plain list") {
  uint32_t seed = 1;
  for (const Shape& shape : {Shape{1, 1, 1, 2},
                             {5, 1, 2, 3},
                             {5, 4, 2, 2},
                             {33, 32, 4, 5},
                             {60, 8, 4, 1},
                             {64, 16, 8, 12},
                             {130, 65, 6, 30},
                             {256, 256, 8, 9}}) {
    check_decisions(shape, 25, seed++);
  }
  check_decisions({1024, 700, 32, 40}, 3, seed);
}

TEST_CASE("gpu expert slots: hold the bytes of their experts in every round, and nothing else is touched") {
  const int32_t n_expert = 9, n_slots = 3;
  // Less than a block copies at once, and more than all of them.
  const std::vector<int64_t> n_bytes = {16, 16 * 300, 16 * (kCopyBlocks * kCopyThreads * kCopyAhead + 5)};
  const auto at = [&](size_t matrix, int32_t i) { return n_bytes[matrix] * i; };
  std::mt19937 random(7);
  std::vector<std::vector<std::byte>> all;
  std::vector<std::unique_ptr<DeviceArray<std::byte>>> from, to;
  std::vector<DeviceExpertCopy> matrices;
  std::vector<std::vector<std::byte>> held;
  for (size_t m = 0; m < n_bytes.size(); ++m) {
    auto& bytes = all.emplace_back(static_cast<size_t>(at(m, n_expert)));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    held.emplace_back(static_cast<size_t>(at(m, n_slots)), std::byte{0x55});
    from.push_back(std::make_unique<DeviceArray<std::byte>>("from", bytes));
    to.push_back(std::make_unique<DeviceArray<std::byte>>("to", held.back(), RegionKind::kValues));
    matrices.push_back({*from.back(), *to.back(), n_bytes[m]});
  }
  DeviceSlots slots(n_expert, n_slots);
  ReferenceSlots reference(n_expert, n_slots);
  for (const std::vector<int32_t>& choices : {std::vector<int32_t>{4, 2}, {8, 7, 6, 5, 4, 3, 2, 1}, {4, 0}, {3}}) {
    const auto n_choices = static_cast<int32_t>(choices.size());
    DeviceArray<int32_t> experts("experts", choices);
    DeviceLists lists(n_choices);
    run_group_experts(experts, lists, n_expert);
    run_resolve_experts(lists, slots);
    reference.pass(distinct(choices));
    for (int32_t round = 0; round < (n_choices + n_slots - 1) / n_slots; ++round) {
      CAPTURE(round);
      run_copy_experts(matrices, slots, n_choices, round);
      for (size_t m = 0; m < matrices.size(); ++m) {
        for (size_t i = 0; i < reference.copies.size(); i += 2) {
          const int32_t expert = reference.copies[i], slot = reference.copies[i + 1];
          if (reference.places[static_cast<size_t>(expert)].round != round) continue;
          std::copy_n(all[m].begin() + at(m, expert), n_bytes[m], held[m].begin() + at(m, slot));
        }
        CHECK(to[m]->values() == held[m]);
      }
    }
  }
}

namespace {

/// A layer of experts in the layouts that the device has, which computes a pass as the backend does.
class Layer {
 public:
  static constexpr int32_t kExperts = 6, kUsed = 2, kEmbd = 256, kFf = 256;
  static constexpr int32_t kOut = 32;  ///< rows of down: kEmbd in a model, which would take longer

  explicit Layer(TensorType type)
      : type_(type, can_widen(type, kEmbd)),
        gate_bias_("gate_bias", random_f32(kExperts * kFf, 21)),
        up_bias_("up_bias", random_f32(kExperts * kFf, 22)),
        down_bias_("down_bias", random_f32(kExperts * kOut, 23)) {
    for (uint32_t i = 0; i < 3; ++i)
      matrices_.push_back(matrix(random_matrix(type, kExperts * n_rows(i), i < 2 ? kEmbd : kFf, 24 + i)));
  }

  static int64_t n_rows(size_t matrix) { return matrix < 2 ? kFf : kOut; }
  int64_t expert_bytes(size_t matrix) const {
    return static_cast<int64_t>(device_bytes(type_, n_rows(matrix) * (matrix < 2 ? kEmbd : kFf)));
  }

  /// @param slots null: all experts are there; else to[i] are the slots of matrix i
  std::vector<float> run(const std::vector<int32_t>& choices, const std::vector<float>& x, DeviceSlots* slots,
                         std::vector<std::unique_ptr<DeviceArray<std::byte>>>& to) {
    const auto n_choices = static_cast<int32_t>(choices.size());
    const int32_t has_slots = slots != nullptr ? 1 : 0;
    const int32_t n_rounds = slots != nullptr ? (n_choices + slots->params.n_slots - 1) / slots->params.n_slots : 1;
    DeviceArray<int32_t> experts("experts", choices);
    DeviceLists lists(n_choices);
    run_group_experts(experts, lists, kExperts);
    if (slots != nullptr) {
      run_resolve_experts(lists, *slots);
      lists.places = &slots->places;
    }
    const auto weight = [&](size_t i) -> DeviceArray<std::byte>& { return slots != nullptr ? *to[i] : *matrices_[i]; };
    const auto copy = [&](std::vector<size_t> which, int32_t round) {
      if (slots == nullptr) return;
      std::vector<DeviceExpertCopy> copies;
      for (const size_t i : which) copies.push_back({*matrices_[i], *to[i], expert_bytes(i)});
      run_copy_experts(copies, *slots, n_choices, round);
    };
    const auto n_hidden = static_cast<size_t>(n_choices * kFf);
    DeviceArray<float> hidden("hidden", n_hidden), other("other", n_hidden), input("x", x);
    DeviceArray<float> y("y", static_cast<size_t>(n_choices * kOut));
    const bool is_float = tensor_type_traits(type_.type).block_elements == 1;
    if (is_float) {
      for (int32_t round = 0; round < n_rounds; ++round) {
        copy({0, 1}, round);
        const FloatExpertParams params{{kFf, kEmbd, n_choices, 1}, kUsed, has_slots, round};
        run_float_experts(type_.type, weight(0), input, gate_bias_, experts, hidden, params, lists.places);
        run_float_experts(type_.type, weight(1), input, up_bias_, experts, other, params, lists.places);
      }
      run_gate(hidden, other, {n_choices * kFf, 0, kGateSwiGlu});
      for (int32_t round = 0; round < n_rounds; ++round) {
        copy({2}, round);
        const FloatExpertParams params{{kOut, kFf, n_choices, 1}, 1, has_slots, round};
        run_float_experts(type_.type, weight(2), hidden, down_bias_, experts, y, params, lists.places);
      }
      return y.values();
    }
    DeviceActivations activations(x, type_);
    for (int32_t round = 0; round < n_rounds; ++round) {
      copy({0, 1}, round);
      const ExpertParams params{{kFf, kEmbd / 32, 0, 1, kGateSwiGlu}, kUsed, has_slots, round};
      run_experts_gated(type_, weight(0), weight(1), activations, gate_bias_, up_bias_, lists, hidden, params);
    }
    DeviceActivations hidden_activations(hidden.values(), type_);
    for (int32_t round = 0; round < n_rounds; ++round) {
      copy({2}, round);
      const ExpertParams params{{kOut, kFf / 32, 0, 1, 0}, 1, has_slots, round};
      run_experts_matvec(type_, weight(2), hidden_activations, down_bias_, lists, y, params);
    }
    return y.values();
  }

 private:
  std::unique_ptr<DeviceArray<std::byte>> matrix(const FileMatrix& file) {
    DeviceArray<std::byte> narrow = device_bytes_of(file);
    std::vector<std::byte> bytes = file.bytes;
    if (type_.is_wide) {
      DeviceArray<std::byte> wide("wide", device_bytes(type_, file.n_rows * file.n_cols));
      run_widen(type_.type, narrow, wide, file.n_rows * file.n_cols);
      bytes = wide.values();
    }
    return std::make_unique<DeviceArray<std::byte>>("experts of the host", bytes);
  }

  DeviceType type_;
  std::vector<std::unique_ptr<DeviceArray<std::byte>>> matrices_;  ///< gate, up, down of all experts
  DeviceArray<float> gate_bias_, up_bias_, down_bias_;
};

}  // namespace

TEST_CASE("gpu expert slots: a layer has the bits of one whose experts are all there, pass after pass") {
  for (const TensorType type : {TensorType::kQ4_K, TensorType::kQ8_0, TensorType::kF16}) {
    CAPTURE(std::string(tensor_type_traits(type).name));
    Layer layer(type);
    std::mt19937 random(30);
    std::vector<std::unique_ptr<DeviceArray<std::byte>>> to;
    struct Pass {
      std::vector<int32_t> choices;
      std::vector<float> x, expected;
    };
    std::vector<Pass> passes;
    for (const int32_t n_tokens : {1, 1, 3, 1}) {
      Pass& pass = passes.emplace_back();
      pass.choices = random_choices(random, Layer::kExperts, Layer::kUsed, n_tokens);
      pass.x = random_f32(static_cast<size_t>(n_tokens * Layer::kEmbd), random());
      pass.expected = layer.run(pass.choices, pass.x, nullptr, to);
    }
    for (const int32_t n_slots : {1, 2, 5}) {
      CAPTURE(n_slots);
      DeviceSlots slots(Layer::kExperts, n_slots);
      to.clear();
      for (size_t i = 0; i < 3; ++i) {
        REQUIRE(layer.expert_bytes(i) % 16 == 0);
        const auto n_bytes = static_cast<size_t>(n_slots * layer.expert_bytes(i));
        to.push_back(std::make_unique<DeviceArray<std::byte>>("slots", n_bytes));
      }
      for (const Pass& pass : passes) {
        const auto got = layer.run(pass.choices, pass.x, &slots, to);
        CHECK(std::memcmp(got.data(), pass.expected.data(), got.size() * sizeof(float)) == 0);
      }
      const auto counters = slots.counters.values();
      CHECK(counters[kSlotClock] == 4);
      if (n_slots == 5) CHECK(counters[kSlotHits] > 0);
      CHECK(counters[kSlotMisses] - counters[kSlotEvictions] == n_slots);  // none of them is empty
    }
  }
}
