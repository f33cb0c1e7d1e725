// How the operations share their loops among the members of a team. Where a loop is cut may depend on the team only
// where the kernels promise the same bits for any cut; everything else is cut by size alone.
#pragma once

#include <algorithm>
#include <type_traits>

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
        if constexpr (std::is_same_v<T, float>) return *f;
        else return *d;
    }
};

// C = A B by the whole team: a grid of rectangles of tiles, as even as can be. gemm has the same bits for any cut.
template <class T>
void multiply(const MatrixProduct<T>& p, T* scratch, const Member& member) {
    const Kernels<T>& k = kernels<T>();
    if (member.size() == 1) return k.gemm(p, 0, p.m, 0, p.n, scratch);

    const std::int64_t rows = ceil_div(p.m, k.tile_rows), columns = ceil_div(p.n, k.tile_columns);
    std::int64_t across = 1, least = rows * columns + 1;
    for (std::int64_t c = 1; c <= member.size(); ++c) {
        if (member.size() % c != 0) continue;
        const std::int64_t most = ceil_div(rows, member.size() / c) * ceil_div(columns, c);  // tiles of one member
        if (most < least) across = c, least = most;
    }
    const std::int64_t down = member.size() / across, i = member.index() / across, j = member.index() % across;
    const std::int64_t row = rows * i / down * k.tile_rows, row_end = rows * (i + 1) / down * k.tile_rows;
    const std::int64_t column = columns * j / across * k.tile_columns;
    const std::int64_t column_end = columns * (j + 1) / across * k.tile_columns;
    if (row < row_end && column < column_end) {
        k.gemm(p, row, std::min(row_end, p.m), column, std::min(column_end, p.n), scratch);
    }
}

// y = x or y += x
template <class T>
void copy(const T* x, T* y, std::int64_t n, bool accumulate) {
    if (accumulate) kernels<T>().add(x, y, n);
    else std::copy_n(x, n, y);
}

template <class T>
void clear(std::span<T> x, const Member& member) {
    member.for_range(std::ssize(x), chunk, [&](auto begin, auto end) { std::fill_n(x.data() + begin, end - begin, T(0)); });
}

}  // namespace retrograd
