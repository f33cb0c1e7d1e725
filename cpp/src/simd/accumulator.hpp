// Many numbers to one, in an order that does not depend on the machine.
#pragma once

#include "vec.hpp"

namespace retrograd::RG_ISA {

/// Half of a vector's lanes, until 16 bytes are left: lane i and lane i + half are joined.
template <class T, int Bytes>
struct Fold {
    typedef T Whole __attribute__((vector_size(Bytes)));
    typedef T Half __attribute__((vector_size(Bytes / 2)));
    template <class Join>
    static RG_MEMBER T run(Whole v, Join join) {
        Half low, high;
        __builtin_memcpy(&low, &v, sizeof low);
        __builtin_memcpy(&high, reinterpret_cast<const char*>(&v) + sizeof low, sizeof high);
        return Fold<T, Bytes / 2>::run(join(low, high), join);
    }
};
template <class T>
struct Fold<T, 16> {
    typedef T Whole __attribute__((vector_size(16)));
    template <class Join>
    static RG_MEMBER T run(Whole v, Join join) {
        if constexpr (sizeof(T) == 4)
            return join(join(T(v[0]), T(v[2])), join(T(v[1]), T(v[3])));
        else
            return join(T(v[0]), T(v[1]));
    }
};

struct JoinSum {
    template <class V>
    RG_MEMBER V operator()(V a, V b) const {
        return a + b;
    }
};
struct JoinMax {
    template <class V>
    RG_MEMBER V operator()(V a, V b) const {
        const V larger = a > b ? a : b;
        return a != a ? a : larger;
    }
};

/// Running values, as many whatever the width of the machine: element i of the stream goes to lane i % Lanes,
/// and the lanes are folded as 16 -> 8 -> 4 -> 2 -> 1 (lane i with lane i + half). So every instruction set
/// with FMA gives the same bits. A partial block of elements leaves the other lanes as they are.
template <class T, int Lanes = 16>
struct Accumulator {
    static constexpr int logical_lanes = Lanes;
    static constexpr int parts = logical_lanes / lanes<T>;
    Vec<T> part[parts];

    explicit RG_MEMBER Accumulator(T start = T(0)) {
        for (int j = 0; j < parts; ++j) part[j] = broadcast(start);
    }
    /// For a maximum: all lanes at -infinity.
    static RG_MEMBER Accumulator lowest() { return Accumulator(-static_cast<T>(__builtin_inff())); }

    /// Part j of the next 16 values: lane += v.
    RG_MEMBER void add(int j, Vec<T> v) { part[j] += v; }
    /// Part j: lane += a * b, with one rounding.
    RG_MEMBER void add_product(int j, Vec<T> a, Vec<T> b) { part[j] = fma(a, b, part[j]); }
    /// Part j: lane = max(lane, v), NaN handed on.
    RG_MEMBER void max(int j, Vec<T> v) { part[j] = RG_ISA::max(part[j], v); }

    RG_MEMBER void add(const T* p) {
        for (int j = 0; j < parts; ++j) add(j, load(p + j * lanes<T>));
    }
    RG_MEMBER void add_product(const T* p, const T* q) {
        for (int j = 0; j < parts; ++j) add_product(j, load(p + j * lanes<T>), load(q + j * lanes<T>));
    }
    RG_MEMBER void max(const T* p) {
        for (int j = 0; j < parts; ++j) max(j, load(p + j * lanes<T>));
    }

    /// The same for the last n < 16 elements of a stream.
    RG_MEMBER void add(const T* p, std::ptrdiff_t n) {
        for (int j = 0; j < parts; ++j) add(j, load_partial(p + start(j, n), count(j, n)));
    }
    RG_MEMBER void add_product(const T* p, const T* q, std::ptrdiff_t n) {
        for (int j = 0; j < parts; ++j) {
            const std::ptrdiff_t from = start(j, n), m = count(j, n);
            add_product(j, load_partial(p + from, m), load_partial(q + from, m));
        }
    }
    RG_MEMBER void max(const T* p, std::ptrdiff_t n) {
        for (int j = 0; j < parts; ++j) {
            const std::ptrdiff_t m = count(j, n);
            max(j, select(first_lanes<T>(m), load_partial(p + start(j, n), m), part[j]));
        }
    }

    /// The sum of the lanes.
    [[nodiscard]] RG_MEMBER T fold() const { return fold(JoinSum{}); }
    /// The largest lane; NaN if one is NaN.
    [[nodiscard]] RG_MEMBER T fold_max() const { return fold(JoinMax{}); }

    /// How many of the n elements of a partial block fall into part j, and where they start (never beyond n).
    static RG_MEMBER std::ptrdiff_t count(int j, std::ptrdiff_t n) {
        const std::ptrdiff_t left = n - j * lanes<T>;
        return left < 0 ? 0 : left < lanes<T> ? left : lanes<T>;
    }
    static RG_MEMBER std::ptrdiff_t start(int j, std::ptrdiff_t n) {
        return j * lanes<T> < n ? j * lanes<T> : n;
    }

  private:
    template <class Join>
    [[nodiscard]] RG_MEMBER T fold(Join join) const {
        Vec<T> v[parts];
        for (int j = 0; j < parts; ++j) v[j] = part[j];
        for (int half = parts / 2; half > 0; half /= 2)
            for (int j = 0; j < half; ++j) v[j] = join(v[j], v[j + half]);
        return Fold<T, RG_VECTOR_BYTES>::run(v[0], join);
    }
};

template <class T>
RG_INLINE T sum(const T* x, std::ptrdiff_t n) {
    Accumulator<T> total;
    std::ptrdiff_t i = 0;
    for (; i + 16 <= n; i += 16) total.add(x + i);
    if (i < n) total.add(x + i, n - i);
    return total.fold();
}

template <class T>
RG_INLINE T dot(const T* x, const T* y, std::ptrdiff_t n) {
    Accumulator<T> total;
    std::ptrdiff_t i = 0;
    for (; i + 16 <= n; i += 16) total.add_product(x + i, y + i);
    if (i < n) total.add_product(x + i, y + i, n - i);
    return total.fold();
}

template <class T>
RG_INLINE T sum_of_squares(const T* x, std::ptrdiff_t n) {
    return dot(x, x, n);
}

/// The largest element, NaN if there is one, -infinity for n = 0.
template <class T>
RG_INLINE T max(const T* x, std::ptrdiff_t n) {
    Accumulator<T> largest = Accumulator<T>::lowest();
    std::ptrdiff_t i = 0;
    for (; i + 16 <= n; i += 16) largest.max(x + i);
    if (i < n) largest.max(x + i, n - i);
    return largest.fold_max();
}

}  // namespace retrograd::RG_ISA
