// Squares of numbers turned about their diagonal in registers.
#pragma once

#include "kernels/loops.hpp"

namespace retrograd::RG_ISA {
namespace {

// Within each strip of 16 bytes, a's and b's elements in turn: of the low halves, or of the high ones.
#if defined(RG_SIMD_AVX512)
RG_INLINE Vec<float> mix_low(Vec<float> a, Vec<float> b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
RG_INLINE Vec<float> mix_high(Vec<float> a, Vec<float> b) {
    return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
RG_INLINE Vec<double> mix_low(Vec<double> a, Vec<double> b) {
    return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
}
RG_INLINE Vec<double> mix_high(Vec<double> a, Vec<double> b) {
    return __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
}
#elif defined(RG_SIMD_AVX2)
RG_INLINE Vec<float> mix_low(Vec<float> a, Vec<float> b) {
    return (Vec<float>)_mm256_unpacklo_ps((__m256)a, (__m256)b);
}
RG_INLINE Vec<float> mix_high(Vec<float> a, Vec<float> b) {
    return (Vec<float>)_mm256_unpackhi_ps((__m256)a, (__m256)b);
}
RG_INLINE Vec<double> mix_low(Vec<double> a, Vec<double> b) {
    return (Vec<double>)_mm256_unpacklo_pd((__m256d)a, (__m256d)b);
}
RG_INLINE Vec<double> mix_high(Vec<double> a, Vec<double> b) {
    return (Vec<double>)_mm256_unpackhi_pd((__m256d)a, (__m256d)b);
}
#else
RG_INLINE Vec<float> mix_low(Vec<float> a, Vec<float> b) { return Vec<float>{a[0], b[0], a[1], b[1]}; }
RG_INLINE Vec<float> mix_high(Vec<float> a, Vec<float> b) { return Vec<float>{a[2], b[2], a[3], b[3]}; }
RG_INLINE Vec<double> mix_low(Vec<double> a, Vec<double> b) { return Vec<double>{a[0], b[0]}; }
RG_INLINE Vec<double> mix_high(Vec<double> a, Vec<double> b) { return Vec<double>{a[1], b[1]}; }
#endif

template <class T>
inline constexpr int strip = 16 / static_cast<int>(sizeof(T));  // elements that are turned at once, of each row

// As many rows as a vector has lanes, `row` elements apart. Where only `count` exist the last one stands for the rest.
template <class T>
struct LaneRows {
    const T* p[lanes<T>];

    RG_MEMBER LaneRows(const T* first, std::int64_t row, std::int64_t count) {
        for (int i = 0; i < lanes<T>; ++i) p[i] = first + (i < count ? i : count - 1) * row;
    }
};

// column[e] lane i = row i, element at + e, for a strip of elements.
template <class T>
RG_INLINE void turn_strip(const LaneRows<T>& rows, std::int64_t at, Vec<T>* column) {
    constexpr int S = strip<T>;
    Vec<T> v[S];
    for (int i = 0; i < S; ++i) {
#if defined(RG_SIMD_AVX512) || defined(RG_SIMD_AVX2)
        typedef float Words __attribute__((vector_size(16)));
        Words part[lanes<T> / S];
        for (int g = 0; g < lanes<T> / S; ++g) __builtin_memcpy(&part[g], rows.p[i + g * S] + at, sizeof part[g]);
        const auto low = __builtin_shufflevector(part[0], part[1], 0, 1, 2, 3, 4, 5, 6, 7);
#if defined(RG_SIMD_AVX512)
        const auto high = __builtin_shufflevector(part[2], part[3], 0, 1, 2, 3, 4, 5, 6, 7);
        v[i] = (Vec<T>)__builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#else
        v[i] = (Vec<T>)low;
#endif
#else
        static_assert(lanes<T> == S);
        v[i] = load(rows.p[i] + at);
#endif
    }
    if constexpr (S == 4) {
        using Wide = Vec<double>;
        const auto a = (Wide)mix_low(v[0], v[1]), b = (Wide)mix_high(v[0], v[1]);
        const auto c = (Wide)mix_low(v[2], v[3]), d = (Wide)mix_high(v[2], v[3]);
        column[0] = (Vec<T>)mix_low(a, c);
        column[1] = (Vec<T>)mix_high(a, c);
        column[2] = (Vec<T>)mix_low(b, d);
        column[3] = (Vec<T>)mix_high(b, d);
    } else {
        column[0] = mix_low(v[0], v[1]);
        column[1] = mix_high(v[0], v[1]);
    }
}

// to[q * to_row + i] = from[i * from_row + q] for i < rows and q < columns. `to` has whole vectors of i; what it holds
// behind `rows` means nothing.
template <class T>
void turn(const T* from, std::int64_t from_row, std::int64_t rows, std::int64_t columns, T* to, std::int64_t to_row) {
    Vec<T> column[strip<T>];
    for (std::int64_t i = 0; i < rows; i += lanes<T>) {
        const LaneRows<T> lane(from + i * from_row, from_row, rows - i);
        if (columns < strip<T>) {
            for (std::int64_t q = 0; q < columns; ++q) {
                for (int e = 0; e < lanes<T>; ++e) to[q * to_row + i + e] = lane.p[e][q];
            }
            continue;
        }
        for (std::int64_t q = 0; q < columns; q += strip<T>) {
            const std::int64_t at = q + strip<T> <= columns ? q : columns - strip<T>;  // the last strip laps over
            turn_strip(lane, at, column);
            for (int e = 0; e < strip<T>; ++e) store(to + (at + e) * to_row + i, column[e]);
        }
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
