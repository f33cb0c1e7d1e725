// Products so small that no preparation pays, element by element: the chains of gemm.
#pragma once

#include "kernels/table.hpp"
#include "simd/vec.hpp"

namespace retrograd::RG_ISA {
namespace {

template <class T>
RG_INLINE T fused_scalar(T a, T b, T c) {
    if constexpr (!has_fma) {
        return a * b + c;
    } else if constexpr (sizeof(T) == 4) {
        return __builtin_fmaf(a, b, c);
    } else {
        return __builtin_fma(a, b, c);
    }
}

// The sum of a[q * a_step] b[q * b_step]
template <class T>
RG_INLINE T chain(const T* a, std::int64_t a_step, const T* b, std::int64_t b_step, std::int64_t k) {
    T sum = 0;
    for (std::int64_t q = 0; q < k; ++q) sum = fused_scalar(a[q * a_step], b[q * b_step], sum);
    return sum;
}

template <class T>
RG_INLINE void multiply_tiny(const MatrixProduct<T>& m, std::int64_t row_begin, std::int64_t row_end,
                             std::int64_t column_begin, std::int64_t column_end) {
    T* const out = m.z != nullptr ? m.z : m.c;
    for (std::int64_t i = row_begin; i < row_end; ++i) {
        for (std::int64_t j = column_begin; j < column_end; ++j) {
            T sum = chain(m.a + i * m.a_row, m.a_col, m.b + j * m.b_col, m.b_row, m.k);
            if (m.accumulate) sum = m.c[i * m.c_row + j] + sum;
            if (m.bias != nullptr) sum = sum + m.bias[j];
            out[i * m.c_row + j] = sum;
        }
    }
}

template <class T>
void tiny_linear(const LinearArrays<T>& a, const T* bias, T* z) {
    for (std::int64_t i = 0; i < a.rows; ++i) {
        for (std::int64_t j = 0; j < a.out; ++j) {
            const T sum = chain(a.x + i * a.in, 1, a.weight + j * a.in, 1, a.in);
            *z++ = bias == nullptr ? sum : sum + bias[j];
        }
    }
}

template <class T>
void tiny_linear_backward(const LinearArrays<T>& a, const T* delta, const LinearGradients<T>& to) {
    if (to.dx != nullptr) {
        T* dx = to.dx;
        for (std::int64_t i = 0; i < a.rows; ++i) {
            for (std::int64_t q = 0; q < a.in; ++q, ++dx) {
                const T sum = chain(delta + i * a.out, 1, a.weight + q, a.in, a.out);
                *dx = to.add_dx ? *dx + sum : sum;
            }
        }
    }
    if (to.dW != nullptr) {
        T* dW = to.dW;
        for (std::int64_t j = 0; j < a.out; ++j) {
            for (std::int64_t q = 0; q < a.in; ++q, ++dW) {
                const T sum = chain(delta + j, a.out, a.x + q, a.in, a.rows);
                *dW = to.add_dW ? *dW + sum : sum;
            }
        }
    }
    if (to.db != nullptr) {
        for (std::int64_t j = 0; j < a.out; ++j) {
            T sum = to.add_db ? to.db[j] : T(0);
            for (std::int64_t i = 0; i < a.rows; ++i) sum += delta[i * a.out + j];
            to.db[j] = sum;
        }
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
