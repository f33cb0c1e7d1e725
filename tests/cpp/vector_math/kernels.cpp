// Compiled once per instruction set, with RG_ISA naming its namespace.
#include "kernels.hpp"

#include "accumulator.hpp"
#include "math.hpp"

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

namespace retrograd::RG_ISA {

namespace {

template <class T, class Body>
RG_INLINE void map(const T* x, T* y, std::ptrdiff_t n, Body body) {
    std::ptrdiff_t i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) store(y + i, body(load(x + i)));
    if (i < n) store_partial(y + i, body(load_partial(x + i, n - i)), n - i);
}

template <class T, class Body>
RG_INLINE void map(const T* a, const T* b, T* y, std::ptrdiff_t n, Body body) {
    std::ptrdiff_t i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) store(y + i, body(load(a + i), load(b + i)));
    if (i < n) store_partial(y + i, body(load_partial(a + i, n - i), load_partial(b + i, n - i)), n - i);
}

template <class T>
struct Kernels {
    using V = Vec<T>;
#define X(name)                                                                           \
    static void name(const T* x, T* y, std::ptrdiff_t n) {                                \
        map(x, y, n, [](V v) __attribute__((always_inline)) { return RG_ISA::name(v); }); \
    }
    VECTOR_MATH_UNARY(X)
    VECTOR_MATH_VEC(X)
#undef X
#define X(name)                                                                                      \
    static void name(const T* a, const T* b, T* y, std::ptrdiff_t n) {                               \
        map(a, b, y, n, [](V v, V w) __attribute__((always_inline)) { return RG_ISA::name(v, w); }); \
    }
    X(pow)
    X(min)
    X(max)
    X(copysign)
#undef X
    static void integer_and_back(const T* x, T* y, std::ptrdiff_t n) {
        map(x, y, n, [](V v) __attribute__((always_inline)) { return to_float(to_int(v)); });
    }
    static void finite(const T* x, T* y, std::ptrdiff_t n) {
        map(
            x, y, n, [](V v) __attribute__((always_inline)) {
                return select(isfinite(v), broadcast(T(1)), zeros<T>());
            });
    }
    static bool any_negative(const T* x) { return any(load(x) < zeros<T>()); }
    static bool all_negative(const T* x) { return all(load(x) < zeros<T>()); }
    static T sum(const T* x, std::ptrdiff_t n) { return RG_ISA::sum(x, n); }
    static T sum_of_squares(const T* x, std::ptrdiff_t n) { return RG_ISA::sum_of_squares(x, n); }
    static T dot(const T* x, const T* y, std::ptrdiff_t n) { return RG_ISA::dot(x, y, n); }
    static T largest(const T* x, std::ptrdiff_t n) { return RG_ISA::max(x, n); }

    static constexpr vector_math::Functions<T> functions = {
#define X(name) name,
        VECTOR_MATH_UNARY(X) VECTOR_MATH_VEC(X)
#undef X
            integer_and_back,
        finite,
        pow,
        min,
        max,
        copysign,
        any_negative,
        all_negative,
        sum,
        sum_of_squares,
        dot,
        largest};
};

constexpr vector_math::Table table = {TEXT(RG_ISA), has_fma, RG_VECTOR_BYTES, Kernels<float>::functions,
                                      Kernels<double>::functions};

}  // namespace

const vector_math::Table& vector_math_table() { return table; }

}  // namespace retrograd::RG_ISA
