// Softmax of rows, and the cross-entropy that is one operation with it.
#pragma once

#include "kernels/reduce.hpp"
#include "simd/math.hpp"

namespace retrograd::RG_ISA {
namespace {

// y = e^(x - largest), and what was subtracted.
template <class T>
__attribute__((noinline)) T exponentials(const T* x, T* y, std::int64_t n) {
    const T largest = max_all(x, n);
    const Vec<T> shift = broadcast(largest);
    for (std::int64_t i = 0; i < n; i += lanes<T>)
        store_next(y + i, exp(load_next(x + i, n - i) - shift), n - i);
    return largest;
}

template <class T>
__attribute__((noinline)) T logarithm(T x) {
    return first_lane<T>(log(broadcast(x)));
}

// The row's largest number, and the logarithm of the sum of e^(x - largest). p = softmax(x).
template <class T>
struct RowSums {
    T largest, logarithm;
};

template <class T>
__attribute__((noinline)) void divide_row(T* y, std::int64_t n, T divisor) {
    const Vec<T> d = broadcast(divisor);
    for (std::int64_t i = 0; i < n; i += lanes<T>) store_next(y + i, load_next<T>(y + i, n - i) / d, n - i);
}

template <class T>
RG_INLINE RowSums<T> softmax_row(const T* x, T* p, std::int64_t n) {
    const T largest = exponentials(x, p, n), total = sum_all(p, n);
    divide_row(p, n, total);
    return {largest, logarithm(total)};
}

template <class T>
void softmax(const T* x, T* y, std::int64_t rows, std::int64_t columns) {
    for (std::int64_t i = 0; i < rows; ++i, x += columns, y += columns) {
        exponentials(x, y, columns);
        divide_row(y, columns, sum_all<T>(y, columns));
    }
}

// dx = y (dy - sum of y dy)
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, std::int64_t rows, std::int64_t columns,
                      bool accumulate) {
    for (std::int64_t i = 0; i < rows; ++i, y += columns, dy += columns, dx += columns) {
        const Vec<T> common = broadcast(dot_all(y, dy, columns));
        for (std::int64_t k = 0; k < columns; k += lanes<T>) {
            const std::int64_t left = columns - k;
            Vec<T> d = load_next(y + k, left) * (load_next(dy + k, left) - common);
            if (accumulate) d = load_next<T>(dx + k, left) + d;
            store_next(dx + k, d, left);
        }
    }
}

// y = (x - largest) - log(sum of e^(x - largest))
template <class T>
void log_softmax(const T* x, T* y, std::int64_t rows, std::int64_t columns) {
    for (std::int64_t i = 0; i < rows; ++i, x += columns, y += columns) {
        const Vec<T> shift = broadcast(exponentials(x, y, columns));
        const Vec<T> rest = broadcast(logarithm(sum_all<T>(y, columns)));
        for (std::int64_t k = 0; k < columns; k += lanes<T>) {
            store_next(y + k, load_next(x + k, columns - k) - shift - rest, columns - k);
        }
    }
}

// dx = dy - e^y (sum of dy)
template <class T>
void log_softmax_backward(const T* y, const T* dy, T* dx, std::int64_t rows, std::int64_t columns,
                          bool accumulate) {
    for (std::int64_t i = 0; i < rows; ++i, y += columns, dy += columns, dx += columns) {
        const Vec<T> total = broadcast(sum_all(dy, columns));
        for (std::int64_t k = 0; k < columns; k += lanes<T>) {
            const std::int64_t left = columns - k;
            Vec<T> d = load_next(dy + k, left) - exp(load_next(y + k, left)) * total;
            if (accumulate) d = load_next<T>(dx + k, left) + d;
            store_next(dx + k, d, left);
        }
    }
}

// value = log S - (1 - s) d_label - s mean(d) with d = z - largest and S = sum of e^d. A label outside of the
// columns gives NaN: it is refused where a batch is gathered, and must not read another row's memory here.
template <class T>
void cross_entropy(const T* z, const std::int32_t* label, T* value, T* p, std::int64_t rows,
                   std::int64_t columns, std::int32_t ignore, T smoothing) {
    for (std::int64_t i = 0; i < rows; ++i, z += columns, p += columns) {
        const RowSums<T> sums = softmax_row(z, p, columns);
        if (label[i] == ignore) {
            value[i] = 0;
        } else if (label[i] < 0 || label[i] >= columns) {
            value[i] = static_cast<T>(__builtin_nan(""));
        } else {
            const T d = z[label[i]] - sums.largest;
            value[i] = sums.logarithm - d;
            if (smoothing != 0) {
                T differences = 0;
                for (std::int64_t k = 0; k < columns; ++k) differences += z[k] - sums.largest;
                const T spread = smoothing / static_cast<T>(columns) * differences;
                value[i] = sums.logarithm - ((1 - smoothing) * d + spread);
            }
        }
    }
}

// dz = dvalue (p - q)
template <class T>
void cross_entropy_backward(const T* p, const std::int32_t* label, const T* dvalue, T* dz, std::int64_t rows,
                            std::int64_t columns, std::int32_t ignore, T smoothing, bool accumulate) {
    const T rest = smoothing / static_cast<T>(columns);
    for (std::int64_t i = 0; i < rows; ++i, p += columns, dz += columns) {
        const bool ignored = label[i] == ignore;
        if (ignored && accumulate) continue;
        const Vec<T> factor = broadcast(ignored ? T(0) : dvalue[i]), q = broadcast(rest);
        const IntVec<T> hot = IntVec<T>{} + label[i];
        for (std::int64_t k = 0; k < columns; k += lanes<T>) {
            const std::int64_t left = columns - k;
            const IntVec<T> column = lane_index<T>() + (IntVec<T>{} + static_cast<decltype(hot[0] + 0)>(k));
            const Vec<T> target = q + select(column == hot, broadcast(T(1) - smoothing), Vec<T>{});
            Vec<T> d = factor * (load_next(p + k, left) - target);
            if (ignored) d = Vec<T>{};
            if (accumulate) d = load_next<T>(dz + k, left) + d;
            store_next(dz + k, d, left);
        }
    }
}

template <class T>
void cross_entropy_soft(const T* z, const T* target, T* value, T* p, std::int64_t rows, std::int64_t columns,
                        T smoothing) {
    constexpr int parts = Accumulator<T>::parts;
    const Vec<T> keep = broadcast(T(1) - smoothing), rest = broadcast(smoothing / static_cast<T>(columns));
    for (std::int64_t i = 0; i < rows; ++i, z += columns, target += columns, p += columns) {
        const RowSums<T> sums = softmax_row(z, p, columns);
        const Vec<T> largest = broadcast(sums.largest), total = broadcast(sums.logarithm);
        Accumulator<T> terms;
        std::int64_t k = 0;
        for (int j = 0; k < columns; k += lanes<T>, j = j + 1 < parts ? j + 1 : 0) {
            const std::int64_t left = columns - k;
            const Vec<T> q = fma(keep, load_next(target + k, left), rest);
            const Vec<T> term = q * (total - (load_next(z + k, left) - largest));
            terms.add(j, left >= lanes<T> ? term : select(first_lanes<T>(left), term, Vec<T>{}));
        }
        value[i] = terms.fold();
    }
}

// dz = dvalue (p (sum of q) - q); the sum of q is 1 but for rounding
template <class T>
void cross_entropy_soft_backward(const T* p, const T* target, const T* dvalue, T* dz, std::int64_t rows,
                                 std::int64_t columns, T smoothing, bool accumulate) {
    const Vec<T> keep = broadcast(T(1) - smoothing), rest = broadcast(smoothing / static_cast<T>(columns));
    for (std::int64_t i = 0; i < rows; ++i, p += columns, target += columns, dz += columns) {
        const Vec<T> factor = broadcast(dvalue[i]);
        const Vec<T> whole = broadcast((T(1) - smoothing) * sum_all(target, columns) + smoothing);
        for (std::int64_t k = 0; k < columns; k += lanes<T>) {
            const std::int64_t left = columns - k;
            const Vec<T> q = fma(keep, load_next(target + k, left), rest);
            Vec<T> d = factor * (load_next(p + k, left) * whole - q);
            if (accumulate) d = load_next<T>(dz + k, left) + d;
            store_next(dz + k, d, left);
        }
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
