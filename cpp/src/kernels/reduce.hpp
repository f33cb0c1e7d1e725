// Many numbers to one, and many rows to one row.
#pragma once

#include "kernels/loops.hpp"
#include "simd/accumulator.hpp"

namespace retrograd::RG_ISA {
namespace {

// Element i goes to lane i % 16, or i % 64 where arrays are long, and the lanes are folded in halves: see
// Accumulator. Each of these stands once, and is called for rows as for whole arrays.

inline constexpr int short_sum = 16, long_sum = 64;  // lanes; 64 hide the latency of the additions

struct Plain {
    template <class V>
    static RG_MEMBER V of(V x, V) {
        return x;
    }
};
struct Magnitude {
    template <class V>
    static RG_MEMBER V of(V x, V) {
        return abs(x);
    }
};

// The sum of F::of(x, y), or of the products of x and y.
template <class F, bool Products, int Lanes, class T>
RG_INLINE T sum_lanes(const T* x, const T* y, std::int64_t n) {
    Accumulator<T, Lanes> total;
    const auto add = [&](int j, std::int64_t at, std::int64_t left) {
        const Vec<T> v = load_next(x + at, left);
        if constexpr (Products) {
            total.add_product(j, v, load_next(y + at, left));
        } else {
            total.add(j, F::of(v, v));
        }
    };
    std::int64_t i = 0;
    for (; i + Lanes <= n; i += Lanes) {
#pragma GCC unroll 16
        for (int j = 0; j < total.parts; ++j) add(j, i + j * lanes<T>, lanes<T>);
    }
#pragma GCC unroll 16
    for (int j = 0; j < total.parts; ++j) {
        const std::int64_t at = i + j * lanes<T>;
        if (at < n) add(j, at, n - at);
    }
    return total.fold();
}

template <class T>
__attribute__((noinline)) T sum_all(const T* x, std::int64_t n) {
    if (n == 1) return T(0) + x[0];
    return sum_lanes<Plain, false, short_sum>(x, x, n);
}

template <class T>
__attribute__((noinline)) T sum_magnitudes(const T* x, std::int64_t n) {
    return sum_lanes<Magnitude, false, long_sum>(x, x, n);
}

template <class T>
__attribute__((noinline)) T dot_all(const T* x, const T* y, std::int64_t n) {
    return sum_lanes<Plain, true, short_sum>(x, y, n);
}

template <class T>
__attribute__((noinline)) T sum_squares(const T* x, std::int64_t n) {
    return sum_lanes<Plain, true, long_sum>(x, x, n);
}

// A sum in 16 lanes that is added to in stretches; all but the last are a multiple of 16 long.
template <class T>
struct Lanes {
    Accumulator<T> total;

    __attribute__((noinline)) void add(const T* x, std::int64_t n) {
        Accumulator<T> sum = total;
        for (std::int64_t i = 0; i < n; i += Accumulator<T>::logical_lanes) {
            for (int j = 0; j < sum.parts; ++j) {
                const std::int64_t at = i + j * lanes<T>;
                if (at < n) sum.add(j, load_next(x + at, n - at));
            }
        }
        total = sum;
    }
    [[nodiscard]] __attribute__((noinline)) T fold() const { return total.fold(); }
};

// NaN where there is one, -infinity for none.
template <class T>
__attribute__((noinline)) T max_all(const T* x, std::int64_t n) {
    const Vec<T> lowest = broadcast(-static_cast<T>(__builtin_inf()));
    Vec<T> most = lowest;
    for (std::int64_t i = 0; i < n; i += lanes<T>) {
        const std::int64_t left = n - i;
        Vec<T> v = load_next(x + i, left);
        if (left < lanes<T>) v = select(first_lanes<T>(left), v, lowest);
        most = max(most, v);
    }
    T largest = most[0];
    for (int i = 1; i < lanes<T>; ++i) largest = most[i] > largest || most[i] != most[i] ? most[i] : largest;
    return largest;
}

// The bits of a magnitude order as integers do, with NaN above infinity.
template <class T>
struct Largest {
    IntVec<T> bits_so_far{};

    RG_MEMBER void meet(Vec<T> v) {
        const IntVec<T> magnitude = bits(abs(v));
        bits_so_far = magnitude > bits_so_far ? magnitude : bits_so_far;
    }
    [[nodiscard]] RG_MEMBER T fold() const {
        auto most = bits_so_far[0];
        for (int i = 1; i < lanes<T>; ++i) most = bits_so_far[i] > most ? bits_so_far[i] : most;
        T value;
        __builtin_memcpy(&value, &most, sizeof value);
        return value;
    }
};

template <class T>
T max_magnitude(const T* x, std::int64_t n) {
    Largest<T> even, odd;
    std::int64_t i = 0;
    for (; i + 2 * lanes<T> <= n; i += 2 * lanes<T>) {
        even.meet(load(x + i));
        odd.meet(load(x + i + lanes<T>));
    }
    for (; i < n; i += lanes<T>) even.meet(load_next(x + i, n - i));
    even.meet((Vec<T>)odd.bits_so_far);
    return even.fold();
}

template <class T>
std::int64_t count_zeros(const T* x, std::int64_t n) {
    std::int64_t others = 0;
    for (std::int64_t i = 0; i < n; i += lanes<T>) {
        others += __builtin_popcount(lane_bits(load_next(x + i, n - i) != Vec<T>{}));
    }
    return n - others;
}

// `Vectors` columns of vectors at once: as many independent chains of additions, down the rows in order.
template <int Vectors, class T>
RG_INLINE void sum_some_columns(const T* x, std::int64_t row, std::int64_t rows, T* y, bool accumulate) {
    Vec<T> total[Vectors];
    for (int v = 0; v < Vectors; ++v) total[v] = accumulate ? load<T>(y + v * lanes<T>) : Vec<T>{};
    for (std::int64_t i = 0; i < rows; ++i) {
        for (int v = 0; v < Vectors; ++v) total[v] += load(x + i * row + v * lanes<T>);
    }
    for (int v = 0; v < Vectors; ++v) store(y + v * lanes<T>, total[v]);
}

template <class T>
void sum_columns(const T* x, std::int64_t row, std::int64_t rows, std::int64_t columns, T* y,
                 bool accumulate) {
    std::int64_t j = 0;
    for (; j + 8 * lanes<T> <= columns; j += 8 * lanes<T>)
        sum_some_columns<8>(x + j, row, rows, y + j, accumulate);
    for (; j + 2 * lanes<T> <= columns; j += 2 * lanes<T>)
        sum_some_columns<2>(x + j, row, rows, y + j, accumulate);
    for (; j < columns; j += lanes<T>) {
        const std::int64_t left = columns - j;
        Vec<T> total = accumulate ? load_next<T>(y + j, left) : Vec<T>{};
        for (std::int64_t i = 0; i < rows; ++i) total += load_next(x + i * row + j, left);
        store_next(y + j, total, left);
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
