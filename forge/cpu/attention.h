// Causal attention with one KV head, on rotated queries and keys: forward in one piece of keys, backward in blocks of
// them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tiles.h"
#include "weights.h"

namespace outpost::forge {

class Attention {
 public:
  explicit Attention(const Sizes& sizes);

  std::size_t qkv_stride() const { return n_embd_ + 2 * head_dim_ + kPad; }
  std::size_t mixed_stride() const { return n_embd_ + kPad; }

  /// Queries and the key of all tokens, in place; pairs are neighbours. @param qkv [n_tokens, n_qkv + kPad]
  void rotate(Element* qkv) const;

  /// @param qkv [n_tokens, n_qkv + kPad], rotated
  /// @param mixed [n_tokens, n_embd + kPad] gets the sums of values
  /// @param log_sums [n_head, n_tokens] get the logarithms of the softmax's sums
  void forward(const Element* qkv, Element* mixed, float* log_sums) const;

  /// @param d_mixed [n_tokens, n_embd + kPad]
  /// @param d_qkv [n_tokens, n_qkv + kPad] gets the gradient before rotation
  void backward(const Element* qkv, const Element* mixed, const float* log_sums, const Element* d_mixed,
                Element* d_qkv);

 private:
  /// Keys at a time in the backward pass
  static constexpr int kKeys = 128;

  void prepare_queries(int first, const Element* qkv, const Element* mixed, const float* log_sums,
                       const Element* d_mixed);
  void add_keys(int first, int key, const Element* keys, const Element* values);
  void turn_back(int token, const float* from, std::size_t stride, Element* to) const;

  int n_tokens_, n_head_, head_dim_, n_embd_;
  float scale_;
  Buffer<float> cos_, sin_;  ///< [n_tokens, head_dim / 2]

  Buffer<float> scores_;           ///< [32, n_tokens]
  Buffer<Element> weights_;        ///< [32, n_tokens + kPad], in the backward pass [kKeys, n_pairs + kPad]
  Buffer<Element> keys_, values_;  ///< packed
  // Of the backward pass. Its 32 queries of all heads are n_pairs columns, and scores are transposed: [keys, n_pairs].
  int n_pairs_;
  Buffer<Element> queries_t_, d_mixed_t_, queries_, d_mixed_;  ///< packed, head by head
  Buffer<Element> d_scores_, d_scores_packed_;                 ///< [kKeys, n_pairs + kPad]
  Buffer<float> pair_log_sums_, dots_;                         ///< [n_pairs]
  Buffer<float> d_queries_;                                    ///< [head_dim, n_pairs]
  Buffer<float> d_keys_, d_values_;                            ///< [n_tokens, head_dim]
};

inline Attention::Attention(const Sizes& sizes)
    : n_tokens_(sizes.n_ctx),
      n_head_(sizes.n_head),
      head_dim_(sizes.head_dim()),
      n_embd_(sizes.n_embd),
      scale_(1.0f / std::sqrt(static_cast<float>(head_dim_))),
      n_pairs_(n_head_ * kBlock) {
  const std::size_t n = n_tokens_, head = n * head_dim_, tiles = std::size_t(n_pairs_) * head_dim_;
  const std::size_t pair_stride = n_pairs_ + kPad;
  cos_ = Buffer<float>(head / 2);
  sin_ = Buffer<float>(head / 2);
  for (int t = 0; t < n_tokens_; ++t)
    for (int j = 0; j < head_dim_ / 2; ++j) {
      const float angle = t * std::pow(sizes.rope_freq_base, -2.0f * j / head_dim_);
      cos_[t * head_dim_ / 2 + j] = std::cos(angle);
      sin_[t * head_dim_ / 2 + j] = std::sin(angle);
    }
  scores_ = Buffer<float>(kBlock * n);
  weights_ = Buffer<Element>(std::max(kBlock * (n + kPad), kKeys * pair_stride));
  keys_ = Buffer<Element>(head);
  values_ = Buffer<Element>(head);
  for (Buffer<Element>* packed : {&queries_t_, &d_mixed_t_, &queries_, &d_mixed_}) *packed = Buffer<Element>(tiles);
  d_scores_ = Buffer<Element>(kKeys * pair_stride);
  d_scores_packed_ = Buffer<Element>(std::size_t(kKeys) * n_pairs_);
  pair_log_sums_ = Buffer<float>(n_pairs_);
  dots_ = Buffer<float>(n_pairs_);
  d_queries_ = Buffer<float>(tiles);
  d_keys_ = Buffer<float>(head);
  d_values_ = Buffer<float>(head);
}

inline void Attention::rotate(Element* qkv) const {
  const int half = head_dim_ / 2;
  for (int t = 0; t < n_tokens_; ++t, qkv += qkv_stride())
    for (int head = 0; head <= n_head_; ++head)
      for (int j = 0; j < half; ++j) {
        Element* pair = qkv + head * head_dim_ + 2 * j;
        const float a = widened(pair[0]), b = widened(pair[1]), c = cos_[t * half + j], s = sin_[t * half + j];
        pair[0] = rounded(a * c - b * s);
        pair[1] = rounded(a * s + b * c);
      }
}

/// 32 queries of a head at a time: all of their scores, the softmax, and the sum of values
inline void Attention::forward(const Element* qkv, Element* mixed, float* log_sums) const {
  const std::size_t score_stride = n_tokens_, weight_stride = n_tokens_ + kPad;
  const Element *keys = qkv + n_embd_, *values = keys + head_dim_;
  pack_transposed(keys, qkv_stride(), n_tokens_, head_dim_, keys_.get());
  pack(values, qkv_stride(), head_dim_, n_tokens_, values_.get());
  for (int first = 0; first < n_tokens_; first += kBlock)
    for (int head = 0; head < n_head_; ++head) {
      const int n_keys = first + kBlock;
      const Element* queries = qkv + first * qkv_stride() + head * head_dim_;
      multiply(kBlock, n_keys, head_dim_, in_rows(queries, qkv_stride()), packed(keys_.get(), head_dim_),
               Store{scores_.get(), score_stride});
      float inverse[kBlock];
      for (int i = 0; i < kBlock; ++i) {
        const float* score = &scores_[i * score_stride];
        Element* weight = &weights_[i * weight_stride];
        const int n_seen = first + i + 1;
        const float most = largest(score, n_seen);
        float sum = 0;
        for (int k = 0; k < n_seen; ++k) {
          const float e = exponential((score[k] - most) * scale_);
          sum += e;
          weight[k] = rounded(e);
        }
        std::fill_n(weight + n_seen, n_keys - n_seen, Element{0});
        inverse[i] = 1.0f / sum;
        log_sums[std::size_t(head) * n_tokens_ + first + i] = most * scale_ + std::log(sum);
      }
      Element* to = mixed + first * mixed_stride() + head * head_dim_;
      multiply(kBlock, head_dim_, n_keys, in_rows(weights_.get(), weight_stride), packed(values_.get(), n_tokens_),
               [&](int, int column, const float* block) {
                 for (int i = 0; i < kBlock; ++i)
                   for (int j = 0; j < kBlock; ++j)
                     to[i * mixed_stride() + column + j] = rounded(block[i * kBlock + j] * inverse[i]);
               });
    }
}

/// As arXiv:2205.14135 has it: weights again from the scores and their sums, kKeys keys at a time
inline void Attention::backward(const Element* qkv, const Element* mixed, const float* log_sums, const Element* d_mixed,
                                Element* d_qkv) {
  const Element *keys = qkv + n_embd_, *values = keys + head_dim_;
  const std::size_t width = head_dim_;
  std::fill_n(d_keys_.get(), n_tokens_ * width, 0.0f);
  std::fill_n(d_values_.get(), n_tokens_ * width, 0.0f);
  pack_left_transposed(keys, qkv_stride(), head_dim_, n_tokens_, keys_.get());
  for (int first = 0; first < n_tokens_; first += kBlock) {
    prepare_queries(first, qkv, mixed, log_sums, d_mixed);
    std::fill_n(d_queries_.get(), width * n_pairs_, 0.0f);
    for (int key = 0; key < first + kBlock; key += kKeys) add_keys(first, key, keys, values);
    for (int i = 0; i < kBlock; ++i)
      for (int head = 0; head < n_head_; ++head)
        turn_back(first + i, &d_queries_[head * kBlock + i], n_pairs_,
                  d_qkv + (first + i) * qkv_stride() + head * head_dim_);
  }
  for (int t = 0; t < n_tokens_; ++t) {
    Element* to = d_qkv + t * qkv_stride() + n_embd_;
    turn_back(t, &d_keys_[t * width], 1, to);
    for (int j = 0; j < head_dim_; ++j) to[head_dim_ + j] = rounded(d_values_[t * width + j]);
  }
}

/// Packs 32 queries of all heads, and what reaches their sums, for the products with keys.
inline void Attention::prepare_queries(int first, const Element* qkv, const Element* mixed, const float* log_sums,
                                       const Element* d_mixed) {
  const std::size_t head_tiles = std::size_t(kBlock) * head_dim_;
  for (int head = 0; head < n_head_; ++head) {
    const Element* queries = qkv + first * qkv_stride() + head * head_dim_;
    const std::size_t at = first * mixed_stride() + head * head_dim_;
    pack_transposed(queries, qkv_stride(), kBlock, head_dim_, queries_t_.get() + head * head_tiles);
    pack_transposed(d_mixed + at, mixed_stride(), kBlock, head_dim_, d_mixed_t_.get() + head * head_tiles);
    pack(queries, qkv_stride(), head_dim_, kBlock, queries_.get() + head * head_tiles);
    pack(d_mixed + at, mixed_stride(), head_dim_, kBlock, d_mixed_.get() + head * head_tiles);
    for (int i = 0; i < kBlock; ++i) {
      float dot = 0;
      for (int j = 0; j < head_dim_; ++j)
        dot += widened(d_mixed[at + i * mixed_stride() + j]) * widened(mixed[at + i * mixed_stride() + j]);
      dots_[head * kBlock + i] = dot;
      pair_log_sums_[head * kBlock + i] = log_sums[std::size_t(head) * n_tokens_ + first + i];
    }
  }
}

/// What the queries from `first` on and the keys from `key` on are to each other
inline void Attention::add_keys(int first, int key, const Element* keys, const Element* values) {
  const int n_keys = std::min(kKeys, first + kBlock - key);
  const std::size_t pair_stride = n_pairs_ + kPad, width = head_dim_;
  multiply(n_keys, n_pairs_, head_dim_, in_rows(keys + key * qkv_stride(), qkv_stride()),
           packed(queries_t_.get(), head_dim_), [&](int row, int column, const float* block) {
             const bool is_diagonal = key + row == first;
             for (int i = 0; i < kBlock; ++i) {
               Element* to = &weights_[(row + i) * pair_stride + column];
               for (int j = 0; j < kBlock; ++j)
                 to[j] = rounded(exponential(block[i * kBlock + j] * scale_ - pair_log_sums_[column + j]));
               if (is_diagonal) std::fill_n(to, i, Element{0});  // earlier queries do not see this key
             }
           });
  multiply(n_keys, n_pairs_, head_dim_, in_rows(values + key * qkv_stride(), qkv_stride()),
           packed(d_mixed_t_.get(), head_dim_), [&](int row, int column, const float* block) {
             for (int i = 0; i < kBlock; ++i) {
               const std::size_t at = (row + i) * pair_stride + column;
               for (int j = 0; j < kBlock; ++j)
                 d_scores_[at + j] =
                     rounded(widened(weights_[at + j]) * (block[i * kBlock + j] - dots_[column + j]) * scale_);
             }
           });
  // Tiles beside each other follow each other, then those of the next head.
  const std::size_t n_tiles = head_dim_ / 16;
  const auto by_heads = [&](const Buffer<Element>& data) {
    return Operand{data.get(), kTileDepth, kTile, n_tiles * kTile};
  };
  multiply(n_keys, head_dim_, n_pairs_, in_rows(weights_.get(), pair_stride), by_heads(d_mixed_),
           Add{d_values_.get() + key * width, width});
  multiply(n_keys, head_dim_, n_pairs_, in_rows(d_scores_.get(), pair_stride), by_heads(queries_),
           Add{d_keys_.get() + key * width, width});
  pack(d_scores_.get(), pair_stride, n_pairs_, n_keys, d_scores_packed_.get());
  Operand keys_t = packed(keys_.get(), n_tokens_);
  keys_t.data += key / kTileDepth * kTile;
  multiply(head_dim_, n_pairs_, n_keys, keys_t, packed(d_scores_packed_.get(), n_keys),
           Add{d_queries_.get(), std::size_t(n_pairs_)});
}

/// One head's gradient, its elements `stride` apart, to that before rotation
inline void Attention::turn_back(int token, const float* from, std::size_t stride, Element* to) const {
  const int half = head_dim_ / 2;
  for (int j = 0; j < half; ++j) {
    const float a = from[2 * j * stride], b = from[(2 * j + 1) * stride];
    const float c = cos_[token * half + j], s = sin_[token * half + j];
    to[2 * j] = rounded(a * c + b * s);
    to[2 * j + 1] = rounded(b * c - a * s);
  }
}

}  // namespace outpost::forge
