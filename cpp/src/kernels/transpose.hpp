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
inline constexpr int strip =
    16 / static_cast<int>(sizeof(T));  // elements that are turned at once, of each row

// As many rows as a vector has lanes, `row` elements apart.
template <class T>
struct LaneRows {
    const T* p;
    std::int64_t row;

    [[nodiscard]] RG_MEMBER const T* at(int i) const { return p + i * row; }
};

// The same where only `count` exist: the last one stands for the rest.
template <class T>
struct SomeRows {
    const T* p[lanes<T>];

    RG_MEMBER SomeRows(const T* first, std::int64_t row, std::int64_t count) {
        for (int i = 0; i < lanes<T>; ++i) p[i] = first + (i < count ? i : count - 1) * row;
    }
    [[nodiscard]] RG_MEMBER const T* at(int i) const { return p[i]; }
};

#if defined(RG_SIMD_AVX512) || defined(RG_SIMD_AVX2)
template <class T>
RG_INLINE __m128 load_words(const T* p) {
    return _mm_loadu_ps(reinterpret_cast<const float*>(p));
}
#endif

// column[e] lane i = row i, element q + e, for a strip of elements.
template <class T, class Rows>
RG_INLINE void turn_strip(const Rows& rows, std::int64_t q, Vec<T>* column) {
    constexpr int S = strip<T>;
    Vec<T> v[S];
    for (int i = 0; i < S; ++i) {
        // Each strip comes from memory straight into its place, which spares the one unit that moves between
        // places.
#if defined(RG_SIMD_AVX512)
        __m512 whole = _mm512_zextps128_ps512(load_words(rows.at(i) + q));
        whole = _mm512_mask_broadcast_f32x4(whole, 0x00F0, load_words(rows.at(i + S) + q));
        whole = _mm512_mask_broadcast_f32x4(whole, 0x0F00, load_words(rows.at(i + 2 * S) + q));
        v[i] = (Vec<T>)_mm512_mask_broadcast_f32x4(whole, 0xF000, load_words(rows.at(i + 3 * S) + q));
#elif defined(RG_SIMD_AVX2)
        const __m256 low = _mm256_castps128_ps256(load_words(rows.at(i) + q));
        v[i] = (Vec<T>)_mm256_insertf128_ps(low, load_words(rows.at(i + S) + q), 1);
#else
        static_assert(lanes<T> == S);
        v[i] = load(rows.at(i) + q);
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

// to[q * to_row + i] = row i, element q, for the rows of one vector of lanes and `columns` elements.
template <class T, class Rows>
RG_INLINE void turn_lanes(const Rows& rows, std::int64_t columns, T* to, std::int64_t to_row) {
    Vec<T> column[strip<T>];
    if (columns < strip<T>) {
        for (std::int64_t q = 0; q < columns; ++q) {
            for (int e = 0; e < lanes<T>; ++e) to[q * to_row + e] = rows.at(e)[q];
        }
        return;
    }
    for (std::int64_t q = 0; q < columns; q += strip<T>) {
        const std::int64_t at = q + strip<T> <= columns ? q : columns - strip<T>;  // the last strip laps over
        turn_strip<T>(rows, at, column);
        for (int e = 0; e < strip<T>; ++e) store(to + (at + e) * to_row, column[e]);
    }
}

// to[q * to_row + i] = from[i * from_row + q] for i < rows and q < columns. `to` has whole vectors of i; what
// it holds behind `rows` means nothing.
template <class T>
void turn(const T* from, std::int64_t from_row, std::int64_t rows, std::int64_t columns, T* to,
          std::int64_t to_row) {
    std::int64_t i = 0;
    for (; i + lanes<T> <= rows; i += lanes<T>) {
        turn_lanes<T>(LaneRows<T>{from + i * from_row, from_row}, columns, to + i, to_row);
    }
    if (i < rows)
        turn_lanes<T>(SomeRows<T>(from + i * from_row, from_row, rows - i), columns, to + i, to_row);
}

// The same, with nothing written behind the rows.
template <class T>
void transpose(const T* x, std::int64_t x_row, std::int64_t rows, std::int64_t columns, T* y,
               std::int64_t y_row) {
    const std::int64_t whole = rows / lanes<T> * lanes<T>, rest = rows - whole;
    turn(x, x_row, whole, columns, y, y_row);
    if (rest > 0 && whole > 0) {  // the last vector laps over the one before
        const T* const from = x + (rows - lanes<T>)*x_row;
        return turn_lanes<T>(LaneRows<T>{from, x_row}, columns, y + rows - lanes<T>, y_row);
    }
    if (rest > 2 && columns >= strip<T>) {
        const SomeRows<T> lane(x + whole * x_row, x_row, rest);
        for (std::int64_t j = 0; j < columns; j += strip<T>) {
            const std::int64_t at = j + strip<T> <= columns ? j : columns - strip<T>;
            Vec<T> column[strip<T>];
            turn_strip<T>(lane, at, column);
            for (int e = 0; e < strip<T>; ++e) store_some(y + (at + e) * y_row + whole, column[e], rest);
        }
        return;
    }
    for (std::int64_t j = 0; j < columns; ++j) {
        for (std::int64_t i = whole; i < rows; ++i) y[j * y_row + i] = x[i * x_row + j];
    }
}

}  // namespace
}  // namespace retrograd::RG_ISA
