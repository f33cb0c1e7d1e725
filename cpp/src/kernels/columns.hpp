// Rows of numbers whose columns have a mean and a scale each. Sums go down the rows in order, one chain for
// each column.
#pragma once

#include "kernels/loops.hpp"
#include "kernels/table.hpp"

namespace retrograd::RG_ISA {
namespace {

// f(j, left) for each vector of columns, Vectors of them at once where they are whole.
template <class T, class Whole, class Rest>
RG_INLINE void each_vector(std::int64_t columns, Whole&& whole, Rest&& rest) {
    constexpr std::int64_t some = 4 * lanes<T>;
    std::int64_t j = 0;
    for (; j + some <= columns; j += some) whole(j);
    for (; j < columns; j += lanes<T>) rest(j, columns - j);
}

// y[j] = sum over i of (x[i, j] - mean[j])^2
template <int Vectors, class T>
RG_INLINE void square_deviations_of(const T* x, std::int64_t row, std::int64_t rows, const T* mean, T* y,
                                    std::int64_t left) {
    Vec<T> total[Vectors]{}, center[Vectors];
    for (int v = 0; v < Vectors; ++v) center[v] = load_next(mean + v * lanes<T>, left - v * lanes<T>);
    for (std::int64_t i = 0; i < rows; ++i) {
        for (int v = 0; v < Vectors; ++v) {
            const Vec<T> d = load_next(x + i * row + v * lanes<T>, left - v * lanes<T>) - center[v];
            total[v] = fma(d, d, total[v]);
        }
    }
    for (int v = 0; v < Vectors; ++v) store_next(y + v * lanes<T>, total[v], left - v * lanes<T>);
}

template <class T>
void square_deviations(const T* x, std::int64_t row, std::int64_t rows, std::int64_t columns, const T* mean,
                       T* y) {
    each_vector<T>(
        columns,
        [&](std::int64_t j) { square_deviations_of<4>(x + j, row, rows, mean + j, y + j, 4 * lanes<T>); },
        [&](std::int64_t j, std::int64_t left) {
            square_deviations_of<1>(x + j, row, rows, mean + j, y + j, left);
        });
}

// sums[j] = sum of d[i, j], and products[j] = sum of d[i, j] (x[i, j] - mean[j])
template <int Vectors, class T>
RG_INLINE void deviation_sums_of(const T* d, const T* x, std::int64_t row, std::int64_t rows, const T* mean,
                                 T* sums, T* products, std::int64_t left) {
    Vec<T> sum[Vectors]{}, product[Vectors]{}, center[Vectors];
    for (int v = 0; v < Vectors; ++v) center[v] = load_next(mean + v * lanes<T>, left - v * lanes<T>);
    for (std::int64_t i = 0; i < rows; ++i) {
        for (int v = 0; v < Vectors; ++v) {
            const std::int64_t at = i * row + v * lanes<T>, some = left - v * lanes<T>;
            const Vec<T> one = load_next(d + at, some);
            sum[v] += one;
            product[v] = fma(one, load_next(x + at, some) - center[v], product[v]);
        }
    }
    for (int v = 0; v < Vectors; ++v) {
        store_next(sums + v * lanes<T>, sum[v], left - v * lanes<T>);
        store_next(products + v * lanes<T>, product[v], left - v * lanes<T>);
    }
}

template <class T>
void deviation_sums(const T* d, const T* x, std::int64_t row, std::int64_t rows, std::int64_t columns,
                    const T* mean, T* sums, T* products) {
    each_vector<T>(
        columns,
        [&](std::int64_t j) {
            deviation_sums_of<4>(d + j, x + j, row, rows, mean + j, sums + j, products + j, 4 * lanes<T>);
        },
        [&](std::int64_t j, std::int64_t left) {
            deviation_sums_of<1>(d + j, x + j, row, rows, mean + j, sums + j, products + j, left);
        });
}

// y[i, j] = (x[i, j] - mean[j]) scale[j] + shift[j]
template <class T>
void scale_columns(const T* x, std::int64_t rows, std::int64_t columns, const T* mean, const T* scale,
                   const T* shift, T* y) {
    for (std::int64_t i = 0; i < rows; ++i, x += columns, y += columns) {
        for (std::int64_t j = 0; j < columns; j += lanes<T>) {
            const std::int64_t left = columns - j;
            const Vec<T> d = load_next(x + j, left) - load_next(mean + j, left);
            store_next(y + j, fma(d, load_next(scale + j, left), load_next(shift + j, left)), left);
        }
    }
}

// dx[i, j] = d[i, j] a[j] + (x[i, j] - mean[j]) b[j] + c[j]
template <class T>
void scale_columns_backward(const T* d, const T* x, std::int64_t rows, std::int64_t columns, const T* mean,
                            const T* a, const T* b, const T* c, T* dx, bool accumulate) {
    for (std::int64_t i = 0; i < rows; ++i, d += columns, x += columns, dx += columns) {
        for (std::int64_t j = 0; j < columns; j += lanes<T>) {
            const std::int64_t left = columns - j;
            Vec<T> v = fma(load_next(x + j, left) - load_next(mean + j, left), load_next(b + j, left),
                           load_next(c + j, left));
            v = fma(load_next(d + j, left), load_next(a + j, left), v);
            if (accumulate) v = load_next<T>(dx + j, left) + v;
            store_next(dx + j, v, left);
        }
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
