// A vector of as many lanes as the instruction set has, for float and double.
//
// Included only by sources that are compiled once per instruction set. Such a source is built with RG_ISA set
// to the name of its namespace; all that is defined here lives in that namespace and is inlined, because a
// symbol shared between instruction sets could be the copy that an older machine cannot run.
//
// Arithmetic, comparisons and bit operations are the compiler's own operators on vectors (a + b, a < b, m &
// n). A comparison gives a Mask: all bits of a lane set, or none. Contraction is off, so a product and a sum
// are fused only where fma() is written, and the same source gives the same bits on every instruction set
// that has FMA.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef RG_ISA
#error "RG_ISA must name the namespace of this instruction set"
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define RG_SIMD_AVX512 1
#define RG_VECTOR_BYTES 64
#elif defined(__AVX2__) && defined(__FMA__)
#define RG_SIMD_AVX2 1
#define RG_VECTOR_BYTES 32
#elif defined(__SSE4_1__)
#define RG_SIMD_SSE4 1
#define RG_VECTOR_BYTES 16
#elif defined(__aarch64__)
#define RG_SIMD_NEON 1
#define RG_VECTOR_BYTES 16
#else
#define RG_VECTOR_BYTES 16
#endif

#if defined(RG_SIMD_AVX512) || defined(RG_SIMD_AVX2) || defined(RG_SIMD_NEON)
#define RG_SIMD_FMA 1
#else
#define RG_SIMD_FMA 0
#endif

#define RG_INLINE static inline __attribute__((always_inline))
#define RG_MEMBER inline __attribute__((always_inline))

namespace retrograd::RG_ISA {

inline constexpr bool has_fma = RG_SIMD_FMA != 0;

template <class T>
struct VecOf;
template <>
struct VecOf<float> {
    typedef float type __attribute__((vector_size(RG_VECTOR_BYTES)));
    typedef std::uint32_t unsigned_type __attribute__((vector_size(RG_VECTOR_BYTES)));
};
template <>
struct VecOf<double> {
    typedef double type __attribute__((vector_size(RG_VECTOR_BYTES)));
    typedef std::uint64_t unsigned_type __attribute__((vector_size(RG_VECTOR_BYTES)));
};

/// RG_VECTOR_BYTES bytes of T, float or double.
template <class T>
using Vec = typename VecOf<T>::type;
/// Signed integers, as many and as wide as the lanes of Vec<T>.
template <class T>
using IntVec = decltype(Vec<T>{} < Vec<T>{});
/// What a comparison gives: per lane -1 (true) or 0.
template <class T>
using Mask = IntVec<T>;
/// The same without sign: for sums that wrap around, which signed integers must not.
template <class T>
using UIntVec = typename VecOf<T>::unsigned_type;

template <class T>
inline constexpr int lanes = static_cast<int>(RG_VECTOR_BYTES / sizeof(T));

/// The types that belong to a vector type: for templates over V.
template <class V>
struct VecTraits;
template <>
struct VecTraits<Vec<float>> {
    using Scalar = float;
};
template <>
struct VecTraits<Vec<double>> {
    using Scalar = double;
};
template <>
struct VecTraits<IntVec<float>> {
    using Scalar = float;
};
template <>
struct VecTraits<IntVec<double>> {
    using Scalar = double;
};
template <>
struct VecTraits<UIntVec<float>> {
    using Scalar = float;
};
template <>
struct VecTraits<UIntVec<double>> {
    using Scalar = double;
};

/// The floating type whose lanes V has: float for Vec<float> and IntVec<float>.
template <class V>
using Scalar = typename VecTraits<V>::Scalar;
template <class V>
using MaskOf = Mask<Scalar<V>>;
template <class V>
using IntOf = IntVec<Scalar<V>>;
template <class V>
using UIntOf = UIntVec<Scalar<V>>;

template <class T>
RG_INLINE Vec<T> broadcast(T value) {
    return value - Vec<T>{};  // the operators broadcast a scalar; x - 0 keeps -0 and NaN
}

template <class T>
RG_INLINE Vec<T> zeros() {
    return Vec<T>{};
}

// ---- memory ---------------------------------------------------------------------------------------------

template <class T>
RG_INLINE Vec<T> load(const T* p) {
    Vec<T> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T>
RG_INLINE void store(T* p, Vec<T> v) {
    __builtin_memcpy(p, &v, sizeof v);
}

/// Has v in a register from here on: a compiler that is short of them would read it from memory at each use,
/// which takes twice as long where it crosses a line of the cache.
template <class V>
RG_INLINE void keep(V& v) {
#if defined(RG_SIMD_AVX512)
    __asm__("" : "+v"(v));
#elif defined(__x86_64__)
    __asm__("" : "+x"(v));
#elif defined(__aarch64__)
    __asm__("" : "+w"(v));
#else
    (void)v;
#endif
}

/// 0, 1, 2, ...
template <class T>
RG_INLINE IntVec<T> lane_index() {
    IntVec<T> v{};
    for (int i = 0; i < lanes<T>; ++i) v[i] = i;
    return v;
}

/// True in the first n lanes.
template <class T>
RG_INLINE Mask<T> first_lanes(std::ptrdiff_t n) {
    return lane_index<T>() < (IntVec<T>{} + static_cast<decltype(IntVec<T>{}[0] + 0)>(n));
}

/// The first n elements (0 <= n <= lanes) and zeros; nothing beyond p + n is touched.
RG_INLINE Vec<float> load_partial(const float* p, std::ptrdiff_t n) {
#if defined(RG_SIMD_AVX512)
    return (Vec<float>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), p);
#elif defined(RG_SIMD_AVX2)
    return (Vec<float>)_mm256_maskload_ps(p, (__m256i)first_lanes<float>(n));
#else
    Vec<float> v{};
    for (std::ptrdiff_t i = 0; i < n; ++i) v[i] = p[i];
    return v;
#endif
}

RG_INLINE Vec<double> load_partial(const double* p, std::ptrdiff_t n) {
#if defined(RG_SIMD_AVX512)
    return (Vec<double>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1u), p);
#elif defined(RG_SIMD_AVX2)
    return (Vec<double>)_mm256_maskload_pd(p, (__m256i)first_lanes<double>(n));
#else
    Vec<double> v{};
    for (std::ptrdiff_t i = 0; i < n; ++i) v[i] = p[i];
    return v;
#endif
}

/// Writes the first n lanes (0 <= n <= lanes) and nothing else.
RG_INLINE void store_partial(float* p, Vec<float> v, std::ptrdiff_t n) {
#if defined(RG_SIMD_AVX512)
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), (__m512)v);
#elif defined(RG_SIMD_AVX2)
    _mm256_maskstore_ps(p, (__m256i)first_lanes<float>(n), (__m256)v);
#else
    for (std::ptrdiff_t i = 0; i < n; ++i) p[i] = v[i];
#endif
}

RG_INLINE void store_partial(double* p, Vec<double> v, std::ptrdiff_t n) {
#if defined(RG_SIMD_AVX512)
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1u), (__m512d)v);
#elif defined(RG_SIMD_AVX2)
    _mm256_maskstore_pd(p, (__m256i)first_lanes<double>(n), (__m256d)v);
#else
    for (std::ptrdiff_t i = 0; i < n; ++i) p[i] = v[i];
#endif
}

// ---- bits and choices -----------------------------------------------------------------------------------

/// The bits of the lanes as signed integers, and back.
template <class V>
RG_INLINE IntOf<V> bits(V v) {
    return (IntOf<V>)v;
}

template <class V>
RG_INLINE UIntOf<V> unsigned_bits(V v) {
    return (UIntOf<V>)v;
}

template <class T>
RG_INLINE Vec<T> from_bits(IntVec<T> b) {
    return (Vec<T>)b;
}

/// mask ? a : b, lane by lane.
template <class V>
RG_INLINE V select(MaskOf<V> mask, V a, V b) {
    return mask ? a : b;
}

/// Bit i of the result is lane i of the mask.
RG_INLINE std::uint32_t lane_bits(Mask<float> m) {
#if defined(RG_SIMD_AVX512)
    return static_cast<std::uint32_t>(_mm512_movepi32_mask((__m512i)m));
#elif defined(RG_SIMD_AVX2)
    return static_cast<std::uint32_t>(_mm256_movemask_ps((__m256)m));
#elif defined(RG_SIMD_SSE4)
    return static_cast<std::uint32_t>(_mm_movemask_ps((__m128)m));
#else
    const Mask<float> weight = {1, 2, 4, 8}, kept = m & weight;
    return static_cast<std::uint32_t>(kept[0] | kept[1] | kept[2] | kept[3]);
#endif
}

RG_INLINE std::uint32_t lane_bits(Mask<double> m) {
#if defined(RG_SIMD_AVX512)
    return static_cast<std::uint32_t>(_mm512_movepi64_mask((__m512i)m));
#elif defined(RG_SIMD_AVX2)
    return static_cast<std::uint32_t>(_mm256_movemask_pd((__m256d)m));
#elif defined(RG_SIMD_SSE4)
    return static_cast<std::uint32_t>(_mm_movemask_pd((__m128d)m));
#else
    const Mask<double> weight = {1, 2}, kept = m & weight;
    return static_cast<std::uint32_t>(kept[0] | kept[1]);
#endif
}

/// Writes first + i for each lane i that is set, in rising order, and tells how many there are. What stands
/// behind them, up to a whole vector, may be overwritten.
template <class T>
RG_INLINE std::int64_t store_set_lanes(Mask<T> m, std::int64_t first, std::int32_t* to) {
#if defined(RG_SIMD_AVX512)
    if constexpr (sizeof(T) == 4) {
        const __mmask16 set = _mm512_movepi32_mask((__m512i)m);
        const auto numbers = (__m512i)(lane_index<T>() + static_cast<std::int32_t>(first));
        _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(set, numbers));
        return __builtin_popcount(set);
    }
#endif
    std::int64_t n = 0;
    for (std::uint32_t set = lane_bits(m); set != 0; set &= set - 1) {
        to[n++] = static_cast<std::int32_t>(first + __builtin_ctz(set));
    }
    return n;
}

/// One lane at least is set.
template <class M>
RG_INLINE bool any(M m) {
#if defined(RG_SIMD_NEON)
    return vmaxvq_u32((uint32x4_t)m) != 0;
#else
    return lane_bits(m) != 0;
#endif
}

template <class M>
RG_INLINE bool all(M m) {
    return !any(~m);
}

// ---- arithmetic -----------------------------------------------------------------------------------------

/// a * b + c: one rounding where the instruction set has FMA, two on the baseline.
RG_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(RG_SIMD_AVX512)
    return (Vec<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(RG_SIMD_AVX2)
    return (Vec<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(RG_SIMD_NEON)
    return (Vec<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

RG_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(RG_SIMD_AVX512)
    return (Vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(RG_SIMD_AVX2)
    return (Vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(RG_SIMD_NEON)
    return (Vec<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}

RG_INLINE Vec<float> sqrt(Vec<float> x) {
#if defined(RG_SIMD_AVX512)
    return (Vec<float>)_mm512_maskz_sqrt_ps(0xFFFF, (__m512)x);
#elif defined(RG_SIMD_AVX2)
    return (Vec<float>)_mm256_sqrt_ps((__m256)x);
#elif defined(RG_SIMD_SSE4)
    return (Vec<float>)_mm_sqrt_ps((__m128)x);
#elif defined(RG_SIMD_NEON)
    return (Vec<float>)vsqrtq_f32((float32x4_t)x);
#else
    for (int i = 0; i < lanes<float>; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
#endif
}

RG_INLINE Vec<double> sqrt(Vec<double> x) {
#if defined(RG_SIMD_AVX512)
    return (Vec<double>)_mm512_maskz_sqrt_pd(0xFF, (__m512d)x);
#elif defined(RG_SIMD_AVX2)
    return (Vec<double>)_mm256_sqrt_pd((__m256d)x);
#elif defined(RG_SIMD_SSE4)
    return (Vec<double>)_mm_sqrt_pd((__m128d)x);
#elif defined(RG_SIMD_NEON)
    return (Vec<double>)vsqrtq_f64((float64x2_t)x);
#else
    for (int i = 0; i < lanes<double>; ++i) x[i] = __builtin_sqrt(x[i]);
    return x;
#endif
}

/// All bits of a lane set but the sign: integers of the width of T.
template <class T>
RG_INLINE IntVec<T> magnitude_bits() {
    return (IntVec<T>)(~UIntVec<T>{} >> 1);
}

template <class V>
RG_INLINE V abs(V x) {
    return (V)(bits(x) & magnitude_bits<Scalar<V>>());
}

/// The magnitude of x with the sign of s.
template <class V>
RG_INLINE V copysign(V x, V s) {
    const auto magnitude = magnitude_bits<Scalar<V>>();
    return (V)((bits(x) & magnitude) | (bits(s) & ~magnitude));
}

/// The sign bit of x, and nothing else: what bits are xor-ed with to hand the sign on.
template <class V>
RG_INLINE IntOf<V> sign_bits(V x) {
    return bits(x) & ~magnitude_bits<Scalar<V>>();
}

/// The smaller one; NaN if either is NaN. Plain vector minima drop a NaN, this one hands it on.
template <class V>
RG_INLINE V min(V a, V b) {
    const V smaller = a < b ? a : b;  // b where either is NaN
    return a != a ? a : smaller;
}

/// The larger one; NaN if either is NaN.
template <class V>
RG_INLINE V max(V a, V b) {
    const V larger = a > b ? a : b;
    return a != a ? a : larger;
}

/// To the nearest integer, halves to even. The sign of zero is kept.
RG_INLINE Vec<float> round_nearest(Vec<float> x) {
#if defined(RG_SIMD_AVX512)
    return (Vec<float>)_mm512_maskz_roundscale_ps(0xFFFF, (__m512)x,
                                                  _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(RG_SIMD_AVX2)
    return (Vec<float>)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(RG_SIMD_SSE4)
    return (Vec<float>)_mm_round_ps((__m128)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(RG_SIMD_NEON)
    return (Vec<float>)vrndnq_f32((float32x4_t)x);
#else
    const Vec<float> edge = broadcast(8388608.0f), a = abs(x);
    return select(a < edge, copysign((a + edge) - edge, x), x);
#endif
}

RG_INLINE Vec<double> round_nearest(Vec<double> x) {
#if defined(RG_SIMD_AVX512)
    return (Vec<double>)_mm512_maskz_roundscale_pd(0xFF, (__m512d)x,
                                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(RG_SIMD_AVX2)
    return (Vec<double>)_mm256_round_pd((__m256d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(RG_SIMD_SSE4)
    return (Vec<double>)_mm_round_pd((__m128d)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(RG_SIMD_NEON)
    return (Vec<double>)vrndnq_f64((float64x2_t)x);
#else
    const Vec<double> edge = broadcast(4503599627370496.0), a = abs(x);
    return select(a < edge, copysign((a + edge) - edge, x), x);
#endif
}

/// The largest integer that is not above x. The sign of zero is kept.
template <class V>
RG_INLINE V floor(V x) {
    const V nearest = round_nearest(x);
    const V lower = nearest - broadcast<Scalar<V>>(1);
    return copysign(select(nearest > x, lower, nearest), x);
}

template <class V>
RG_INLINE MaskOf<V> isnan(V x) {
    return x != x;
}

/// True where x is neither infinite nor NaN.
template <class V>
RG_INLINE MaskOf<V> isfinite(V x) {
    return abs(x) < broadcast(static_cast<Scalar<V>>(__builtin_inff()));
}

/// 0 where x is below the smallest normal number, with which a processor needs a hundred times as long.
template <class V>
RG_INLINE V without_denormals(V x) {
    constexpr Scalar<V> smallest = sizeof(Scalar<V>) == 4 ? Scalar<V>(0x1p-126) : Scalar<V>(0x1p-1022);
    return select(abs(x) < broadcast(smallest), V{}, x);
}

// ---- numbers to integers and back -----------------------------------------------------------------------

/// Adding it to |x| < 2^22 (float), 2^51 (double) rounds x to an integer, which then stands in the low bits.
template <class T>
inline constexpr T rounding_shift = sizeof(T) == 4 ? T(0x1.8p23) : T(0x1.8p52);

/// Nearest integers, halves to even; |x| < 2^22 for float, 2^51 for double.
template <class T>
RG_INLINE IntVec<T> to_int_of(Vec<T> x) {
    const Vec<T> shift = broadcast(rounding_shift<T>);
    return (IntVec<T>)(unsigned_bits(x + shift) - unsigned_bits(shift));
}
RG_INLINE IntVec<float> to_int(Vec<float> x) { return to_int_of<float>(x); }
RG_INLINE IntVec<double> to_int(Vec<double> x) { return to_int_of<double>(x); }

/// Integers to numbers, exact; |i| < 2^22 for float, 2^51 for double.
template <class T>
RG_INLINE Vec<T> to_float_of(IntVec<T> i) {
    const Vec<T> shift = broadcast(rounding_shift<T>);
    return (Vec<T>)((UIntVec<T>)i + unsigned_bits(shift)) - shift;
}
RG_INLINE Vec<float> to_float(IntVec<float> i) { return to_float_of<float>(i); }
RG_INLINE Vec<double> to_float(IntVec<double> i) { return to_float_of<double>(i); }

}  // namespace retrograd::RG_ISA
