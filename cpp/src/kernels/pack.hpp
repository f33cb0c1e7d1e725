// Copies of parts of a matrix in the order in which the tiles of a product read them.
#pragma once

#include "kernels/transpose.hpp"

namespace retrograd::RG_ISA {
namespace {

RG_INLINE std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
RG_INLINE std::int64_t round_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b * b; }

template <class T>
inline constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));  // elements of a cache line

template <class T>
struct Matrix {
    const T* p;
    std::int64_t row, col;

    [[nodiscard]] RG_MEMBER const T* at(std::int64_t i, std::int64_t j) const {
        return p + i * row + j * col;
    }
};

// Asks for `n` elements: rows far apart lie in pages of their own, where no processor looks ahead by itself.
// Locality 3 is the nearest cache, 2 the next one, which can wait for many more at a time.
template <int Locality, class T>
RG_INLINE void ask_for(const T* p, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += line<T>) __builtin_prefetch(p + i, 0, Locality);
    __builtin_prefetch(p + n - 1, 0, Locality);
}

// to[p * width + j] = b(p, j) for k x columns numbers; `to` has whole vectors, which may end in anything.
template <class T>
void pack_b(Matrix<T> b, std::int64_t k, std::int64_t columns, T* to, std::int64_t width) {
    if (b.row == 1 && b.col != 1) return turn(b.p, b.col, columns, k, to, width);
    constexpr std::int64_t ahead = 16, far_ahead = 96;
    for (std::int64_t p = 0; p < k; ++p, to += width) {
        if (b.col == 1) {
            if (p + far_ahead < k) ask_for<2>(b.at(p + far_ahead, 0), columns);
            if (p + ahead < k) ask_for<3>(b.at(p + ahead, 0), columns);
            for (std::int64_t j = 0; j < columns; j += lanes<T>)
                store(to + j, load_next(b.at(p, j), columns - j));
        } else {
            const std::int64_t whole = round_up(columns, lanes<T>);
            for (std::int64_t j = 0; j < whole; ++j) to[j] = j < columns ? *b.at(p, j) : T(0);
        }
    }
}

// to[p * width + i] = a(i, p): the same with the roles of the axes exchanged.
template <class T>
RG_INLINE void pack_a(Matrix<T> a, std::int64_t rows, std::int64_t k, T* to, std::int64_t width) {
    pack_b(Matrix<T>{a.p, a.col, a.row}, k, rows, to, width);
}

}  // namespace
}  // namespace retrograd::RG_ISA
