// Products with a matrix that is mostly zeros, as images and counts of words are: the zeros are passed over.
//
// The bits are those of multiply(), but for the sign of a zero; so what decides may look at the numbers, and
// must not look at the team.
#pragma once

#include "ops/work.hpp"

namespace retrograd {

// A layer x W^T: where skipping can pay, W^T is made, and has to stay in a cache.
[[nodiscard]] constexpr bool may_skip_zeros(std::int64_t rows, std::int64_t in, std::int64_t out) {
    return rows >= 64 && in >= 64 && out >= 32 && in * out <= std::int64_t{1} << 20;
}

// Judged by some of the rows of x (rows x in). Both ways take about the same time where half is zeros.
template <class T>
[[nodiscard]] bool is_mostly_zeros(const T* x, std::int64_t rows, std::int64_t in) {
    constexpr std::int64_t sample = 8;
    std::int64_t zeros = 0;
    for (std::int64_t i = 0; i < sample; ++i) {
        zeros += kernels<T>().count_zeros(x + rows * i / sample * in, in);
    }
    return static_cast<double>(zeros) >= 0.65 * static_cast<double>(sample * in);
}

namespace zeros {

constexpr std::int64_t some_rows = 64;  // of C that are made at once

// The length of a row of B, turned: whole vectors, and not a power of two, which would crowd a few places of
// a cache.
[[nodiscard]] constexpr std::int64_t turned_row(std::int64_t n) { return ceil_div(n, 16) * 16 + 16; }

}  // namespace zeros

[[nodiscard]] constexpr std::int64_t sparse_shared(std::int64_t n, std::int64_t k) {
    return k * zeros::turned_row(n);
}

// What a member needs for x W^T and for its gradient.
[[nodiscard]] inline std::int64_t sparse_scratch(std::int64_t rows, std::int64_t in, std::int64_t out) {
    const std::int64_t k = std::max(rows, in);
    return zeros::some_rows * out + std::max(kernels<float>().sparse_gemm_scratch_size(k),
                                             kernels<double>().sparse_gemm_scratch_size(k));
}

// C = A B with zeros in A, and B a transposed matrix; `shared` has sparse_shared() elements.
template <class T>
void multiply_sparse_a(MatrixProduct<T> p, T* shared, T* scratch, const Member& member) {
    const Kernels<T>& k = kernels<T>();
    const std::int64_t row = zeros::turned_row(p.n);
    // Each member turns the weights that it updates, so that they stay in its own cache.
    member.for_range(p.n, 16, [&](std::int64_t j, std::int64_t end) {
        k.transpose(p.b + j * p.b_col, p.b_col, end - j, p.k, shared + j, row);
    });
    member.barrier();
    p.b = shared, p.b_row = row, p.b_col = 1;
    member.for_range(p.m, 8, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; i += zeros::some_rows) {
            const std::int64_t stop = std::min(i + zeros::some_rows, end);
            k.sparse_gemm(p, i, stop, scratch);
            member.poll((stop - i) * p.n * p.k / 4);
        }
    });
}

// C = A B or C += A B with zeros in B, and A a transposed matrix: C^T = B^T A^T, some of its rows at a time.
template <class T>
void multiply_sparse_b(const MatrixProduct<T>& p, T* scratch, const Member& member) {
    const Kernels<T>& k = kernels<T>();
    T *const part = scratch, *const inner = scratch + zeros::some_rows * p.m;
    member.for_range(p.n, 16, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t j = begin; j < end; j += zeros::some_rows) {
            const std::int64_t some = std::min(zeros::some_rows, end - j);
            MatrixProduct<T> turned = product(some, p.m, p.k, transposed(p.b + j, p.b_row),
                                              matrix(p.a, p.a_col), part, p.accumulate);
            if (p.accumulate) k.transpose(p.c + j, p.c_row, p.m, some, part, p.m);
            k.sparse_gemm(turned, 0, some, inner);
            k.transpose(part, p.m, some, p.m, p.c + j, p.c_row);
            member.poll(some * p.m * p.k / 4);
        }
    });
}

}  // namespace retrograd
