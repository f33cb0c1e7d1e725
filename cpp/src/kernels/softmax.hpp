// Softmax of rows, and the cross-entropy that is one operation with it.
#pragma once

#include "kernels/loops.hpp"
#include "simd/math.hpp"

namespace retrograd::RG_ISA {
namespace {

// The blocks of a row: part j of 16 logical lanes, so that sums have the same bits on every instruction set.
template <class T>
struct RowPart {
    std::int64_t first;  // element
    std::int64_t left;   // elements from there to the row's end
    int j;

    static RG_MEMBER RowPart begin() { return {0, 0, 0}; }
    RG_MEMBER bool at(std::int64_t i, int part, std::int64_t n) {
        first = i + part * lanes<T>;
        left = n - first;
        j = part;
        return left > 0;
    }
    // v, and 0 behind the row's end
    RG_MEMBER Vec<T> inside(Vec<T> v) const { return left >= lanes<T> ? v : select(first_lanes<T>(left), v, Vec<T>{}); }
};

template <class T>
struct RowSums {
    T largest;
    T exponentials;  // sum of e^(x - largest)
    T logarithm;     // of that sum
    T differences;   // sum of x - largest
};

// One pass over a row: y = e^(x - largest) where y is wanted, and its sums.
template <class T>
RG_INLINE RowSums<T> exponentials(const T* x, T* y, std::int64_t n, bool with_differences) {
    RowSums<T> sums{max(x, n), 0, 0, 0};
    const Vec<T> largest = broadcast(sums.largest);
    Accumulator<T> total, differences;
    RowPart<T> part = RowPart<T>::begin();
    for (std::int64_t i = 0; i < n; i += Accumulator<T>::logical_lanes) {
        for (int j = 0; j < total.parts; ++j) {
            if (!part.at(i, j, n)) continue;
            const Vec<T> d = load_next(x + part.first, part.left) - largest;
            const Vec<T> e = exp(d);
            if (y != nullptr) store_next(y + part.first, e, part.left);
            total.add(j, part.inside(e));
            if (with_differences) differences.add(j, part.inside(d));
        }
    }
    sums.exponentials = total.fold();
    sums.logarithm = first_lane<T>(log(broadcast(sums.exponentials)));
    if (with_differences) sums.differences = differences.fold();
    return sums;
}

template <class T>
RG_INLINE void divide_row(T* y, std::int64_t n, T divisor) {
    const Vec<T> d = broadcast(divisor);
    for (std::int64_t i = 0; i < n; i += lanes<T>) store_next(y + i, load_next<T>(y + i, n - i) / d, n - i);
}

template <class T>
void softmax(const T* x, T* y, std::int64_t rows, std::int64_t columns) {
    for (std::int64_t i = 0; i < rows; ++i, x += columns, y += columns) {
        divide_row(y, columns, exponentials(x, y, columns, false).exponentials);
    }
}

// dx = y (dy - sum of y dy)
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, std::int64_t rows, std::int64_t columns, bool accumulate) {
    for (std::int64_t i = 0; i < rows; ++i, y += columns, dy += columns, dx += columns) {
        const Vec<T> common = broadcast(dot(y, dy, columns));
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
        const RowSums<T> sums = exponentials<T>(x, nullptr, columns, false);
        const Vec<T> largest = broadcast(sums.largest), logarithm = broadcast(sums.logarithm);
        for (std::int64_t k = 0; k < columns; k += lanes<T>) {
            store_next(y + k, load_next(x + k, columns - k) - largest - logarithm, columns - k);
        }
    }
}

// dx = dy - e^y (sum of dy)
template <class T>
void log_softmax_backward(const T* y, const T* dy, T* dx, std::int64_t rows, std::int64_t columns, bool accumulate) {
    for (std::int64_t i = 0; i < rows; ++i, y += columns, dy += columns, dx += columns) {
        const Vec<T> total = broadcast(sum(dy, columns));
        for (std::int64_t k = 0; k < columns; k += lanes<T>) {
            const std::int64_t left = columns - k;
            Vec<T> d = load_next(dy + k, left) - exp(load_next(y + k, left)) * total;
            if (accumulate) d = load_next<T>(dx + k, left) + d;
            store_next(dx + k, d, left);
        }
    }
}

// value = log S - (1 - s) d_label - s mean(d) with d = z - largest and S = sum of e^d. A label outside of the columns
// gives NaN: it is refused where a batch is gathered, and must not read another row's memory here.
template <class T>
void cross_entropy(const T* z, const std::int32_t* label, T* value, T* p, std::int64_t rows, std::int64_t columns,
                   std::int32_t ignore, T smoothing) {
    const bool smooth = smoothing != 0;
    for (std::int64_t i = 0; i < rows; ++i, z += columns, p += columns) {
        const RowSums<T> sums = exponentials(z, p, columns, smooth);
        divide_row(p, columns, sums.exponentials);
        if (label[i] == ignore) {
            value[i] = 0;
        } else if (label[i] < 0 || label[i] >= columns) {
            value[i] = static_cast<T>(__builtin_nan(""));
        } else {
            const T d = z[label[i]] - sums.largest;
            value[i] = sums.logarithm - d;
            if (smooth) {
                const T spread = smoothing / static_cast<T>(columns) * sums.differences;
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
    const Vec<T> keep = broadcast(T(1) - smoothing), rest = broadcast(smoothing / static_cast<T>(columns));
    RowPart<T> part = RowPart<T>::begin();
    for (std::int64_t i = 0; i < rows; ++i, z += columns, target += columns, p += columns) {
        const RowSums<T> sums = exponentials(z, p, columns, false);
        divide_row(p, columns, sums.exponentials);
        const Vec<T> largest = broadcast(sums.largest), logarithm = broadcast(sums.logarithm);
        Accumulator<T> total;
        for (std::int64_t k = 0; k < columns; k += Accumulator<T>::logical_lanes) {
            for (int j = 0; j < total.parts; ++j) {
                if (!part.at(k, j, columns)) continue;
                const Vec<T> q = fma(keep, load_next(target + part.first, part.left), rest);
                const Vec<T> d = load_next(z + part.first, part.left) - largest;
                total.add(j, part.inside(q * (logarithm - d)));
            }
        }
        value[i] = total.fold();
    }
}

// dz = dvalue (p (sum of q) - q); the sum of q is 1 but for rounding
template <class T>
void cross_entropy_soft_backward(const T* p, const T* target, const T* dvalue, T* dz, std::int64_t rows,
                                 std::int64_t columns, T smoothing, bool accumulate) {
    const Vec<T> keep = broadcast(T(1) - smoothing), rest = broadcast(smoothing / static_cast<T>(columns));
    for (std::int64_t i = 0; i < rows; ++i, p += columns, target += columns, dz += columns) {
        const Vec<T> factor = broadcast(dvalue[i]);
        const Vec<T> whole = broadcast((T(1) - smoothing) * sum(target, columns) + smoothing);
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
