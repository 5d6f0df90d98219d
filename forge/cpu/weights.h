// Sizes and weights of a decoder, as its passes need them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "tiles.h"

namespace outpost::forge {

/// Sizes in the order in which cpu_gradient.py passes them
struct Sizes {
  std::int32_t n_vocab, n_embd, n_layer, n_head, n_ff, n_ctx;
  float rope_freq_base, rms_eps;
  int head_dim() const { return n_embd / n_head; }
  int n_qkv() const { return n_embd + 2 * head_dim(); }
};

/// [n_rows, n_columns] for x · W^T, and for dy · W
struct Matrix {
  int n_rows = 0, n_columns = 0;
  Buffer<Element> forward, backward;
  Operand transposed() const { return packed(forward.get(), n_columns); }
  Operand plain() const { return packed(backward.get(), n_rows); }

  Matrix() = default;
  /// Of matrices [*, n_columns] f32 below each other
  Matrix(const std::vector<std::pair<const float*, int>>& parts, int n_columns_) : n_columns(n_columns_) {
    for (const auto& part : parts) n_rows += part.second;
    const std::size_t n = static_cast<std::size_t>(n_rows) * n_columns;
    Buffer<Element> rows(n);
    Element* to = rows.get();
    for (const auto& [from, n_part] : parts)
      for (std::size_t i = 0; i < static_cast<std::size_t>(n_part) * n_columns; ++i) *to++ = rounded(from[i]);
    forward = Buffer<Element>(n);
    backward = Buffer<Element>(n);
    pack_transposed(rows.get(), n_columns, n_rows, n_columns, forward.get());
    pack(rows.get(), n_columns, n_columns, n_rows, backward.get());
  }
};

/// One layer's parameters or gradients, f32, in the order in which cpu_gradient.py passes them
template <class T>
struct LayerPointers {
  T *attn_norm, *attn_q, *attn_k, *attn_v, *attn_output, *ffn_norm, *ffn_gate, *ffn_up, *ffn_down;
};

struct LayerWeights {
  const float *attn_norm = nullptr, *ffn_norm = nullptr;
  Matrix qkv, output, gate_up, down;
  LayerWeights() = default;
  LayerWeights(const Sizes& s, const LayerPointers<const float>& p)
      : attn_norm(p.attn_norm),
        ffn_norm(p.ffn_norm),
        qkv({{p.attn_q, s.n_embd}, {p.attn_k, s.head_dim()}, {p.attn_v, s.head_dim()}}, s.n_embd),
        output({{p.attn_output, s.n_embd}}, s.n_embd),
        gate_up({{p.ffn_gate, s.n_ff}, {p.ffn_up, s.n_ff}}, s.n_embd),
        down({{p.ffn_down, s.n_embd}}, s.n_ff) {}
};

}  // namespace outpost::forge
