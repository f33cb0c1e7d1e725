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

// One strip of 16 bytes from each of p, p + step, p + 2 step, ...
template <class T>
RG_INLINE Vec<T> load_strips(const T* p, std::int64_t step) {
#if defined(RG_SIMD_AVX512)
    const __m256 low = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float*)p)),
                                            _mm_loadu_ps((const float*)(p + step)), 1);
    const __m256 high = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float*)(p + 2 * step))),
                                             _mm_loadu_ps((const float*)(p + 3 * step)), 1);
    typedef float Half __attribute__((vector_size(32)));
    return (Vec<T>)__builtin_shufflevector((Half)low, (Half)high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif defined(RG_SIMD_AVX2)
    return (Vec<T>)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps((const float*)p)),
                                        _mm_loadu_ps((const float*)(p + step)), 1);
#else
    static_cast<void>(step);
    return load(p);
#endif
}

// column[q] lane i = p[i * row + q], for a whole square of lanes x lanes.
template <class T>
RG_INLINE void turn_square(const T* p, std::int64_t row, Vec<T>* column) {
    constexpr int strip = 16 / static_cast<int>(sizeof(T));
    for (int first = 0; first < lanes<T>; first += strip) {
        Vec<T> v[strip];
        for (int i = 0; i < strip; ++i) v[i] = load_strips(p + i * row + first, strip * row);
        if constexpr (strip == 4) {
            using Wide = Vec<double>;
            const auto a = (Wide)mix_low(v[0], v[1]), b = (Wide)mix_high(v[0], v[1]);
            const auto c = (Wide)mix_low(v[2], v[3]), d = (Wide)mix_high(v[2], v[3]);
            column[first] = (Vec<T>)mix_low(a, c);
            column[first + 1] = (Vec<T>)mix_high(a, c);
            column[first + 2] = (Vec<T>)mix_low(b, d);
            column[first + 3] = (Vec<T>)mix_high(b, d);
        } else {
            column[first] = mix_low(v[0], v[1]);
            column[first + 1] = mix_high(v[0], v[1]);
        }
    }
}

// The same where only `rows` x `columns` numbers exist; zeros stand for the others.
template <class T>
RG_INLINE void turn_some(const T* p, std::int64_t row, std::int64_t rows, std::int64_t columns, Vec<T>* column) {
    if (rows >= lanes<T> && columns >= lanes<T>) return turn_square(p, row, column);
    T square[lanes<T> * lanes<T>];
    for (int i = 0; i < lanes<T>; ++i) {
        const Vec<T> v = i < rows ? load_next(p + i * row, columns) : Vec<T>{};
        store(square + i * lanes<T>, v);
    }
    turn_square<T>(square, lanes<T>, column);
}

// to[q * to_row + i] = from[i * from_row + q] for i < rows and q < columns; each row of `to` has whole vectors, filled
// with zeros.
template <class T>
void turn_padded(const T* from, std::int64_t from_row, std::int64_t rows, std::int64_t columns, T* to,
                 std::int64_t to_row) {
    for (std::int64_t i = 0; i < rows; i += lanes<T>) {
        for (std::int64_t q = 0; q < columns; q += lanes<T>) {
            Vec<T> column[lanes<T>];
            turn_some(from + i * from_row + q, from_row, rows - i, columns - q, column);
            const std::int64_t some = columns - q < lanes<T> ? columns - q : lanes<T>;
            for (std::int64_t e = 0; e < some; ++e) store(to + (q + e) * to_row + i, column[e]);
        }
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
