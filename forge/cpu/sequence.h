// Loss and gradient of one sequence after the other: forward, the loss, and all the way back.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "attention.h"
#include "weights.h"

namespace outpost::forge {

/// Tokens whose logits are computed at a time
constexpr int kLogitRows = 256;

/// What the backward pass needs of a layer's forward pass
struct LayerState {
  Buffer<float> x, middle;      ///< [n_tokens, n_embd] the stream before attention, and before the feed-forward part
  Buffer<float> norm_scale[2];  ///< [n_tokens] 1 / rms
  Buffer<Element> normed[2];    ///< [n_tokens, n_embd + kPad]
  Buffer<Element> qkv, mixed;   ///< [n_tokens, n_qkv + kPad] rotated; [n_tokens, n_embd + kPad]
  Buffer<float> log_sum;        ///< [n_head, n_tokens] of the softmax
  Buffer<Element> gate_up, activated;  ///< [n_tokens, 2 n_ff + kPad], [n_tokens, n_ff + kPad]
  LayerState(const Sizes& s, std::size_t n)
      : x(n * s.n_embd),
        middle(n * s.n_embd),
        norm_scale{Buffer<float>(n), Buffer<float>(n)},
        normed{Buffer<Element>(n * (s.n_embd + kPad)), Buffer<Element>(n * (s.n_embd + kPad))},
        qkv(n * (s.n_qkv() + kPad)),
        mixed(n * (s.n_embd + kPad)),
        log_sum(n * s.n_head),
        gate_up(n * (2 * s.n_ff + kPad)),
        activated(n * (s.n_ff + kPad)) {}
};

/// Computes sequences one after the other and adds up their gradients: d_ is what the loss's gradient is of.
class SequenceLearner {
 public:
  SequenceLearner(const Sizes& sizes, const std::vector<LayerWeights>& layers, const Matrix& embedding,
                  const float* token_embd, const float* output_norm, std::vector<float*> gradients)
      : s_(sizes),
        n_(sizes.n_ctx),
        attention_(sizes),
        layers_(layers),
        embedding_(embedding),
        token_embd_(token_embd),
        output_norm_(output_norm),
        d_token_embd_(gradients[0]),
        d_output_norm_(gradients.back()) {
    for (int i = 0; i < s_.n_layer; ++i) {
      states_.emplace_back(s_, n_);
      LayerPointers<float> pointers;
      static_assert(sizeof pointers == 9 * sizeof(float*));
      std::memcpy(&pointers, &gradients[1 + 9 * i], sizeof pointers);
      d_layers_.push_back(pointers);
    }
    const int widest = std::max({s_.n_vocab, 2 * s_.n_ff, s_.n_qkv()});
    const std::size_t n = n_;
    last_ = Buffer<float>(n * s_.n_embd);
    d_x_ = Buffer<float>(n * s_.n_embd);
    d_normed_ = Buffer<float>(n * s_.n_embd);
    last_normed_ = Buffer<Element>(n * (s_.n_embd + kPad));
    last_scale_ = Buffer<float>(n);
    d_wide_ = Buffer<Element>(n * (widest + kPad));
    d_activated_ = Buffer<Element>(n * (std::max(s_.n_ff, s_.n_embd) + kPad));  // of attention's output, too
    d_rounded_ = Buffer<Element>(n * (s_.n_embd + kPad));
    left_ = Buffer<Element>(n * widest);
    right_ = Buffer<Element>(n * std::max(s_.n_ff, s_.n_embd));
    logits_ = Buffer<float>(static_cast<std::size_t>(kLogitRows) * s_.n_vocab);
  }

  /// @param ids [n_ctx + 1]
  /// @param weights [n_ctx] of the losses of ids 1 to n_ctx
  /// @return the weighted sum of the losses, in nats
  double learn(const std::int64_t* ids, const float* weights) {
    for (int t = 0; t < n_; ++t)
      std::memcpy(&states_[0].x[static_cast<std::size_t>(t) * s_.n_embd], token_embd_ + ids[t] * s_.n_embd,
                  4 * s_.n_embd);
    for (int i = 0; i < s_.n_layer; ++i) forward(i, i + 1 < s_.n_layer ? states_[i + 1].x.get() : last_.get());
    const double loss = output(ids + 1, weights);
    for (int i = s_.n_layer - 1; i >= 0; --i) backward(i);
    for (int t = 0; t < n_; ++t)
      for (int j = 0; j < s_.n_embd; ++j)
        d_token_embd_[ids[t] * s_.n_embd + j] += d_x_[static_cast<std::size_t>(t) * s_.n_embd + j];
    return loss;
  }

 private:
  int embd_stride() const { return s_.n_embd + kPad; }
  int qkv_stride() const { return s_.n_qkv() + kPad; }
  int ff_stride() const { return s_.n_ff + kPad; }
  int gate_stride() const { return 2 * s_.n_ff + kPad; }

  void forward(int i, float* out) {
    const LayerWeights& w = layers_[i];
    LayerState& state = states_[i];
    normalize(state.x.get(), w.attn_norm, state.norm_scale[0].get(), state.normed[0].get());
    multiply(n_, s_.n_qkv(), s_.n_embd, in_rows(state.normed[0].get(), embd_stride()), w.qkv.transposed(),
             StoreRounded{state.qkv.get(), std::size_t(qkv_stride())});
    attention_.rotate(state.qkv.get());
    attention_.forward(state.qkv.get(), state.mixed.get(), state.log_sum.get());
    add_product(s_.n_embd, in_rows(state.mixed.get(), embd_stride()), w.output, state.x.get(), state.middle.get());
    normalize(state.middle.get(), w.ffn_norm, state.norm_scale[1].get(), state.normed[1].get());
    multiply(n_, 2 * s_.n_ff, s_.n_embd, in_rows(state.normed[1].get(), embd_stride()), w.gate_up.transposed(),
             StoreRounded{state.gate_up.get(), std::size_t(gate_stride())});
    for (int t = 0; t < n_; ++t) {
      const Element* gate = &state.gate_up[std::size_t(t) * gate_stride()];
      Element* to = &state.activated[std::size_t(t) * ff_stride()];
      for (int j = 0; j < s_.n_ff; ++j) {
        const float g = widened(gate[j]);
        to[j] = rounded(g / (1.0f + exponential(-g)) * widened(gate[s_.n_ff + j]));
      }
    }
    add_product(s_.n_ff, in_rows(state.activated.get(), ff_stride()), w.down, state.middle.get(), out);
  }

  /// to = from + a · w^T, [n_tokens, n_embd]
  void add_product(int depth, const Operand& a, const Matrix& w, const float* from, float* to) {
    const std::size_t stride = s_.n_embd;
    multiply(n_, s_.n_embd, depth, a, w.transposed(), [&](int row, int column, const float* block) {
      for (int i = 0; i < kBlock; ++i)
        for (int j = 0; j < kBlock; ++j) {
          const std::size_t at = (row + i) * stride + column + j;
          to[at] = from[at] + block[i * kBlock + j];
        }
    });
  }

  void normalize(const float* x, const float* weight, float* scales, Element* to) {
    for (int t = 0; t < n_; ++t, x += s_.n_embd, to += embd_stride()) {
      float sum = 0;
      for (int j = 0; j < s_.n_embd; ++j) sum += x[j] * x[j];
      const float scale = 1.0f / std::sqrt(sum / s_.n_embd + s_.rms_eps);
      scales[t] = scale;
      for (int j = 0; j < s_.n_embd; ++j) to[j] = rounded(x[j] * scale * weight[j]);
    }
  }

  /// Adds what reaches x through its norm. @param d_y [n_tokens, n_embd] gradient of what was normed
  void normalize_backward(const float* x, const float* weight, const float* scales, const float* d_y, float* d_weight,
                          float* d_x) {
    for (int t = 0; t < n_; ++t, x += s_.n_embd, d_y += s_.n_embd, d_x += s_.n_embd) {
      const float scale = scales[t];
      float dot = 0;
      for (int j = 0; j < s_.n_embd; ++j) {
        dot += d_y[j] * weight[j] * x[j];
        d_weight[j] += d_y[j] * x[j] * scale;
      }
      const float along = dot * scale * scale / s_.n_embd;
      for (int j = 0; j < s_.n_embd; ++j) d_x[j] += scale * (d_y[j] * weight[j] - along * x[j]);
    }
  }

  /// Loss, and the gradient of the stream behind the last layer in d_x_
  double output(const std::int64_t* targets, const float* weights) {
    normalize(last_.get(), output_norm_, last_scale_.get(), last_normed_.get());
    const std::size_t stride = s_.n_vocab + kPad;
    double loss = 0;
    for (int first = 0; first < n_; first += kLogitRows) {
      const int n_rows = std::min(kLogitRows, n_ - first);
      multiply(n_rows, s_.n_vocab, s_.n_embd, in_rows(&last_normed_[std::size_t(first) * embd_stride()], embd_stride()),
               embedding_.transposed(), Store{logits_.get(), std::size_t(s_.n_vocab)});
      for (int i = 0; i < n_rows; ++i) {
        float* logit = &logits_[std::size_t(i) * s_.n_vocab];
        Element* to = &d_wide_[(first + i) * stride];
        const std::int64_t target = targets[first + i];
        const float most = largest(logit, s_.n_vocab);
        float sum = 0;
        const float above = most - logit[target], weight = weights[first + i];
        for (int j = 0; j < s_.n_vocab; ++j) sum += logit[j] = exponential(logit[j] - most);
        loss += weight * (above + std::log(sum));
        const float factor = weight / sum;
        logit[target] -= sum;
        for (int j = 0; j < s_.n_vocab; ++j) to[j] = rounded(logit[j] * factor);
      }
    }
    std::fill_n(d_normed_.get(), std::size_t(n_) * s_.n_embd, 0.0f);
    constexpr int kDepth = 2048;  // at a time, so that both operands stay in the L2 cache
    for (int k = 0; k < s_.n_vocab; k += kDepth) {
      Operand d_logits = in_rows(&d_wide_[k], stride), rows = embedding_.plain();
      rows.data += k / kTileDepth * kTile;
      multiply(n_, s_.n_embd, std::min(kDepth, s_.n_vocab - k), d_logits, rows,
               Add{d_normed_.get(), std::size_t(s_.n_embd)});
    }
    add_weight_gradient(d_wide_.get(), stride, s_.n_vocab, last_normed_.get(), embd_stride(), s_.n_embd, d_token_embd_);
    std::fill_n(d_x_.get(), std::size_t(n_) * s_.n_embd, 0.0f);
    normalize_backward(last_.get(), output_norm_, last_scale_.get(), d_normed_.get(), d_output_norm_, d_x_.get());
    return loss;
  }

  /// gradient += d_y^T · x, [n_rows, n_columns]
  void add_weight_gradient(const Element* d_y, std::size_t d_stride, int n_rows, const Element* x, std::size_t x_stride,
                           int n_columns, float* gradient) {
    pack_left_transposed(d_y, d_stride, n_rows, n_, left_.get());
    pack(x, x_stride, n_columns, n_, right_.get());
    multiply(n_rows, n_columns, n_, packed(left_.get(), n_), packed(right_.get(), n_),
             Add{gradient, std::size_t(n_columns)});
  }

  void round_gradient() {
    for (int t = 0; t < n_; ++t)
      for (int j = 0; j < s_.n_embd; ++j)
        d_rounded_[std::size_t(t) * embd_stride() + j] = rounded(d_x_[std::size_t(t) * s_.n_embd + j]);
  }

  void backward(int i) {
    const LayerWeights& w = layers_[i];
    const LayerPointers<float>& d = d_layers_[i];
    LayerState& state = states_[i];
    round_gradient();
    const Operand d_out = in_rows(d_rounded_.get(), embd_stride());
    multiply(n_, s_.n_ff, s_.n_embd, d_out, w.down.plain(), StoreRounded{d_activated_.get(), std::size_t(ff_stride())});
    add_weight_gradient(d_rounded_.get(), embd_stride(), s_.n_embd, state.activated.get(), ff_stride(), s_.n_ff,
                        d.ffn_down);
    for (int t = 0; t < n_; ++t) {
      const Element* gate = &state.gate_up[std::size_t(t) * gate_stride()];
      const Element* d_act = &d_activated_[std::size_t(t) * ff_stride()];
      Element* to = &d_wide_[std::size_t(t) * gate_stride()];
      for (int j = 0; j < s_.n_ff; ++j) {
        const float g = widened(gate[j]), up = widened(gate[s_.n_ff + j]), dy = widened(d_act[j]);
        const float sigmoid = 1.0f / (1.0f + exponential(-g));
        to[j] = rounded(dy * up * sigmoid * (1.0f + g * (1.0f - sigmoid)));
        to[s_.n_ff + j] = rounded(dy * g * sigmoid);
      }
    }
    multiply(n_, s_.n_embd, 2 * s_.n_ff, in_rows(d_wide_.get(), gate_stride()), w.gate_up.plain(),
             Store{d_normed_.get(), std::size_t(s_.n_embd)});
    add_weight_gradient(d_wide_.get(), gate_stride(), s_.n_ff, state.normed[1].get(), embd_stride(), s_.n_embd,
                        d.ffn_gate);
    add_weight_gradient(d_wide_.get() + s_.n_ff, gate_stride(), s_.n_ff, state.normed[1].get(), embd_stride(),
                        s_.n_embd, d.ffn_up);
    normalize_backward(state.middle.get(), w.ffn_norm, state.norm_scale[1].get(), d_normed_.get(), d.ffn_norm,
                       d_x_.get());

    round_gradient();
    multiply(n_, s_.n_embd, s_.n_embd, d_out, w.output.plain(),
             StoreRounded{d_activated_.get(), std::size_t(embd_stride())});
    add_weight_gradient(d_rounded_.get(), embd_stride(), s_.n_embd, state.mixed.get(), embd_stride(), s_.n_embd,
                        d.attn_output);
    attention_.backward(state.qkv.get(), state.mixed.get(), state.log_sum.get(), d_activated_.get(), d_wide_.get());
    multiply(n_, s_.n_embd, s_.n_qkv(), in_rows(d_wide_.get(), qkv_stride()), w.qkv.plain(),
             Store{d_normed_.get(), std::size_t(s_.n_embd)});
    const Element* normed = state.normed[0].get();
    add_weight_gradient(d_wide_.get(), qkv_stride(), s_.n_embd, normed, embd_stride(), s_.n_embd, d.attn_q);
    add_weight_gradient(d_wide_.get() + s_.n_embd, qkv_stride(), s_.head_dim(), normed, embd_stride(), s_.n_embd,
                        d.attn_k);
    add_weight_gradient(d_wide_.get() + s_.n_embd + s_.head_dim(), qkv_stride(), s_.head_dim(), normed, embd_stride(),
                        s_.n_embd, d.attn_v);
    normalize_backward(state.x.get(), w.attn_norm, state.norm_scale[0].get(), d_normed_.get(), d.attn_norm, d_x_.get());
  }

  Sizes s_;
  int n_;  ///< tokens
  Attention attention_;
  const std::vector<LayerWeights>& layers_;
  const Matrix& embedding_;
  const float *token_embd_, *output_norm_;
  float *d_token_embd_, *d_output_norm_;
  std::vector<LayerPointers<float>> d_layers_;
  std::vector<LayerState> states_;
  Buffer<float> last_, last_scale_, d_x_, d_normed_, logits_;
  Buffer<Element> last_normed_, d_wide_, d_activated_, d_rounded_, left_, right_;
};

}  // namespace outpost::forge
