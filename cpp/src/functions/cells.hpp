// Recurrent cells: one step of one unit, forward and backward.
//
// A cell has `gates` pre-activations. Each comes in two parts, z of the input and p = h W_hh^T + b_hh of the
// state, and the numbers that backward needs take the place of p: `slots` of them, at least as many as gates.
// Backward writes delta = dL/dp in their place, dz = dL/dz beside them, and gives back the part of dL/dh that
// does not pass through p.
#pragma once

#include "functions/list.hpp"
#include "simd/math.hpp"

namespace retrograd::RG_ISA {

template <class V>
struct CellState {  // before a step
    V h, c;
};

// h' = act(z + p)
struct TanhRnn {
    static constexpr const char* name = "tanh_rnn";
    static constexpr int gates = 1, slots = 1;
    static constexpr bool has_memory = false;
    template <class V>
    static RG_MEMBER V forward(const V* z, V* slot, CellState<V>, V&) {
        return slot[0] = tanh(z[0] + slot[0]);
    }
    template <class V>
    static RG_MEMBER V backward(V* slot, CellState<V>, V, V dh, V&, V* dz) {
        dz[0] = slot[0] = dh * (constant<V>(1) - slot[0] * slot[0]);
        return V{};
    }
};

struct ReluRnn {
    static constexpr const char* name = "relu_rnn";
    static constexpr int gates = 1, slots = 1;
    static constexpr bool has_memory = false;
    template <class V>
    static RG_MEMBER V forward(const V* z, V* slot, CellState<V>, V&) {
        const V sum = z[0] + slot[0];
        return slot[0] = select(sum <= V{}, V{}, sum);
    }
    template <class V>
    static RG_MEMBER V backward(V* slot, CellState<V>, V, V dh, V&, V* dz) {
        dz[0] = slot[0] = select(slot[0] <= V{}, V{}, dh);
        return V{};
    }
};

// c' = f c + i g, h' = o tanh(c'), with i, f, o = sigmoid and g = tanh of z + p (Hochreiter and Schmidhuber,
// 1997; Gers et al., 2000)
struct Lstm {
    static constexpr const char* name = "lstm";
    static constexpr int gates = 4, slots = 4;
    static constexpr bool has_memory = true;
    template <class V>
    static RG_MEMBER V forward(const V* z, V* slot, CellState<V> before, V& c) {
        const V i = sigmoid(z[0] + slot[0]), f = sigmoid(z[1] + slot[1]);
        const V g = tanh(z[2] + slot[2]), o = sigmoid(z[3] + slot[3]);
        slot[0] = i, slot[1] = f, slot[2] = g, slot[3] = o;
        c = fma(f, before.c, i * g);
        return o * tanh(c);
    }
    template <class V>
    static RG_MEMBER V backward(V* slot, CellState<V> before, V c, V dh, V& dc, V* dz) {
        const V one = constant<V>(1), i = slot[0], f = slot[1], g = slot[2], o = slot[3], t = tanh(c);
        dc = fma(dh * o, one - t * t, dc);
        dz[0] = slot[0] = dc * g * (i * (one - i));
        dz[1] = slot[1] = dc * before.c * (f * (one - f));
        dz[2] = slot[2] = dc * i * (one - g * g);
        dz[3] = slot[3] = dh * t * (o * (one - o));
        dc = dc * f;
        return V{};
    }
};

// h' = (1 - u) n + u h with r, u = sigmoid of z + p and n = tanh(z_n + r p_n) (Cho et al., 2014; the product
// with r comes after that with W_hh)
struct Gru {
    static constexpr const char* name = "gru";
    static constexpr int gates = 3, slots = 4;  // r, u, n and p_n
    static constexpr bool has_memory = false;
    template <class V>
    static RG_MEMBER V forward(const V* z, V* slot, CellState<V> before, V&) {
        const V r = sigmoid(z[0] + slot[0]), u = sigmoid(z[1] + slot[1]), p = slot[2];
        const V n = tanh(fma(r, p, z[2]));
        slot[0] = r, slot[1] = u, slot[2] = n, slot[3] = p;
        return fma(u, before.h - n, n);
    }
    template <class V>
    static RG_MEMBER V backward(V* slot, CellState<V> before, V, V dh, V&, V* dz) {
        const V one = constant<V>(1), r = slot[0], u = slot[1], n = slot[2], p = slot[3];
        const V dn = dh * (one - u) * (one - n * n);
        dz[0] = slot[0] = dn * p * (r * (one - r));
        dz[1] = slot[1] = dh * (before.h - n) * (u * (one - u));
        dz[2] = dn;
        slot[2] = dn * r;
        return dh * u;
    }
};

using Cells = RuleList<TanhRnn, ReluRnn, Lstm, Gru>;

}  // namespace retrograd::RG_ISA
