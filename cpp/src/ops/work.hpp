// How the operations share their loops among the members of a team. Where a loop is cut may depend on the
// team only where the kernels promise the same bits for any cut; everything else is cut by size alone.
#pragma once

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>

#include <retrograd/random.hpp>

#include "base/parallel.hpp"
#include "kernels/table.hpp"

namespace retrograd {

// Elements of an elementwise loop that stay together: whole cache lines, and worth a call.
constexpr std::int64_t chunk = 1024;

// Rows of `columns` elements that stay together.
[[nodiscard]] constexpr std::int64_t row_chunk(std::int64_t columns) {
    return std::max<std::int64_t>(1, chunk / std::max<std::int64_t>(1, columns));
}

[[nodiscard]] constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The same entry of the float and of the double table.
template <template <class> class Kernel>
struct Both {
    const Kernel<float>* f = nullptr;
    const Kernel<double>* d = nullptr;

    template <class T>
    [[nodiscard]] const Kernel<T>& of() const {
        if constexpr (std::is_same_v<T, float>)
            return *f;
        else
            return *d;
    }
};

// A matrix that lies row after row in memory, or the transpose of one.
template <class T>
struct Matrix {
    const T* data;
    std::int64_t row_step, column_step;
};

template <class T>
[[nodiscard]] Matrix<T> matrix(const T* data, std::int64_t columns) {
    return {data, columns, 1};
}

template <class T>
[[nodiscard]] Matrix<T> transposed(const T* data, std::int64_t columns) {
    return {data, 1, columns};
}

// C = A B or C += A B, where C is m x n, A m x k and B k x n
template <class T>
[[nodiscard]] MatrixProduct<T> product(std::int64_t m, std::int64_t n, std::int64_t k, Matrix<T> a,
                                       Matrix<T> b, T* c, bool accumulate = false) {
    MatrixProduct<T> p{};
    p.m = m, p.n = n, p.k = k;
    p.a = a.data, p.a_row = a.row_step, p.a_col = a.column_step;
    p.b = b.data, p.b_row = b.row_step, p.b_col = b.column_step;
    p.c = c, p.c_row = n;
    p.accumulate = accumulate;
    return p;
}

// What a member needs to multiply an a x c by a c x b matrix, and for both gradients of that product.
[[nodiscard]] inline std::int64_t product_scratch(std::int64_t a, std::int64_t b, std::int64_t c) {
    std::int64_t most = 0;
    for (const auto& [m, n, k] : {std::array{a, b, c}, std::array{b, a, c}, std::array{a, c, b},
                                  std::array{c, a, b}, std::array{b, c, a}, std::array{c, b, a}}) {
        most = std::max({most, kernels<float>().gemm_scratch_size(m, n, k),
                         kernels<double>().gemm_scratch_size(m, n, k)});
    }
    return most;
}

// A rectangle of C in pieces of some milliseconds each, so that nobody waits long for a member to stop. They
// are about square, because each packs its own rows and columns again.
template <class T>
void multiply_pieces(const MatrixProduct<T>& p, std::int64_t row, std::int64_t row_end, std::int64_t column,
                     std::int64_t column_end, T* scratch, const Member& member) {
    const Kernels<T>& k = kernels<T>();
    constexpr std::int64_t long_work = std::int64_t{1} << 29;  // multiply-adds
    if ((row_end - row) * (column_end - column) * p.k <= long_work) {
        return k.gemm(p, row, row_end, column, column_end, scratch);
    }
    std::int64_t side = 1;
    while (4 * side * side * p.k <= long_work) side *= 2;
    const std::int64_t rows = ceil_div(side, k.tile_rows) * k.tile_rows;
    const std::int64_t columns = ceil_div(side, k.tile_columns) * k.tile_columns;
    for (std::int64_t j = column; j < column_end; j += columns) {
        const std::int64_t j_end = std::min(j + columns, column_end);
        for (std::int64_t i = row; i < row_end; i += rows) {
            const std::int64_t i_end = std::min(i + rows, row_end);
            k.gemm(p, i, i_end, j, j_end, scratch);
            member.poll((i_end - i) * (j_end - j) * p.k);
        }
    }
}

// C = A B by the whole team: a grid of rectangles of tiles, as even as can be. No cut changes gemm's bits.
template <class T>
void multiply(const MatrixProduct<T>& p, T* scratch, const Member& member) {
    const Kernels<T>& k = kernels<T>();
    if (member.size() == 1) return multiply_pieces(p, 0, p.m, 0, p.n, scratch, member);

    // Every member copies its columns of B, which takes about as long as this many rows.
    constexpr std::int64_t copied_rows = 8;
    const std::int64_t rows = ceil_div(p.m, k.tile_rows), columns = ceil_div(p.n, k.tile_columns);
    std::int64_t across = 1, least = std::numeric_limits<std::int64_t>::max();
    for (std::int64_t c = 1; c <= member.size(); ++c) {
        if (member.size() % c != 0) continue;
        const std::int64_t most_rows = ceil_div(rows, member.size() / c) * k.tile_rows;
        const std::int64_t cost = (std::min(most_rows, p.m) + copied_rows) * ceil_div(columns, c);
        if (cost < least) across = c, least = cost;
    }
    const std::int64_t down = member.size() / across, i = member.index() / across,
                       j = member.index() % across;
    const std::int64_t row = rows * i / down * k.tile_rows, row_end = rows * (i + 1) / down * k.tile_rows;
    const std::int64_t column = columns * j / across * k.tile_columns;
    const std::int64_t column_end = columns * (j + 1) / across * k.tile_columns;
    if (row < row_end && column < column_end) {
        multiply_pieces(p, row, std::min(row_end, p.m), column, std::min(column_end, p.n), scratch, member);
    }
}

// The random numbers of a pass, as the kernels take them.
[[nodiscard]] inline RandomWords random_words(const RandomKey& key) {
    return {{static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32)},
            {static_cast<std::uint32_t>(key.purpose) << 24, key.stream, key.step}};
}

// Where numbers begin, from the offset on; null where there are none.
template <class T>
T* data(std::span<T> values, std::int64_t offset = 0) {
    return values.empty() ? nullptr : values.data() + offset;
}

// y = x or y += x
template <class T>
void copy(const T* x, T* y, std::int64_t n, bool accumulate) {
    if (accumulate)
        kernels<T>().add(x, y, n);
    else
        std::copy_n(x, n, y);
}

template <class T>
void clear(std::span<T> x, const Member& member) {
    member.for_range(std::ssize(x), chunk,
                     [&](auto begin, auto end) { std::fill_n(x.data() + begin, end - begin, T(0)); });
}

}  // namespace retrograd
