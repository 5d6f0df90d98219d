#include "runtime/mtp_draft.h"

#include <algorithm>
#include <mutex>

#include "core/urgent_work.h"

namespace outpost {
namespace {

/// Positions of a window, and windows that there is memory for at a time: of one layer, beside all of the model's.
constexpr int32_t kMostPositions = 4096, kWindows = 4;
/// Positions that wait to be read, at most: 4 MiB of a model whose hidden states have 4096 elements.
constexpr int32_t kMostUnread = 256;
/// What it has to read between two drafts of a reply that it drafts all the time, at most: more is no part of a price.
constexpr int32_t kUsualUnread = 16;

}  // namespace

MtpDrafts::MtpDrafts(std::shared_ptr<const LoadedModel> model, int32_t n_ctx)
    : model_(std::move(model)), n_ctx_(n_ctx), logits_(*model_) {
  const int32_t n_each = (std::min(n_ctx, kMostPositions) + kKvPageSize - 1) / kKvPageSize;
  kv_ = model_->stages().last().alloc_kv(head().kv_shape(), kWindows * n_each);
  for (int32_t page = 0; page < kWindows * n_each; ++page) free_.push_back(page);
}

bool MtpDrafts::extend(std::vector<int32_t>& pages, int32_t n_positions) {
  while (static_cast<int32_t>(pages.size()) * kKvPageSize < n_positions) {
    if (free_.empty()) return false;
    pages.push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

void MtpDrafts::give_back(std::vector<int32_t>& pages) {
  free_.insert(free_.end(), pages.begin(), pages.end());
  pages.clear();
}

void MtpSequence::begin_window(int32_t position) {
  begin_ = position;
  n_read_ = 0;
  drafts_.give_back(pages_);
}

void MtpSequence::follow(int32_t first, std::span<const float> hidden) {
  const int32_t unread_begin = begin_ + n_read_;
  if (first > unread_begin + n_unread()) {  // positions are missing
    unread_.clear();
    begin_window(first);
  } else if (first >= unread_begin) {  // what was refused is computed again
    unread_.resize(static_cast<size_t>(first - unread_begin) * n_embd());
  } else {  // what was read is computed again, to the same bits
    unread_.clear();
    const size_t n_known = static_cast<size_t>(unread_begin - first) * n_embd();
    hidden = hidden.subspan(std::min(n_known, hidden.size()));
  }
  unread_.insert(unread_.end(), hidden.begin(), hidden.end());
  if (const int32_t n_old = n_unread() - kMostUnread; n_old > 0) {
    unread_.erase(unread_.begin(),
                  unread_.begin() + static_cast<std::ptrdiff_t>(n_old) * static_cast<std::ptrdiff_t>(n_embd()));
    begin_window(begin_ + n_read_ + n_old);
  }
}

void MtpSequence::compute(std::span<const int32_t> tokens, std::span<const float> hidden, int32_t n_best) {
  const SequenceRun run{pages_, n_computed_, static_cast<int32_t>(tokens.size())};
  const int32_t last_row = run.n_tokens - 1;
  std::vector<float> own(hidden.size());
  Batch batch{tokens, {&run, 1}, {&last_row, 1}, drafts_.n_ctx()};
  batch.hidden = own;
  {
    const std::lock_guard lock(drafts_.model().device_mutex());
    const UrgentTurn turn;
    drafts_.logits().compute(drafts_.head(), batch, {&n_best, 1}, [&](const Batch& own_batch, std::span<float> logits) {
      drafts_.head().forward(own_batch, hidden, drafts_.kv(), logits);
    });
  }
  hidden_.assign(own.end() - static_cast<std::ptrdiff_t>(n_embd()), own.end());
  n_computed_ += run.n_tokens;
}

std::vector<int32_t> MtpSequence::draft(const Reply& reply, int32_t n) {
  const auto history = reply.history();
  // The last token was said and not computed. Of those before it every hidden state has a token that follows.
  const int32_t n_final = static_cast<int32_t>(history.size()) - 1 - begin_ - n_read_;
  if (n_final < 1 || n_unread() < n_final) return {};
  unread_.resize(static_cast<size_t>(n_final) * n_embd());
  if (n_read_ + n_final + n > std::min(kMostPositions, drafts_.n_ctx())) begin_window(begin_ + n_read_);
  if (!drafts_.extend(pages_, n_read_ + n_final + n)) return {};

  const int32_t n_best = reply.n_best();
  auto tokens = history.last(static_cast<size_t>(n_final));
  std::span<const float> hidden = unread_;
  n_computed_ = n_read_;
  auto started = Clock::now();
  if (n_final > kUsualUnread) {
    const size_t n_old = static_cast<size_t>(n_final - kUsualUnread);
    compute(tokens.first(n_old), hidden.first(n_old * n_embd()), n_best);
    tokens = tokens.subspan(n_old);
    hidden = hidden.subspan(n_old * n_embd());
    started = Clock::now();
  }
  compute(tokens, hidden, n_best);
  n_read_ += n_final;
  unread_.clear();
  auto drafted = draw_ahead(reply, sampler_, drafts_.model().tokenizer(), drafts_.logits(), n, [&](int32_t id) {
    const std::vector<float> last = hidden_;
    compute({&id, 1}, last, n_best);
    return true;
  });
  observe_price(std::chrono::duration<double, std::milli>(Clock::now() - started).count(), drafted.size());
  return drafted;
}

}  // namespace outpost
