// Loops over the rules of functions/losses.hpp.
#pragma once

#include "functions/losses.hpp"
#include "kernels/loops.hpp"
#include "kernels/table.hpp"

namespace retrograd::RG_ISA {
namespace {

template <class F, class T>
void loss_forward(const T* z, const T* t, T* value, std::int64_t rows, std::int64_t columns, T parameter) {
    constexpr int block = Accumulator<T>::logical_lanes;
    const Vec<T> p = broadcast(parameter);
    const T count = F::mean ? static_cast<T>(columns) : T(1);
    if (columns < block) {
        // Short rows: elements one after the other in whole vectors, then each row's sum in the order of its columns.
        T terms[16 * block];
        const std::int64_t most = 16 * block / (columns > 0 ? columns : 1);
        for (std::int64_t i = 0; i < rows; i += most) {
            const std::int64_t some = rows - i < most ? rows - i : most, n = some * columns;
            for (std::int64_t k = 0; k < n; k += lanes<T>) {
                const std::int64_t at = i * columns + k;
                store_next(terms + k, F::value(load_next(z + at, n - k), load_next(t + at, n - k), p), n - k);
            }
            for (std::int64_t r = 0; r < some; ++r) {
                T total = 0;
                for (std::int64_t j = 0; j < columns; ++j) total += terms[r * columns + j];
                value[i + r] = total / count;
            }
        }
        return;
    }
    for (std::int64_t i = 0; i < rows; ++i, z += columns, t += columns) {
        Accumulator<T> total;
        for (std::int64_t k = 0; k < columns; k += block) {
            for (int j = 0; j < total.parts; ++j) {
                const std::int64_t first = k + j * lanes<T>, left = columns - first;
                if (left <= 0) continue;
                const Vec<T> v = F::value(load_next(z + first, left), load_next(t + first, left), p);
                total.add(j, left >= lanes<T> ? v : select(first_lanes<T>(left), v, Vec<T>{}));
            }
        }
        value[i] = total.fold() / count;
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
