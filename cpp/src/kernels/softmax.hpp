// Softmax of rows, and the cross-entropy that is one operation with it.
#pragma once

#include "kernels/reduce.hpp"
#include "kernels/transpose.hpp"
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

// Of some rows x: the largest number, and the logarithm of the sum of e^(x - largest).
template <class T>
struct RowSums {
    T largest[lanes<T>], logarithm[lanes<T>];
};

template <class T>
__attribute__((noinline)) void divide_row(T* y, std::int64_t n, T divisor) {
    const Vec<T> d = broadcast(divisor);
    for (std::int64_t i = 0; i < n; i += lanes<T>) store_next(y + i, load_next<T>(y + i, n - i) / d, n - i);
}

// Rows so short that a lane of its own for each row is faster than a vector for each.
inline constexpr std::int64_t few_columns = 16;
static_assert(few_columns <= Accumulator<float>::logical_lanes);

// The sum of the columns in the order in which an Accumulator folds its lanes.
template <class T>
RG_INLINE Vec<T> fold_columns(const Vec<T>* column, std::int64_t columns) {
    Vec<T> lane[few_columns] = {};
    for (std::int64_t c = 0; c < columns; ++c) lane[c] = column[c];
    for (int half = few_columns / 2; half > 0; half /= 2) {
        for (int c = 0; c < half; ++c) lane[c] = lane[c] + lane[c + half];
    }
    return lane[0];
}

// At most as many rows as a vector has lanes, of at most few_columns elements: p = softmax(x).
template <class T>
__attribute__((noinline)) void softmax_short_rows(const T* x, T* p, std::int64_t rows, std::int64_t columns,
                                                  RowSums<T>& sums) {
    constexpr int L = lanes<T>, S = strip<T>;
    Vec<T> column[few_columns] = {};
    const SomeRows<T> row(x, columns, rows);
    if (columns >= S) {
        for (std::int64_t c = 0; c < columns; c += S) {
            const std::int64_t first = c + S <= columns ? c : columns - S;  // the last strip laps over
            turn_strip<T>(row, first, column + first);
        }
    } else {
        for (std::int64_t c = 0; c < columns; ++c) {
            for (int i = 0; i < L; ++i) column[c][i] = row.at(i)[c];
        }
    }
    Vec<T> largest = column[0];
    for (std::int64_t c = 1; c < columns; ++c) largest = max(largest, column[c]);
    for (std::int64_t c = 0; c < columns; ++c) column[c] = exp(column[c] - largest);
    const Vec<T> total = fold_columns<T>(column, columns);
    T turned[few_columns * L];
    for (std::int64_t c = 0; c < columns; ++c) store(turned + c * L, column[c] / total);
    for (std::int64_t c = 0; c < columns; c += L) {
        const std::int64_t left = columns - c;
        const SomeRows<T> some(turned + c * L, L, left);
        for (std::int64_t i = 0; i < rows; i += S) {
            Vec<T> part[S];
            turn_strip<T>(some, i, part);
            for (int e = 0; e < S && i + e < rows; ++e) store_next(p + (i + e) * columns + c, part[e], left);
        }
    }
    store(sums.largest, largest);
    store(sums.logarithm, log(total));
}

// At most as many rows as a vector has lanes: p = softmax(x).
template <class T>
RG_INLINE void softmax_rows(const T* x, T* p, std::int64_t rows, std::int64_t columns, RowSums<T>& sums) {
    if (columns <= few_columns) return softmax_short_rows(x, p, rows, columns, sums);
    for (std::int64_t i = 0; i < rows; ++i, x += columns, p += columns) {
        sums.largest[i] = exponentials(x, p, columns);
        const T total = sum_all(p, columns);
        divide_row(p, columns, total);
        sums.logarithm[i] = logarithm(total);
    }
}

// f(first row, how many) for as many rows at once as a vector has lanes.
template <class T, class F>
RG_INLINE void for_rows(std::int64_t rows, F&& f) {
    for (std::int64_t i = 0; i < rows; i += lanes<T>) f(i, rows - i < lanes<T> ? rows - i : lanes<T>);
}

template <class T>
void softmax(const T* x, T* y, std::int64_t rows, std::int64_t columns) {
    RowSums<T> sums;
    for_rows<T>(rows, [&](std::int64_t first, std::int64_t some) {
        softmax_rows(x + first * columns, y + first * columns, some, columns, sums);
    });
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

template <class T>
RG_INLINE T cross_entropy_of(const T* z, std::int32_t label, std::int64_t columns, T largest, T logarithm,
                             std::int32_t ignore, T smoothing) {
    if (label == ignore) return 0;
    if (label < 0 || label >= columns) return static_cast<T>(__builtin_nan(""));
    const T d = z[label] - largest;
    if (smoothing == 0) return logarithm - d;
    T differences = 0;
    for (std::int64_t k = 0; k < columns; ++k) differences += z[k] - largest;
    return logarithm - ((1 - smoothing) * d + smoothing / static_cast<T>(columns) * differences);
}

// value = log S - (1 - s) d_label - s mean(d) with d = z - largest and S = sum of e^d. A label outside of the
// columns gives NaN: it is refused where a batch is gathered, and must not read another row's memory here.
template <class T>
void cross_entropy(const T* z, const std::int32_t* label, T* value, T* p, std::int64_t rows,
                   std::int64_t columns, std::int32_t ignore, T smoothing) {
    RowSums<T> sums;
    for_rows<T>(rows, [&](std::int64_t first, std::int64_t some) {
        softmax_rows(z + first * columns, p + first * columns, some, columns, sums);
        for (std::int64_t k = 0; k < some; ++k) {
            const std::int64_t i = first + k;
            value[i] = cross_entropy_of(z + i * columns, label[i], columns, sums.largest[k],
                                        sums.logarithm[k], ignore, smoothing);
        }
    });
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
            Vec<T> d = without_denormals(factor * (load_next(p + k, left) - target));
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
    RowSums<T> sums;
    for_rows<T>(rows, [&](std::int64_t first, std::int64_t some) {
        softmax_rows(z + first * columns, p + first * columns, some, columns, sums);
        for (std::int64_t i = 0; i < some; ++i) {
            const T *row = z + (first + i) * columns, *wanted = target + (first + i) * columns;
            const Vec<T> largest = broadcast(sums.largest[i]), total = broadcast(sums.logarithm[i]);
            Accumulator<T> terms;
            std::int64_t k = 0;
            for (int j = 0; k < columns; k += lanes<T>, j = j + 1 < parts ? j + 1 : 0) {
                const std::int64_t left = columns - k;
                const Vec<T> q = fma(keep, load_next(wanted + k, left), rest);
                const Vec<T> term = q * (total - (load_next(row + k, left) - largest));
                terms.add(j, left >= lanes<T> ? term : select(first_lanes<T>(left), term, Vec<T>{}));
            }
            value[first + i] = terms.fold();
        }
    });
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
            Vec<T> d = without_denormals(factor * (load_next(p + k, left) * whole - q));
            if (accumulate) d = load_next<T>(dz + k, left) + d;
            store_next(dz + k, d, left);
        }
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
