// vector_math_ulp [--stride N | --exhaustive] [--threads N] [isa...]
//
// Errors of the functions of math.hpp in units in the last place, for every instruction set that this
// processor runs (or those named), as a Markdown table; then the pieces of vec.hpp. Float is compared with
// the double libm on every N-th of the 2^32 bit patterns (997; 1 with --exhaustive, which takes an hour of
// processor time), double with the long double libm on 4e8 / N random numbers of all sizes (at most 4e7).
// Everything is also run on edge cases. Exits with 1 when a stated bound is broken, when two instruction
// sets that have FMA differ in a bit, or when a special value is wrong.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "isa.hpp"
#include "kernels.hpp"

namespace {

using vector_math::Functions;
using vector_math::Table;

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
template <class T>
using Wide = std::conditional_t<sizeof(T) == 4, double, long double>;
template <class T>
using Limits = std::numeric_limits<T>;

template <class T>
const Functions<T>& functions(const Table& t) {
    if constexpr (sizeof(T) == 4)
        return t.f;
    else
        return t.d;
}

std::vector<const Table*> supported_tables() {
    std::vector<const Table*> tables;
    [[maybe_unused]] const retrograd::Isa best = retrograd::detected_isa();
#if defined(__aarch64__)
    tables.push_back(&retrograd::neon::vector_math_table());
#else
    tables.push_back(&retrograd::baseline::vector_math_table());
#if defined(__x86_64__)
    if (best == retrograd::Isa::avx2 || best == retrograd::Isa::avx512)
        tables.push_back(&retrograd::avx2::vector_math_table());
    if (best == retrograd::Isa::avx512) tables.push_back(&retrograd::avx512::vector_math_table());
#endif
#endif
    return tables;
}

int failures = 0;

void fail(const std::string& what) {
    if (++failures <= 40) std::printf("FAILED: %s\n", what.c_str());
}

// ---- the functions and what is promised of them ---------------------------------------------------------

template <class W>
W exact_sigmoid(W x) {
    return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}
template <class W>
W exact_softplus(W x) {
    return std::isnan(x) ? x : std::max(x, W(0)) + std::log1p(std::exp(-std::fabs(x)));
}

template <class T>
struct Case {
    const char* name;
    typename Functions<T>::Unary Functions<T>::*kernel;
    Wide<T> (*exact)(Wide<T>);
    double bound;
    double low, high;  // for the timing, and a quarter of the random arguments of double
};

template <class T>
std::vector<Case<T>> cases() {
    using F = Functions<T>;
    using W = Wide<T>;
    constexpr bool f = sizeof(T) == 4;
    return {
        {"exp", &F::exp, [](W x) { return std::exp(x); }, 1.5, -10, 10},
        {"expm1", &F::expm1, [](W x) { return std::expm1(x); }, 2, -4, 4},
        {"sigmoid", &F::sigmoid, exact_sigmoid<W>, 2.5, -8, 8},
        {"tanh", &F::tanh, [](W x) { return std::tanh(x); }, f ? 1.5 : 2, -4, 4},
        {"log", &F::log, [](W x) { return std::log(x); }, 1.5, 0.01, 10},
        {"log1p", &F::log1p, [](W x) { return std::log1p(x); }, 2, -0.9, 4},
        {"softplus", &F::softplus, exact_softplus<W>, 2.5, -8, 8},
        {"erf", &F::erf, [](W x) { return std::erf(x); }, f ? 1.5 : 2, -4, 4},
        {"sin", &F::sin, [](W x) { return std::sin(x); }, 2, -10, 10},
        {"cos", &F::cos, [](W x) { return std::cos(x); }, 2, -10, 10},
        {"arctan", &F::arctan, [](W x) { return std::atan(x); }, 2, -4, 4},
    };
}

constexpr double pow_bound = 2;

// ---- errors ---------------------------------------------------------------------------------------------

/// The distance between two numbers of T around `exact`.
template <class T>
Wide<T> last_place(Wide<T> exact) {
    int exponent = Limits<T>::min_exponent;
    if constexpr (sizeof(T) == 4) {  // by bits: this is called 2^32 times
        exponent = static_cast<int>(std::bit_cast<std::uint64_t>(exact) >> 52 & 0x7FF) - 1022;
        exponent = std::clamp(exponent, Limits<T>::min_exponent, Limits<T>::max_exponent) - Limits<T>::digits;
        return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
    } else {
        if (exact != 0) std::frexp(exact, &exponent);
        exponent = std::clamp(exponent, Limits<T>::min_exponent, Limits<T>::max_exponent);
        return std::ldexp(Wide<T>(1), exponent - Limits<T>::digits);
    }
}

/// |got - exact| in units in the last place of exact; infinite where a NaN, an infinity or the sign of 0 is
/// wrong.
template <class T>
double ulp_error(T got, Wide<T> exact) {
    using W = Wide<T>;
    const double wrong = std::numeric_limits<double>::infinity();
    if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) && std::isnan(got) ? 0 : wrong;
    if (got == 0 && std::signbit(got) != std::signbit(exact)) return wrong;
    static const W above = std::ldexp(W(1), Limits<T>::max_exponent);  // stands for infinity
    const W e = std::clamp(exact, -above, above), g = std::isinf(got) ? std::copysign(above, W(got)) : W(got);
    return e == g ? 0 : static_cast<double>(std::fabs(g - e) / last_place<T>(e));
}

template <class T>
bool same_bits(T a, T b) {
    return std::bit_cast<Bits<T>>(a) == std::bit_cast<Bits<T>>(b) || (std::isnan(a) && std::isnan(b));
}

template <class T>
struct Worst {
    double error = 0;
    T x = 0;
    T y = 0;
    std::int64_t different = 0;  // arguments with other bits than the first instruction set with FMA
    T different_at = 0;

    void take(double e, T at, T second = 0) {
        if (e > error) error = e, x = at, y = second;
    }
    void merge(const Worst& other) {
        if (other.error > error) error = other.error, x = other.x, y = other.y;
        if (other.different > 0 && different == 0) different_at = other.different_at;
        different += other.different;
    }
};

/// What a list of arguments shows, for every table.
template <class T>
void check_block(const Case<T>& c, const std::vector<const Table*>& tables, const std::vector<T>& x,
                 std::vector<Worst<T>>& worst) {
    const auto n = static_cast<std::ptrdiff_t>(x.size());
    std::vector<Wide<T>> exact(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) exact[i] = c.exact(static_cast<Wide<T>>(x[i]));
    std::vector<T> got(x.size()), first;
    for (std::size_t t = 0; t < tables.size(); ++t) {
        (functions<T>(*tables[t]).*c.kernel)(x.data(), got.data(), n);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double e = ulp_error(got[i], exact[i]);
            if (e > worst[t].error) worst[t].take(e, x[i]);
        }
        if (!tables[t]->fma) continue;
        if (first.empty()) {
            first = got;
            continue;
        }
        for (std::size_t i = 0; i < x.size(); ++i)
            if (!same_bits(got[i], first[i]) && worst[t].different++ == 0) worst[t].different_at = x[i];
    }
}

/// SplitMix64: the same numbers everywhere.
struct Random {
    std::uint64_t state;
    std::uint64_t next() {
        std::uint64_t z = state += 0x9E3779B97F4A7C15U;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
        return z ^ (z >> 31);
    }
    double uniform(double low, double high) {
        return low + (high - low) * (static_cast<double>(next() >> 11) * 0x1p-53);
    }
};

/// Zeros, infinities, NaN, subnormals, powers of two and of ten, and the neighbours of places where a method
/// changes.
template <class T>
std::vector<T> edge_arguments() {
    std::vector<T> x = {T(0),
                        Limits<T>::infinity(),
                        Limits<T>::quiet_NaN(),
                        Limits<T>::denorm_min(),
                        T(3) * Limits<T>::denorm_min(),
                        Limits<T>::min(),
                        Limits<T>::max(),
                        Limits<T>::epsilon()};
    const auto near = [&x](double center, int steps) {
        T below = T(center), above = T(center);
        x.push_back(T(center));
        for (int i = 0; i < steps; ++i) {
            x.push_back(below = std::nextafter(below, -Limits<T>::infinity()));
            x.push_back(above = std::nextafter(above, Limits<T>::infinity()));
        }
    };
    for (int e = Limits<T>::min_exponent - Limits<T>::digits; e < Limits<T>::max_exponent; ++e)
        near(std::ldexp(1.0, e), 2);
    for (int i = 1; i <= 64; ++i) {
        near(i * 0.5, 3);
        near(i * std::atan(1.0), 3);
        near(i * std::log(2.0) / 2, 3);
    }
    // the double that is nearest to a multiple of pi/2
    if constexpr (sizeof(T) == 8) near(std::ldexp(6381956970095103.0, 797), 2);
    for (const double c :
         {0.625,    1.0,      2.0,      std::sqrt(0.5), std::sqrt(2.0), 3.9192,   3.95,    5.8636,
          5.95,     9.0109,   17.3286,  18.7149,        36.7368,        37.4299,  87.3366, 88.7228,
          103.2789, 103.9721, 708.3964, 709.7827,       744.4401,       745.1332, 1e5,     1e9})
        near(c, 50);
    const std::size_t n = x.size();
    for (std::size_t i = 0; i < n; ++i) x.push_back(-x[i]);
    return x;
}

constexpr std::size_t block = 4096;

std::int64_t random_count(std::uint64_t stride) {
    return std::min<std::int64_t>(400'000'000 / static_cast<std::int64_t>(stride), 40'000'000);
}

/// Every stride-th bit pattern.
std::vector<Worst<float>> scan(const Case<float>& c, const std::vector<const Table*>& tables,
                               std::uint64_t stride, int threads) {
    std::vector<std::vector<Worst<float>>> found(static_cast<std::size_t>(threads));
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; ++t) {
        auto& worst = found[static_cast<std::size_t>(t)];
        worst.resize(tables.size());
        pool.emplace_back([&, t] {
            const std::uint64_t step = stride * block;
            std::vector<float> x;
            x.reserve(block);
            for (std::uint64_t start = step * static_cast<std::uint64_t>(t); start < (std::uint64_t(1) << 32);
                 start += step * static_cast<std::uint64_t>(threads)) {
                x.clear();
                for (std::size_t i = 0; i < block; ++i) {
                    const std::uint64_t pattern = start + i * stride;
                    if (pattern >> 32 != 0) break;
                    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(pattern)));
                }
                check_block(c, tables, x, worst);
            }
        });
    }
    for (auto& thread : pool) thread.join();
    for (std::size_t t = 1; t < found.size(); ++t)
        for (std::size_t i = 0; i < tables.size(); ++i) found[0][i].merge(found[t][i]);
    return found[0];
}

/// Random numbers: half of all sizes (any exponent that matters), half uniform where the function is
/// interesting.
std::vector<Worst<double>> scan(const Case<double>& c, const std::vector<const Table*>& tables,
                                std::int64_t count) {
    std::vector<Worst<double>> worst(tables.size());
    Random random{20240229};
    std::vector<double> x(block);
    for (std::int64_t done = 0; done < count; done += block) {
        for (std::size_t i = 0; i < block; ++i) {
            switch (i % 8) {
                case 0: x[i] = std::bit_cast<double>(random.next()); break;  // any bits
                case 1: x[i] = random.uniform(-750, 750); break;
                case 2: x[i] = random.uniform(-40, 40); break;
                case 3:
                case 4:
                    x[i] = std::exp2(random.uniform(-30, 12));
                    if (random.next() >> 63 != 0) x[i] = -x[i];
                    break;
                case 5: x[i] = random.uniform(-2, 2); break;
                default: x[i] = random.uniform(c.low, c.high);
            }
        }
        check_block(c, tables, x, worst);
    }
    return worst;
}

// ---- time -----------------------------------------------------------------------------------------------

/// Nanoseconds per element, the best of many passes over numbers that stay in the first cache.
template <class Call>
double time_per_element(std::ptrdiff_t n, Call call) {
    double best = 1e30;
    for (int pass = 0; pass < 200; ++pass) {
        const auto start = std::chrono::steady_clock::now();
        call();
        const auto stop = std::chrono::steady_clock::now();
        best = std::min(best, std::chrono::duration<double, std::nano>(stop - start).count());
    }
    return best / static_cast<double>(n);
}

// ---- report ---------------------------------------------------------------------------------------------

template <class T>
void report(const char* function, const Table& table, const Worst<T>& worst, double bound, double ns,
            bool two_arguments) {
    char where[80];
    if (two_arguments)
        std::snprintf(where, sizeof where, "%.*g, %.*g", Limits<T>::max_digits10, double(worst.x),
                      Limits<T>::max_digits10, double(worst.y));
    else
        std::snprintf(where, sizeof where, "%.*g", Limits<T>::max_digits10, double(worst.x));
    const char* type = sizeof(T) == 4 ? "float" : "double";
    std::printf("| %s | %s | %s | %.3f | %s | %.1f | %.2f |\n", type, function, table.isa, worst.error, where,
                bound, ns);
    std::fflush(stdout);
    const std::string who = std::string(type) + " " + function + " on " + table.isa;
    if (!(worst.error <= bound)) fail(who + ": error " + std::to_string(worst.error) + " ulp at " + where);
    if (worst.different > 0)
        fail(who + ": other bits than the first instruction set with FMA, such as at " +
             std::to_string(worst.different_at));
}

template <class T>
void check_unary(const std::vector<const Table*>& tables, std::uint64_t stride, int threads) {
    for (const Case<T>& c : cases<T>()) {
        std::vector<Worst<T>> worst;
        if constexpr (sizeof(T) == 4)
            worst = scan(c, tables, stride, threads);
        else
            worst = scan(c, tables, random_count(stride));
        check_block(c, tables, edge_arguments<T>(), worst);

        Random random{7};
        std::vector<T> x(1024), y(1024);
        for (T& v : x) v = static_cast<T>(random.uniform(c.low, c.high));
        for (std::size_t t = 0; t < tables.size(); ++t) {
            const auto kernel = functions<T>(*tables[t]).*c.kernel;
            const double ns = time_per_element(1024, [&] { kernel(x.data(), y.data(), 1024); });
            report(c.name, *tables[t], worst[t], c.bound, ns, false);
        }
    }
}

template <class T>
void check_pow(const std::vector<const Table*>& tables, std::uint64_t stride) {
    using W = Wide<T>;
    std::vector<Worst<T>> worst(tables.size());
    std::vector<T> a, b, got, first;
    const auto run = [&] {
        got.resize(a.size());
        first.clear();
        std::vector<W> exact(a.size());
        for (std::size_t i = 0; i < a.size(); ++i) exact[i] = std::pow(W(a[i]), W(b[i]));
        for (std::size_t t = 0; t < tables.size(); ++t) {
            const auto n = static_cast<std::ptrdiff_t>(a.size());
            functions<T>(*tables[t]).pow(a.data(), b.data(), got.data(), n);
            for (std::size_t i = 0; i < a.size(); ++i) worst[t].take(ulp_error(got[i], exact[i]), a[i], b[i]);
            if (!tables[t]->fma) continue;
            if (first.empty()) first = got;
            for (std::size_t i = 0; i < a.size(); ++i)
                if (!same_bits(got[i], first[i]) && worst[t].different++ == 0) worst[t].different_at = a[i];
        }
    };

    const T inf = Limits<T>::infinity(), nan = Limits<T>::quiet_NaN(), big = T(1) / Limits<T>::epsilon();
    std::vector<T> edges = {T(0),
                            T(1),
                            T(2),
                            T(3),
                            T(4),
                            T(0.5),
                            T(1.5),
                            T(0.75),
                            T(7),
                            T(10),
                            T(1e-3),
                            T(333.25),
                            T(1001),
                            std::nextafter(T(1), T(0)),
                            std::nextafter(T(1), T(2)),
                            big - 1,
                            big,
                            big + 2,
                            2 * big,
                            4 * big,
                            inf,
                            Limits<T>::max(),
                            Limits<T>::min(),
                            Limits<T>::denorm_min()};
    for (std::size_t i = 0, n = edges.size(); i < n; ++i) edges.push_back(-edges[i]);
    edges.push_back(nan);
    for (const T x : edges)
        for (const T y : edges) a.push_back(x), b.push_back(y);
    run();

    Random random{11};
    const std::int64_t count = random_count(stride);
    const double top = Limits<T>::max_exponent, bottom = Limits<T>::min_exponent - Limits<T>::digits - 2;
    for (std::int64_t done = 0; done < count; done += block) {
        a.resize(block), b.resize(block);
        for (std::size_t i = 0; i < block; ++i) {
            const double reach = i % 4 == 0 ? top : i % 4 == 1 ? 20 : i % 4 == 2 ? 1 : 0.01;
            a[i] = static_cast<T>(std::exp2(random.uniform(-reach, reach)));
            if (i % 64 == 3) a[i] *= Limits<T>::min();
            const double power = i % 2 == 0 ? random.uniform(bottom, top) : random.uniform(-10, 10);
            b[i] = static_cast<T>(power / std::log2(static_cast<double>(a[i])));
            if (i % 16 == 5) a[i] = -a[i], b[i] = std::round(b[i]);
        }
        run();
    }
    for (T& v : a) v = static_cast<T>(random.uniform(0.1, 4));
    for (T& v : b) v = static_cast<T>(random.uniform(-3, 3));
    for (std::size_t t = 0; t < tables.size(); ++t) {
        const auto kernel = functions<T>(*tables[t]).pow;
        const double ns = time_per_element(1024, [&] { kernel(a.data(), b.data(), got.data(), 1024); });
        report("pow", *tables[t], worst[t], pow_bound, ns, true);
    }
}

// ---- vec.hpp --------------------------------------------------------------------------------------------

/// The documented order of a sum, in scalar code: step(lane, i) takes element i into its lane.
template <class T, class Step>
T sixteen_lanes(std::ptrdiff_t n, Step step) {
    T lane[16] = {};
    for (std::ptrdiff_t i = 0; i < n; ++i) lane[i % 16] = step(lane[i % 16], static_cast<std::size_t>(i));
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
    return lane[0];
}

template <class T>
void check_reductions(const Table& table) {
    const Functions<T>& f = functions<T>(table);
    const std::string who = std::string(sizeof(T) == 4 ? "float" : "double") + " on " + table.isa + ": ";
    const auto product = [&](T a, T b, T c) { return table.fma ? std::fma(a, b, c) : T(T(a * b) + c); };
    Random random{5};
    for (std::ptrdiff_t n = 0; n < 200; ++n) {
        std::vector<T> x(static_cast<std::size_t>(n)), y(x.size());
        for (T& v : x) v = static_cast<T>(random.uniform(-1, 1));
        for (T& v : y) v = static_cast<T>(random.uniform(-1, 1));
        const T sum = sixteen_lanes<T>(n, [&](T s, std::size_t i) { return s + x[i]; });
        const T dot = sixteen_lanes<T>(n, [&](T s, std::size_t i) { return product(x[i], y[i], s); });
        const T squares = sixteen_lanes<T>(n, [&](T s, std::size_t i) { return product(x[i], x[i], s); });
        const T largest = n == 0 ? -Limits<T>::infinity() : *std::max_element(x.begin(), x.end());
        if (!same_bits(f.sum(x.data(), n), sum)) fail(who + "sum of " + std::to_string(n));
        if (!same_bits(f.dot(x.data(), y.data(), n), dot)) fail(who + "dot of " + std::to_string(n));
        if (!same_bits(f.sum_of_squares(x.data(), n), squares)) fail(who + "squares of " + std::to_string(n));
        if (!same_bits(f.largest(x.data(), n), largest)) fail(who + "max of " + std::to_string(n));
        if (n > 0) {
            x[random.next() % x.size()] = Limits<T>::quiet_NaN();
            if (!std::isnan(f.largest(x.data(), n))) fail(who + "max drops NaN of " + std::to_string(n));
        }
    }
}

template <class T>
void check_pieces(const Table& table) {
    const Functions<T>& f = functions<T>(table);
    const std::string who = std::string(sizeof(T) == 4 ? "float" : "double") + " on " + table.isa + ": ";
    const std::vector<T> x = edge_arguments<T>();
    const auto n = static_cast<std::ptrdiff_t>(x.size());
    std::vector<T> y(x.size());
    const auto compare = [&](const char* what, typename Functions<T>::Unary kernel, T (*exact)(T), T limit) {
        kernel(x.data(), y.data(), n);
        for (std::size_t i = 0; i < x.size(); ++i)
            if (std::fabs(x[i]) < limit || limit == 0)
                if (!same_bits(y[i], exact(x[i]))) fail(who + what + " of " + std::to_string(x[i]));
    };
    compare("sqrt", f.sqrt, [](T v) { return std::sqrt(v); }, 0);
    compare("abs", f.abs, [](T v) { return std::fabs(v); }, 0);
    compare("floor", f.floor, [](T v) { return std::floor(v); }, 0);
    compare("round_nearest", f.round_nearest, [](T v) { return std::nearbyint(v); }, 0);
    compare("finite", f.finite, [](T v) { return T(std::isfinite(v)); }, 0);
    compare(
        "to_int", f.integer_and_back, [](T v) { return T(std::nearbyint(v) + 0); },
        sizeof(T) == 4 ? T(0x1p22) : T(0x1p51));

    const T nan = Limits<T>::quiet_NaN();
    const std::vector<T> few = {T(0), -T(0), T(1), T(-2), Limits<T>::infinity(), -Limits<T>::infinity(), nan};
    for (const T a : few)
        for (const T b : few) {
            T low = 0, high = 0, sign = 0;
            f.min(&a, &b, &low, 1);
            f.max(&a, &b, &high, 1);
            f.copysign(&a, &b, &sign, 1);
            const bool unordered = std::isnan(a) || std::isnan(b);
            if (unordered ? !std::isnan(low) : low != std::min(a, b)) fail(who + "min");
            if (unordered ? !std::isnan(high) : high != std::max(a, b)) fail(who + "max");
            if (!std::isnan(a) && !same_bits(sign, std::copysign(a, b))) fail(who + "copysign");
        }

    const int width = table.vector_bytes / static_cast<int>(sizeof(T));
    for (int negative = 0; negative <= width; ++negative) {
        std::vector<T> v(static_cast<std::size_t>(width), T(1));
        for (int i = 0; i < negative; ++i) v[static_cast<std::size_t>((i * 5 + 3) % width)] = -T(1);
        const bool some = std::count(v.begin(), v.end(), -T(1)) > 0;
        const bool every = std::count(v.begin(), v.end(), T(1)) == 0;
        if (f.any_negative(v.data()) != some || f.all_negative(v.data()) != every) fail(who + "any or all");
    }
}

/// Partial loads and stores at the very end of a page whose successor may not be touched.
template <class T>
void check_partial([[maybe_unused]] const Table& table) {
#if defined(__unix__) || defined(__APPLE__)
    const Functions<T>& f = functions<T>(table);
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    char* memory = static_cast<char*>(
        mmap(nullptr, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory == MAP_FAILED || mprotect(memory + page, page, PROT_NONE) != 0) return;
    T* const end = reinterpret_cast<T*>(memory + page);
    T* const begin = reinterpret_cast<T*>(memory + 2 * page);
    const std::string who = std::string("on ") + table.isa + ": partial ";
    for (std::ptrdiff_t n = 0; n < 40; ++n) {
        T target[64];
        std::fill(target, target + 64, T(-7));
        for (std::ptrdiff_t i = 0; i < n; ++i) end[i - n] = begin[i] = T(i + 1);
        f.abs(end - n, target, n);
        for (std::ptrdiff_t i = 0; i < 64; ++i)
            if (target[i] != (i < n ? T(i + 1) : T(-7))) fail(who + "load or store");
        f.abs(target, end - n, n);
        f.abs(begin, begin, n);
        const T total = f.sum(end - n, n), largest = f.largest(begin, n);
        if (total != T(n * (n + 1) / 2)) fail(who + "sum");
        if (n > 0 && largest != T(n)) fail(who + "max");
    }
    munmap(memory, 3 * page);
#endif
}

template <class T>
void check_vec(const Table& table) {
    check_reductions<T>(table);
    check_pieces<T>(table);
    check_partial<T>(table);
}

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t stride = 997;
    int threads = 2;
    std::vector<const Table*> tables;
    for (int i = 1; i < argc; ++i) {
        const std::string_view text = argv[i];
        if (text == "--exhaustive") {
            stride = 1;
        } else if (text == "--stride" && i + 1 < argc) {
            stride = static_cast<std::uint64_t>(std::max(1, std::atoi(argv[++i])));
        } else if (text == "--threads" && i + 1 < argc) {
            threads = std::max(1, std::atoi(argv[++i]));
        } else {
            const auto isa = retrograd::parse_isa(text);
            const std::size_t before = tables.size();
            for (const Table* table : supported_tables())
                if (isa && retrograd::name(*isa) == table->isa) tables.push_back(table);
            if (tables.size() == before) {
                std::fprintf(stderr, "'%s' is not an instruction set that runs here\n", argv[i]);
                return 2;
            }
        }
    }
    if (tables.empty()) tables = supported_tables();

    for (const Table* table : tables) {
        check_vec<float>(*table);
        check_vec<double>(*table);
    }
    std::printf("| type | function | instruction set | max ulp | at | bound | ns per element |\n");
    std::printf("|---|---|---|---|---|---|---|\n");
    check_unary<float>(tables, stride, threads);
    check_pow<float>(tables, stride);
    check_unary<double>(tables, stride, threads);
    check_pow<double>(tables, stride);
    if (failures > 0) std::printf("\n%d failures\n", failures);
    return failures > 0 ? 1 : 0;
}
