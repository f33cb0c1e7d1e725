// Elementary functions on vectors of float and double.
//
// No libm, no tables of values, no branches (but one, for enormous angles): a polynomial or two per function
// and type, the choices made by select(). All fused operations are written as fma(), so the results have the
// same bits on every instruction set that has FMA; the baseline rounds twice instead and may differ in the
// last bits, within the same bounds.
//
// "ulp a, b" is the largest error found by tests/cpp/vector_math over arguments of all sizes, in units in the
// last place, for float (every 13th of all floats) and double (30 million numbers), with FMA; without, it is
// at most 0.3 more. The bounds that the test enforces are a little wider. NaN gives NaN, results go through
// subnormals to zero, and odd functions keep the sign of zero. Rounding to nearest and subnormals that are
// not flushed are assumed.
//
// The coefficients are derived by coefficients.py.
#pragma once

#include "vec.hpp"

// What a loop calls is a part of it, but for the baseline, where each function stands once: machines from
// before 2013 may be slow, and a wheel is to be small.
#if defined(RG_SIMD_SSE4)
#define RG_FUNCTION static __attribute__((noinline))
#else
#define RG_FUNCTION RG_INLINE
#endif

namespace retrograd::RG_ISA {

// ---- shared pieces --------------------------------------------------------------------------------------

template <class V>
inline constexpr bool is_float = sizeof(Scalar<V>) == 4;

/// A constant in every lane.
template <class V>
RG_INLINE V constant(double value) {
    return broadcast(static_cast<Scalar<V>>(value));
}

/// c0 + c1 z + c2 z^2 + ..., by Horner's rule.
template <class V>
RG_INLINE V horner(V, Scalar<V> last) {
    return broadcast(last);
}
template <class V, class... Rest>
RG_INLINE V horner(V z, Scalar<V> first, Rest... rest) {
    return fma(horner(z, rest...), z, broadcast(first));
}

/// The rounding error of product = a * b.
template <class V>
RG_INLINE V product_error(V a, V b, V product) {
    if constexpr (has_fma) {
        return fma(a, b, -product);
    } else {  // Dekker: halves of the digits, whose products are exact
        const V splitter = constant<V>(is_float<V> ? 4097.0 : 134217729.0);
        const V as = a * splitter, bs = b * splitter;
        const V ah = as - (as - a), bh = bs - (bs - b);
        const V al = a - ah, bl = b - bh;
        return ((ah * bh - product) + ah * bl + al * bh) + al * bl;
    }
}

/// a * b + c with the digits of a fused operation even where there is none; a * b close to -c.
template <class V>
RG_INLINE V fused(V a, V b, V c) {
    if constexpr (has_fma) {
        return fma(a, b, c);
    } else {
        const V product = a * b;
        return (product + c) + product_error(a, b, product);
    }
}

template <class T>
inline constexpr int mantissa_bits = sizeof(T) == 4 ? 23 : 52;

/// The bits of 1: the exponent bias in its place.
template <class V>
RG_INLINE UIntOf<V> one_bits() {
    return unsigned_bits(constant<V>(1));
}

template <class V>
RG_INLINE V infinity() {
    return constant<V>(__builtin_inf());
}

/// Rounded to an integer k: as a number, and as the low bits of `shifted`.
template <class V>
struct Rounded {
    V k;
    UIntOf<V> shifted;
};
template <class V>
RG_INLINE Rounded<V> round_product(V x, double factor) {
    const V shift = broadcast(rounding_shift<Scalar<V>>);
    const V sum = fma(x, constant<V>(factor), shift);
    return {sum - shift, unsigned_bits(sum)};
}

/// 2^k, k in the normal range. The other bits of the shift are pushed out at the top.
template <class V>
RG_INLINE V power_of_two(UIntOf<V> shifted) {
    return (V)((shifted << mantissa_bits<Scalar<V>>)+one_bits<V>());
}

/// x 2^k where that is normal; not for NaN, whose bits it would change.
template <class V>
RG_INLINE V scale_normal(V x, UIntOf<V> shifted) {
    return (V)(unsigned_bits(x) + (shifted << mantissa_bits<Scalar<V>>));
}

RG_INLINE Vec<float> scale_once(Vec<float> x, Vec<float> k) {
#if defined(RG_SIMD_AVX512)
    return (Vec<float>)_mm512_maskz_scalef_ps(0xFFFF, (__m512)x, (__m512)k);
#else
    (void)k;
    return x;
#endif
}
RG_INLINE Vec<double> scale_once(Vec<double> x, Vec<double> k) {
#if defined(RG_SIMD_AVX512)
    return (Vec<double>)_mm512_maskz_scalef_pd(0xFF, (__m512d)x, (__m512d)k);
#else
    (void)k;
    return x;
#endif
}

/// x 2^k with 1/2 < x < 2, for any k that exp can ask for: two steps, the first exact, so it is rounded once.
template <class V>
RG_INLINE V scale(V x, Rounded<V> by) {
#if defined(RG_SIMD_AVX512)
    return scale_once(x, by.k);
#else
    const auto half = round_product(by.k, 0.5);
    return x * power_of_two<V>(half.shifted) * power_of_two<V>(by.shifted - half.shifted);
#endif
}

inline constexpr double log2_e = 1.4426950408889634;

/// ln 2 in two parts, the first so short that k ln2_high is exact for every exponent k.
template <class T>
inline constexpr T ln2_high = sizeof(T) == 4 ? T(0.693145752f) : T(0.6931471805601177);
template <class T>
inline constexpr T ln2_low = sizeof(T) == 4 ? T(1.42860677e-06f) : T(-1.7239444525614835e-13);

/// x = k ln 2 + r, |r| <= ln(2) / 2.
template <class V>
struct ExpArgument {
    V r;
    V r1;  // x - k ln2_high, exact
    Rounded<V> by;
};
template <class V>
RG_INLINE ExpArgument<V> reduce_exp(V x) {
    using T = Scalar<V>;
    const auto by = round_product(x, log2_e);
    const V r1 = fma(by.k, broadcast(-ln2_high<T>), x);
    return {fma(by.k, broadcast(-ln2_low<T>), r1), r1, by};
}

/// (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2.
template <class V>
RG_INLINE V exp_tail(V r) {
    if constexpr (is_float<V>)
        return horner(r, 0.49999997f, 0.16666542f, 0.0416672044f, 0.00836664718f, 0.00138824352f);
    else
        return horner(r, 0.5, 0.16666666666666677, 0.041666666666666505, 0.0083333333333215145,
                      0.0013888888888963491, 0.0001984126988647506, 2.4801587171030973e-05,
                      2.7557243806256665e-06, 2.7557403324501745e-07, 2.5109194459788759e-08,
                      2.0875305683599721e-09);
}

/// e^r for |r| <= ln(2) / 2.
template <class V>
RG_INLINE V exp_reduced(V r) {
    const V one = constant<V>(1);
    return fma(fma(exp_tail(r), r, one), r, one);
}

/// e^x where the result is normal.
template <class V>
RG_FUNCTION V exp_normal(V x) {
    const auto a = reduce_exp(x);
    return scale_normal(exp_reduced(a.r), a.by.shifted);
}

/// Below the first exp is zero, above the second infinite; in between the reduction holds.
template <class T>
inline constexpr T exp_lowest = sizeof(T) == 4 ? T(-105) : T(-747);
template <class T>
inline constexpr T exp_highest = sizeof(T) == 4 ? T(89) : T(710);

/// e^x for x that is not above 0 (or NaN).
template <class V>
RG_FUNCTION V exp_not_positive(V x) {
    const V lowest = broadcast(exp_lowest<Scalar<V>>);
    const auto a = reduce_exp(select(lowest > x, lowest, x));  // this order keeps NaN, in one instruction
    return scale(exp_reduced(a.r), a.by);
}

/// x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for x positive and normal. f is exact.
template <class V>
struct LogArgument {
    V f;
    V e;
    UIntOf<V> exponent_bits;  // e + the bias
};
template <class V>
RG_INLINE LogArgument<V> split_log(V x) {
    using T = Scalar<V>;
    constexpr int shift = mantissa_bits<T>;
    const UIntOf<V> root = unsigned_bits(constant<V>(0.70710678118654752));
    const UIntOf<V> moved = unsigned_bits(x) - root;
    const UIntOf<V> mantissa = moved & (~UIntOf<V>{} >> (sizeof(T) * 8 - shift));
    const UIntOf<V> exponent = (moved + one_bits<V>()) >> shift;
    // an integer below 2^mantissa_bits becomes a number by setting it under the exponent of that power
    const V power = constant<V>(is_float<V> ? 8388608.0 : 4503599627370496.0);
    const V e = (V)(exponent | unsigned_bits(power)) - (power + constant<V>(is_float<V> ? 127 : 1023));
    return {(V)(mantissa + root) - constant<V>(1), e, exponent};
}

/// log(1 + f) + e ln 2 for the range of split_log.
template <class V>
RG_INLINE V log_reduced(V f, V e) {
    using T = Scalar<V>;
    const V high = broadcast(ln2_high<T>), low = broadcast(ln2_low<T>);
    if constexpr (is_float<V>) {
        const V q = horner(f, -0.499999881f, 0.333333254f, -0.250015855f, 0.200019747f, -0.166090548f,
                           0.141817778f, -0.132431909f, 0.129048482f, -0.0762177333f);
        return fma(e, high, f + fma(f * f, q, e * low));
    } else {
        // with s = f / (2 + f): log(1 + f) = 2 s + s z p(z) = f - (f^2 / 2 - s (f^2 / 2 + z p(z))), z = s^2
        const V s = f / (f + constant<V>(2)), z = s * s, half_square = constant<V>(0.5) * f * f;
        const V p =
            horner(z, 0.6666666666666734, 0.39999999999416069, 0.28571428742099575, 0.22222198600677842,
                   0.18183562994489821, 0.15314082365166731, 0.14795652047402399);
        return fma(e, high, f - (half_square - fma(s, fma(z, p, half_square), e * low)));
    }
}

template <class V>
RG_INLINE V smallest_normal() {
    return constant<V>(is_float<V> ? 0x1p-126 : 0x1p-1022);
}

/// A positive number as 2^e (1 + f), subnormals included.
template <class V>
RG_INLINE LogArgument<V> split_log_any(V x) {
    const MaskOf<V> small = x < smallest_normal<V>();
    auto a = split_log(select(small, x * constant<V>(0x1p54), x));
    a.e = select(small, a.e - constant<V>(54), a.e);
    return a;
}

/// What log is for x = 0, below 0, infinity and NaN, where `result` is not it already.
template <class V>
RG_INLINE V log_special(V x, V result) {
    const V zero{};
    result = select(x < infinity<V>(), result, x);  // infinity and NaN hand on themselves
    result = select(x == zero, -infinity<V>(), result);
    return select(x < zero, constant<V>(__builtin_nan("")), result);
}

// ---- exponentials ---------------------------------------------------------------------------------------

/// e^x. x = k ln 2 + r, polynomial of degree 6 (float), 12 (double). ulp 0.92, 0.87.
template <class V>
RG_FUNCTION V exp(V x) {
    const V highest = broadcast(exp_highest<Scalar<V>>);
    return exp_not_positive(select(highest < x, highest, x));
}

/// e^x - 1, also near 0. e^r - 1 = r + r^2 q(r), then 2^k (e^r - 1) + (2^k - 1) in one rounding. ulp 1.6,
/// 1.6.
template <class V>
RG_FUNCTION V expm1(V x) {
    using T = Scalar<V>;
    const V highest = broadcast(exp_highest<T>), lowest = constant<V>(is_float<V> ? -20 : -40);
    const V half = constant<V>(0.5);
    V y = select(highest < x, highest, x);
    y = select(lowest > y, lowest, y);
    const auto a = reduce_exp(y);
    const V low = fma(a.by.k, broadcast(-ln2_low<T>), a.r1 - a.r);  // what the rounding of r lost
    const V p = fma(a.r * a.r, exp_tail(a.r), low) + a.r;
    // half the result, because 2^k itself may overflow where the result does not
    const V s = scale_normal(half, a.by.shifted);
    const V result = fma(s, p, s - half);
    return select(abs(x) < constant<V>(is_float<V> ? 0x1p-26 : 0x1p-55), x, result + result);
}

/// 1 / (1 + e^-x), through e = e^-|x| so that both tails are accurate. ulp 2.0, 2.0.
template <class V>
RG_FUNCTION V sigmoid(V x) {
    const V e = exp_not_positive(-abs(x)), one = constant<V>(1);
    const V s = select(x < V{}, e, one) / (one + e);
    return select(x < constant<V>(-1.4), fma(-e, s, e), s);  // e - e s: without the rounding of 1 + e
}

/// tanh x. |x| <= 0.625: x + x^3 p(x^2), p of degree 4 (float), 10 (double); above: 1 - 2 / (e^2|x| + 1).
/// ulp 1.4, 1.4.
template <class V>
RG_FUNCTION V tanh(V x) {
    const V one = constant<V>(1), two = constant<V>(2);
    const V a = abs(x), z = x * x, limit = constant<V>(is_float<V> ? 10 : 20);
    V p;
    if constexpr (is_float<V>)
        p = horner(z, -0.333332807f, 0.133314416f, -0.0537397154f, 0.0206390861f, -0.00570498547f);
    else
        p = horner(z, -0.33333333333332854, 0.13333333333262098, -0.053968253931270319, 0.021869487576147682,
                   -0.0088632210032391599, 0.0035919891780728653, -0.0014549588968003691,
                   0.00058631659298489245, -0.00022856430143256798, 7.7144453114482355e-05,
                   -1.6072604967592577e-05);
    const V near = fma(a * z, p, a);
    const V far = one - two / (exp_normal(two * select(limit < a, limit, a)) + one);
    return copysign(select(a > constant<V>(0.625), far, near), x);
}

// ---- logarithms -----------------------------------------------------------------------------------------

/// log x. x = 2^e (1 + f); float: f + f^2 q(f), q of degree 8; double: s = f / (2 + f), degree 6 in s^2.
/// ulp 0.84, 0.83.
template <class V>
RG_FUNCTION V log(V x) {
    const auto a = split_log_any(x);
    return log_special(x, log_reduced(a.f, a.e));
}

/// log(1 + x), also near 0. u = 1 + x and its rounding error c; the f of u is corrected by c 2^-e. ulp 1.5,
/// 1.4.
template <class V>
RG_FUNCTION V log1p(V x) {
    using T = Scalar<V>;
    const V one = constant<V>(1);
    const V u = one + x, from_x = u - one;
    const V c = (x - from_x) + (one - (u - from_x));
    const auto a = split_log(u);
    const V inverse_power = (V)((one_bits<V>() + one_bits<V>()) - (a.exponent_bits << mantissa_bits<T>));
    const V relative = select(u < constant<V>(0x1p60), inverse_power, V{});  // no 2^-e for the largest u
    const V result = log_reduced(fma(c, relative, a.f), a.e);
    return copysign(log_special(u, result), x);
}

/// log(1 + e^x) = max(x, 0) + log1p(e^-|x|). ulp 1.8, 1.8.
template <class V>
RG_FUNCTION V softplus(V x) {
    const V zero{}, one = constant<V>(1);
    const V t = exp_not_positive(-abs(x));
    const V u = one + t;
    const auto a = split_log(u);  // 1 <= u <= 2, so e is 0 or 1
    const V c = (t - (u - one)) * select(a.e > zero, constant<V>(0.5), one);
    const V result = log_reduced(a.f + c, a.e) + select(x > zero, x, zero);
    return x != x ? x : result;
}

// ---- the error function ---------------------------------------------------------------------------------

/// erf x. |x| <= 1: x + x p(x^2), p of degree 6 (float), 11 (double); above: 1 - exp(-q(|x| - 1)), q of
/// degree 6 (float), 17 (double). ulp 1.1, 1.2.
template <class V>
RG_FUNCTION V erf(V x) {
    const V one = constant<V>(1), a = abs(x), z = x * x, limit = constant<V>(is_float<V> ? 3.95 : 5.95);
    const V u = select(limit < a, limit, a) - one;
    V p, q;
    if constexpr (is_float<V>) {
        p = horner(z, 0.128379166f, -0.37612626f, 0.112835839f, -0.0268537663f, 0.00518823182f,
                   -0.000800926879f, 7.85053562e-05f);
        q = horner(u, 1.84960556f, 2.6389668f, 0.843117416f, 0.0415040404f, -0.0098962551f, 0.00182990462f,
                   -0.000186502511f);
    } else {
        p = horner(z, 0.12837916709551256, -0.37612638903183515, 0.11283791670944079, -0.026866170643093983,
                   0.0052239776059706524, -0.00085483259220447527, 0.00012055293354598895,
                   -1.4924707946839995e-05, 1.6447076880327129e-06, -1.6205888151655743e-07,
                   1.370911211549883e-08, -7.7759329541889253e-10);
        q = horner(u, 1.8496055099332482, 2.6389675142347788, 0.84310725635927686, 0.04156109802751632,
                   -0.010033825202353077, 0.0019779013493683335, -0.00023731693473425433,
                   -2.6295046210067902e-05, 2.719665211824197e-05, -9.6683385981884528e-06,
                   2.1290296775197846e-06, -2.027645876418625e-07, -5.9064960577273494e-08,
                   3.3781867113726017e-08, -8.6201487889058717e-09, 1.3365375653184151e-09,
                   -1.2110709057718486e-10, 4.9467047784271271e-12);
    }
    return copysign(select(a > one, one - exp_normal(-q), fma(a, p, a)), x);
}

// ---- circular functions ---------------------------------------------------------------------------------

/// x = k pi/2 + r + low, |r| <= pi/4.
template <class V>
struct CircleArgument {
    V r;
    V low;
    UIntOf<V> quadrant;  // k in the two lowest bits
};

/// x / (pi/2) = an integer + high + low, for any finite |x| > 1: the bits of 2/pi that matter, times the
/// digits of x. Returns the integer, modulo 4. Seldom called, so it is one function and not inlined.
[[maybe_unused, gnu::noinline, gnu::cold]] static int quarter_turns(double x, double* high, double* low) {
    static constexpr std::uint32_t two_over_pi[] = {
        // the binary digits after the point, in groups of 32
        0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB, 0xDEBBC561,
        0xB7246E3A, 0x424DD2E0, 0x06492EEA, 0x09D1921C, 0xFE1DEB1C, 0xB129A73E, 0xE88235F5, 0x2EBB4484,
        0xE99C7026, 0xB45F7E41, 0x3991D639, 0x835339F4, 0x9C845F8B, 0xBDF9283B, 0x1FF897FF, 0xDE05980F,
        0xEF2F118B, 0x5A0A6D1F, 0x6D367ECF, 0x27CB09B7, 0x4F463F66, 0x9E5FEA2D, 0x7527BAC7, 0xEBE5F17B,
        0x3D0739F7, 0x8A5292EA, 0x6BFB5FB1, 0x1F8D5D08, 0x56033046, 0xFC7B6BAB};
    std::uint64_t pattern = 0;
    __builtin_memcpy(&pattern, &x, sizeof x);
    const int exponent = static_cast<int>(pattern >> 52 & 0x7FF) - 1075;  // x = digits 2^exponent
    const std::uint64_t digits = (pattern & 0xFFFFFFFFFFFFF) | 0x10000000000000;
    // 2/pi has no use for bits whose product with x is a multiple of 4
    const int first = exponent < 34 ? 0 : (exponent - 2) / 32;
    constexpr int window = 7;
    std::uint32_t product[window + 6] = {};  // digits * window, lowest word first, and zeros
    for (int half = 0; half < 2; ++half) {
        const std::uint64_t factor = half == 0 ? digits & 0xFFFFFFFF : digits >> 32;
        std::uint64_t carry = 0;
        for (int i = 0; i < window; ++i) {
            carry += factor * two_over_pi[first + window - 1 - i] + product[i + half];
            product[i + half] = static_cast<std::uint32_t>(carry);
            carry >>= 32;
        }
        product[window + half] = static_cast<std::uint32_t>(carry);
    }
    const int point = 32 * window - (exponent - 32 * first);  // how many bits of the product are a fraction
    const auto bits_from = [&product](int position) __attribute__((always_inline)) {
        const std::uint32_t* word = product + position / 32;
        const int shift = position % 32;
        const std::uint64_t value = (word[0] | static_cast<std::uint64_t>(word[1]) << 32) >> shift;
        return shift == 0 ? value : value | static_cast<std::uint64_t>(word[2]) << (64 - shift);
    };
    int turns = static_cast<int>(bits_from(point) & 3);
    std::uint64_t upper = bits_from(point - 64), lower = bits_from(point - 128);
    double sign = 1;
    if (upper >> 63 != 0) {  // nearer to the next integer
        ++turns;
        sign = -1;
        lower = ~lower + 1;
        upper = ~upper + (lower == 0 ? 1 : 0);
    }
    double unit = 0x1p-64;
    const int leading = upper == 0 ? 0 : __builtin_clzll(upper);  // no double is so near that upper is 0
    if (leading > 0) {
        upper = upper << leading | lower >> (64 - leading);
        lower <<= leading;
        unit /= static_cast<double>(std::uint64_t{1} << leading);
    }
    if (pattern >> 63 != 0) {
        turns = -turns;
        sign = -sign;
    }
    constexpr std::uint64_t tail = 0x7FF;
    *high = sign * static_cast<double>(static_cast<std::int64_t>(upper >> 11)) * (unit * 2048);
    *low = sign * static_cast<double>(static_cast<std::int64_t>((upper & tail) << 52 | lower >> 12)) *
           (unit * 0x1p-52);
    return turns & 3;
}

/// Up to this size two parts of pi/2 can be subtracted exactly.
template <class T>
inline constexpr T circle_limit = sizeof(T) == 4 ? T(1e5) : T(1e9);

/// pi/2 in three parts.
template <class V>
struct HalfPi {
    V first, second, third;
};
template <class V>
RG_INLINE HalfPi<V> half_pi() {
    if constexpr (is_float<V>)
        return {broadcast(1.57079637f), broadcast(-4.37113883e-08f), broadcast(-1.71512451e-15f)};
    else
        return {broadcast(1.5707963267948966), broadcast(6.123233995736766e-17),
                broadcast(-1.497384905065873e-33)};
}

/// Replaces the lanes whose x is beyond circle_limit.
template <class V>
RG_INLINE CircleArgument<V> reduce_circle_far(V x, CircleArgument<V> a) {
    using T = Scalar<V>;
    const auto pi = half_pi<V>();
    const MaskOf<V> far = (abs(x) > broadcast(circle_limit<T>)) & isfinite(x);
    V high{}, low{};
    UIntOf<V> quadrant{};
    for (int i = 0; i < lanes<T>; ++i) {
        if (far[i] == 0) continue;
        double h = 0, l = 0;
        quadrant[i] = static_cast<unsigned>(quarter_turns(static_cast<double>(x[i]), &h, &l));
        high[i] = static_cast<T>(h);
        low[i] = static_cast<T>((h - static_cast<double>(high[i])) + l);
    }
    const V r = high * pi.first;
    const V r_low = product_error(high, pi.first, r) + fma(high, pi.second, low * pi.first);
    return {select(far, r, a.r), select(far, r_low, a.low), select(far, quadrant, a.quadrant)};
}

template <class V>
RG_INLINE CircleArgument<V> reduce_circle(V x) {
    const auto pi = half_pi<V>();
    const auto by = round_product(x, 0.63661977236758138);
    const V r1 = fused(by.k, -pi.first, x);  // exact: k pi.first is close to x
    const V step = by.k * -pi.second;
    const V r = r1 + step;  // r1 has no bits below those of step: what the rounding loses is found exactly
    const V low = ((r1 - r) + step) + fma(by.k, -pi.third, product_error(by.k, -pi.second, step));
    CircleArgument<V> a = {r, low, by.shifted};
    if (__builtin_expect(any(abs(x) > broadcast(circle_limit<Scalar<V>>)), 0)) a = reduce_circle_far(x, a);
    return a;
}

/// sin(r + low) for |r| <= pi/4: r + r^3 p(r^2), p of degree 2 (float), 5 (double).
template <class V>
RG_INLINE V sin_reduced(V r, V low) {
    const V z = r * r;
    V p;
    if constexpr (is_float<V>)
        p = horner(z, -0.166666538f, 0.00833214168f, -0.000195126733f);
    else
        p = horner(z, -0.1666666666666663, 0.0083333333333216603, -0.0001984126982920939,
                   2.7557313485275414e-06, -2.5050725837792085e-08, 1.5894926056991376e-10);
    return fma(r * z, p, low) + r;
}

/// cos(r + low): 1 - z/2 + z^2 p(z), z = r^2, p of degree 2 (float), 5 (double).
template <class V>
RG_INLINE V cos_reduced(V r, V low) {
    const V z = r * r;
    V p;
    if constexpr (is_float<V>)
        p = horner(z, -0.5f, 0.0416666456f, -0.00138872908f, 2.44301773e-05f);
    else
        p = horner(z, -0.5, 0.041666666666666588, -0.0013888888888872401, 2.4801587288432436e-05,
                   -2.7557314055468395e-07, 2.0875683661469733e-09, -1.1357629815000938e-11);
    return constant<V>(1) + fma(z, p, -r * low);  // 1 - r low by itself would round too early
}

/// sin of quadrant * pi/2 + r + low.
template <class V>
RG_INLINE V sin_of(CircleArgument<V> a, UIntOf<V> quadrant) {
    const UIntOf<V> one = UIntOf<V>{} + 1;
    const V value = select((quadrant & one) == one, cos_reduced(a.r, a.low), sin_reduced(a.r, a.low));
    const UIntOf<V> lower_half = (quadrant & (one + one)) << (sizeof(Scalar<V>) * 8 - 2);
    return (V)(unsigned_bits(value) ^ lower_half);
}

/// sin x, any x. |x| <= 1e5 (float), 1e9 (double): x - k pi/2 with pi/2 in three parts; beyond: the bits of
/// 2/pi. ulp 1.3, 1.2.
template <class V>
RG_FUNCTION V sin(V x) {
    const auto a = reduce_circle(x);
    return select(x == V{}, x, sin_of(a, a.quadrant));
}

/// cos x, any x; reduced as for sin. ulp 1.2, 1.2.
template <class V>
RG_FUNCTION V cos(V x) {
    const auto a = reduce_circle(x);
    return sin_of(a, a.quadrant + 1);
}

/// arctan x. t = |x| or 1/|x|, t + t^3 p(t^2) with p of degree 8 (float), 19 (double); pi/2 - that for |x| >
/// 1. ulp 1.2, 1.2.
template <class V>
RG_FUNCTION V arctan(V x) {
    const V one = constant<V>(1), a = abs(x);
    const MaskOf<V> outside = a > one;
    const V t = select(outside, -one, a) / select(outside, a, one), z = t * t;
    V p, low;
    if constexpr (is_float<V>) {
        low = broadcast(-4.37113883e-08f);
        p = horner(z, -0.333332986f, 0.1999854f, -0.142641485f, 0.109516434f, -0.0840171278f, 0.057925351f,
                   -0.0311433114f, 0.0108948061f, -0.00178891944f);
    } else {
        low = broadcast(6.123233995736766e-17);
        p = horner(z, -0.33333333333333065, 0.19999999999950827, -0.14285714282537176, 0.11111111005870565,
                   -0.090909069818508326, 0.07692279584341262, -0.066664019071168965, 0.058805146127232186,
                   -0.052534579197868123, 0.047221099260379713, -0.042186053712413504, 0.036629872313510961,
                   -0.029884204185920169, 0.021959997239102007, -0.013876470456247035, 0.0071789602817623477,
                   -0.002875634707839326, 0.00082795304010534676, -0.00015141150918208558,
                   1.314805157915731e-05);
    }
    const V high = constant<V>(1.5707963267948966);
    const V tail = fma(t * z, p, select(outside, low, V{}));
    return copysign(select(outside, high + (t + tail), t + tail), x);
}

// ---- power ----------------------------------------------------------------------------------------------

/// An unevaluated sum: high is the sum rounded, low the rest.
template <class V>
struct Pair {
    V high;
    V low;
};

/// log x to about ten more bits than V has, for x positive and finite: s = f / (2 + f) and
/// 2 s + s z (2/3 + z p(z)), z = s^2, all but p in pairs; p of degree 4 (float), 8 (double).
template <class V>
RG_INLINE Pair<V> log_pair(V x) {
    using T = Scalar<V>;
    const auto a = split_log_any(x);
    const V two = constant<V>(2);
    const V t = two + a.f, t_low = a.f - (t - two), inverse = constant<V>(1) / t;
    const V s = a.f * inverse;
    const V s_low = (fused(-s, t, a.f) - s * t_low) * inverse;
    const V z = s * s;
    const V z_low = fma(two * s, s_low, product_error(s, s, z));
    V p, third_low;
    if constexpr (is_float<V>) {
        p = horner(z, 0.400000006f, 0.285714209f, 0.222230956f, 0.18131642f, 0.167322442f);
        third_low = broadcast(-1.98682155e-08f);
    } else {
        p = horner(z, 0.40000000000000002, 0.28571428571428376, 0.22222222222290472, 0.18181818169268082,
                   0.15384616751955155, 0.13333240498766596, 0.11768671929478455, 0.10422934414841931,
                   0.11013104438873866);
        third_low = broadcast(3.7007434154171883e-17);
    }
    const V third = constant<V>(0.66666666666666663), zp = z * p;
    const V b = third + zp, b_low = ((third - b) + zp) + third_low;
    const V sz = s * z;
    const V sz_low = product_error(s, z, sz) + fma(s, z_low, s_low * z);
    const V cubic = sz * b;
    const V cubic_low = product_error(sz, b, cubic) + fma(sz, b_low, sz_low * b);
    const V s2 = s + s;
    const V m = s2 + cubic, m_low = ((s2 - m) + cubic) + fma(two, s_low, cubic_low);
    const V eh = a.e * broadcast(ln2_high<T>);
    const V high = eh + m;
    const V low = ((eh - high) + m) + fma(a.e, broadcast(ln2_low<T>), m_low);
    return {high, low};
}

/// x^y as exp(y log |x|) with the logarithm in a pair; over the whole range, ulp 0.95, 1.2. The special cases
/// are those of IEEE 754's pow: a negative x needs an integer y, x^0 and 1^y are 1 even for NaN, zeros and
/// infinities keep the sign of an odd power.
template <class V>
RG_FUNCTION V pow(V x, V y) {
    using T = Scalar<V>;
    const V zero{}, one = constant<V>(1), inf = infinity<V>(), a = abs(x);
    const auto l = log_pair(a);
    const V high = y * l.high;
    V low = fma(y, l.low, product_error(y, l.high, high));
    if constexpr (!has_fma) low = select(isnan(low), zero, low);  // the halves of an enormous y overflow
    const V highest = broadcast(exp_highest<T>), lowest = broadcast(exp_lowest<T>);
    V clamped = select(highest < high, highest, high);
    clamped = select(lowest > clamped, lowest, clamped);
    const auto by = round_product(clamped, log2_e);
    const V r = fma(by.k, broadcast(-ln2_high<T>), clamped) +
                fma(by.k, broadcast(-ln2_low<T>), select(clamped == high, low, zero));
    V result = scale(exp_reduced(r), by);

    const MaskOf<V> extreme = (a == zero) | (a == inf) | (abs(y) == inf);
    result = select(extreme, select((a < one) ^ (y < zero), zero, inf), result);
    const V half_y = constant<V>(0.5) * y;
    const MaskOf<V> integer = round_nearest(y) == y, odd = integer & (round_nearest(half_y) != half_y);
    result = (V)(bits(result) ^ (sign_bits(x) & odd));
    result = select((x < zero) & (a < inf) & ~integer, constant<V>(__builtin_nan("")), result);
    result = select(isnan(x) | isnan(y), x + y, result);
    return select((y == zero) | (x == one) | ((a == one) & (abs(y) == inf)), one, result);
}

}  // namespace retrograd::RG_ISA
