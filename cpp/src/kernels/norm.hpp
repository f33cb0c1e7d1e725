// Rows brought to mean 0 and variance 1, or to mean square 1, and then scaled column by column.
#pragma once

#include "kernels/loops.hpp"
#include "kernels/table.hpp"
#include "simd/accumulator.hpp"

namespace retrograd::RG_ISA {
namespace {

// v where elements are left, 0 behind the end.
template <class T>
RG_INLINE Vec<T> within(Vec<T> v, std::int64_t left) {
    return left >= lanes<T> ? v : select(first_lanes<T>(left), v, Vec<T>{});
}

// The sum of f(position, elements left) over a row, in the lanes of an Accumulator; f gives zeros behind the
// end.
template <class T, class F>
RG_INLINE T sum_row(std::int64_t n, F&& f) {
    Accumulator<T> total;
    std::int64_t i = 0;
    for (; i + total.logical_lanes <= n; i += total.logical_lanes) {
#pragma GCC unroll 8
        for (int j = 0; j < total.parts; ++j) total.add(j, f(i + j * lanes<T>, std::int64_t{lanes<T>}));
    }
#pragma GCC unroll 8
    for (int j = 0; j < total.parts; ++j) {
        const std::int64_t at = i + j * lanes<T>;
        if (at < n) total.add(j, f(at, n - at));
    }
    return total.fold();
}

template <class T>
RG_INLINE T reciprocal_root(T x) {
    return first_lane<T>(broadcast(T(1)) / sqrt(broadcast(x)));
}

// statistics: mean and 1 / sqrt(variance + eps) of each row. Two passes: the squares of large numbers that
// are nearly equal would leave nothing of the variance.
template <class T>
void layer_norm(const NormRows<T>& r, T eps, T* y, T* statistics) {
    const std::int64_t n = r.columns;
    const T* x = r.x;
    for (std::int64_t i = 0; i < r.rows; ++i, x += n, y += n) {
        const auto size = static_cast<T>(n);
        const T mean = sum_row<T>(n, [&](auto at, auto left) { return load_next(x + at, left); }) / size;
        const Vec<T> centre = broadcast(mean);
        const T variance = sum_row<T>(n,
                                      [&](auto at, auto left) {
                                          const Vec<T> d = within<T>(load_next(x + at, left) - centre, left);
                                          return d * d;
                                      }) /
                           size;
        const T inverse = reciprocal_root(variance + eps);
        statistics[2 * i] = mean;
        statistics[2 * i + 1] = inverse;
        const Vec<T> factor = broadcast(inverse);
        for (std::int64_t j = 0; j < n; j += lanes<T>) {
            const std::int64_t left = n - j;
            const Vec<T> unit = (load_next(x + j, left) - centre) * factor;
            store_next(y + j, fma(unit, load_next(r.weight + j, left), load_next(r.bias + j, left)), left);
        }
    }
}

// statistics: 1 / sqrt(mean square + eps) of each row.
template <class T>
void rms_norm(const NormRows<T>& r, T eps, T* y, T* statistics) {
    const std::int64_t n = r.columns;
    const T* x = r.x;
    for (std::int64_t i = 0; i < r.rows; ++i, x += n, y += n) {
        const T square = sum_row<T>(n,
                                    [&](auto at, auto left) {
                                        const Vec<T> v = load_next(x + at, left);
                                        return v * v;
                                    }) /
                         static_cast<T>(n);
        statistics[i] = reciprocal_root(square + eps);
        const Vec<T> factor = broadcast(statistics[i]);
        for (std::int64_t j = 0; j < n; j += lanes<T>) {
            const std::int64_t left = n - j;
            store_next(y + j, load_next(x + j, left) * factor * load_next(r.weight + j, left), left);
        }
    }
}

// One row: with u the normalised row and g = dy w,
//   dx = inverse (g - slope_mean - u mean(g u))      dW += dy u      db += dy
// where slope_mean is mean(g) if the row was centred, and 0 if not.
template <bool Centred, class T>
RG_INLINE void norm_row_backward(const NormRows<T>& r, const T* x, T mean, T inverse, const T* dy, T* dx,
                                 const NormGradients<T>& g) {
    const std::int64_t n = r.columns;
    const Vec<T> centre = broadcast(mean), factor = broadcast(inverse);
    const auto unit = [&](std::int64_t at, std::int64_t left) {
        const Vec<T> v = load_next(x + at, left);
        return (Centred ? v - centre : v) * factor;
    };
    if (dx != nullptr) {
        const T along = sum_row<T>(n,
                                   [&](auto at, auto left) {
                                       // both end in zeros, which hides what unit() has there
                                       const Vec<T> slope =
                                           load_next(dy + at, left) * load_next(r.weight + at, left);
                                       return slope * unit(at, left);
                                   }) /
                        static_cast<T>(n);
        T slope_mean = 0;
        if constexpr (Centred) {
            slope_mean = sum_row<T>(n,
                                    [&](auto at, auto left) {
                                        return load_next(dy + at, left) * load_next(r.weight + at, left);
                                    }) /
                         static_cast<T>(n);
        }
        const Vec<T> common = broadcast(slope_mean), share = broadcast(along);
        for (std::int64_t j = 0; j < n; j += lanes<T>) {
            const std::int64_t left = n - j;
            const Vec<T> slope = load_next(dy + j, left) * load_next(r.weight + j, left);
            Vec<T> d = factor * ((Centred ? slope - common : slope) - unit(j, left) * share);
            if (g.add_dx) d = load_next<T>(dx + j, left) + d;
            store_next(dx + j, d, left);
        }
    }
    for (std::int64_t j = 0; j < n; j += lanes<T>) {
        const std::int64_t left = n - j;
        const Vec<T> v = load_next(dy + j, left);
        store_next(g.dW + j, fma(v, unit(j, left), load_next<T>(g.dW + j, left)), left);
        if constexpr (Centred) store_next(g.db + j, load_next<T>(g.db + j, left) + v, left);
    }
}

template <class T>
void layer_norm_backward(const NormRows<T>& r, const T* statistics, const T* dy, const NormGradients<T>& g) {
    const std::int64_t n = r.columns;
    for (std::int64_t i = 0; i < r.rows; ++i) {
        norm_row_backward<true>(r, r.x + i * n, statistics[2 * i], statistics[2 * i + 1], dy + i * n,
                                g.dx == nullptr ? g.dx : g.dx + i * n, g);
    }
}

template <class T>
void rms_norm_backward(const NormRows<T>& r, const T* statistics, const T* dy, const NormGradients<T>& g) {
    const std::int64_t n = r.columns;
    for (std::int64_t i = 0; i < r.rows; ++i) {
        norm_row_backward<false>(r, r.x + i * n, T(0), statistics[i], dy + i * n,
                                 g.dx == nullptr ? g.dx : g.dx + i * n, g);
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
