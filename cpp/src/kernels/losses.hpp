// Loops over the rules of functions/losses.hpp.
#pragma once

#include "functions/losses.hpp"
#include "kernels/reduce.hpp"
#include "kernels/table.hpp"

namespace retrograd::RG_ISA {
namespace {

// Not inlined, that what a loss computes stands once.
template <class F, class T>
__attribute__((noinline)) void loss_terms(const T* z, const T* t, T* terms, std::int64_t n, Vec<T> p) {
    for (std::int64_t k = 0; k < n; k += lanes<T>) {
        store_next(terms + k, F::value(load_next(z + k, n - k), load_next(t + k, n - k), p), n - k);
    }
}

// The terms of a stretch are made in whole vectors first, then summed row by row: rows of fewer than 16
// columns in the order of their columns, longer ones in 16 lanes.
template <class F, class T>
void loss_forward(const T* z, const T* t, T* value, std::int64_t rows, std::int64_t columns, T parameter) {
    const Vec<T> p = broadcast(parameter);
    if (columns == 1) {  // a row is one term
        loss_terms<F>(z, t, value, rows, p);
        for (std::int64_t k = 0; k < rows; ++k)
            value[k] = T(0) + value[k];  // a sum of one, where -0 becomes 0
        return;
    }
    constexpr std::int64_t stretch = 256;  // a multiple of the 16 lanes
    T terms[stretch];
    const T count = F::mean ? static_cast<T>(columns) : T(1);
    const bool is_short = columns < Accumulator<T>::logical_lanes;
    const std::int64_t length = is_short ? stretch / (columns > 0 ? columns : 1) * columns : columns;
    const std::int64_t all = rows * columns;
    Lanes<T> lane;
    for (std::int64_t i = 0, row = 0; i < all;) {
        const std::int64_t row_left = is_short ? all - i : (row + 1) * length - i;
        const std::int64_t most = is_short ? length : stretch, n = row_left < most ? row_left : most;
        loss_terms<F>(z + i, t + i, terms, n, p);
        i += n;
        if (is_short) {
            for (std::int64_t k = 0; k < n; ++row) {
                T total = 0;
                for (std::int64_t j = 0; j < columns; ++j, ++k) total += terms[k];
                value[row] = total / count;
            }
        } else {
            lane.add(terms, n);
            if (n == row_left) {
                value[row++] = lane.fold() / count;
                lane = Lanes<T>();
            }
        }
    }
}

template <class F, class T>
void loss_backward(const T* z, const T* t, const T* dvalue, T* dz, std::int64_t rows, std::int64_t columns,
                   T parameter, bool accumulate) {
    const Vec<T> p = broadcast(parameter);
    const T count = F::mean ? static_cast<T>(columns) : T(1);
    // A column of its own is a vector of rows.
    const bool one = columns == 1;
    const std::int64_t length = one ? rows : columns;
    for (std::int64_t i = 0; i < (one ? 1 : rows); ++i, z += length, t += length, dz += length) {
        const Vec<T> factor = broadcast(one ? T(1) : dvalue[i] / count);
        for (std::int64_t k = 0; k < length; k += lanes<T>) {
            const std::int64_t left = length - k;
            const Vec<T> slope = F::derivative(load_next(z + k, left), load_next(t + k, left), p);
            Vec<T> d = (one ? load_next(dvalue + k, left) : factor) * slope;
            if (accumulate) d = load_next<T>(dz + k, left) + d;
            store_next(dz + k, d, left);
        }
    }
}

template <class T, class List>
struct LossTable;
template <class T, class... F>
struct LossTable<T, RuleList<F...>> {
    static constexpr LossKernel<T> list[] = {{F::name, F::parameter, F::parameter_default, F::target_low,
                                              F::target_high, &loss_forward<F, T>, &loss_backward<F, T>}...};
};

}  // namespace
}  // namespace retrograd::RG_ISA
