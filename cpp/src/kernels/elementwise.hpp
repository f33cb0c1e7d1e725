// Loops over the rules of functions/: one element in, one element out.
#pragma once

#include "functions/activations.hpp"
#include "functions/arithmetic.hpp"
#include "functions/unary.hpp"
#include "kernels/loops.hpp"
#include "kernels/table.hpp"

namespace retrograd::RG_ISA {
namespace {

// A function stands once in the code of its loop, which knows whole vectors alone: n is a multiple of their
// lanes. What is left at the end of an array becomes a whole vector of its own.
template <class F, class T>
__attribute__((noinline)) void unary_vectors(const T* x, T* y, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += lanes<T>) store(y + i, F::f(load(x + i)));
}

template <class T>
__attribute__((noinline)) void unary_rest(UnaryFunction<T> vectors, const T* x, T* y, std::int64_t n) {
    alignas(sizeof(Vec<T>)) T room[lanes<T>];
    store(room, load_some(x, n));
    vectors(room, room, lanes<T>);
    store_some(y, load(room), n);
}

template <class F, class T>
void unary_forward(const T* x, T* y, std::int64_t n) {
    const std::int64_t rest = n % lanes<T>, whole = n - rest;
    if (whole > 0) unary_vectors<F>(x, y, whole);
    if (rest > 0) unary_rest(&unary_vectors<F, T>, x + whole, y + whole, rest);
}

template <class T>
struct UnarySlope {
    const T *x, *y;  // null where the rule does not read it
    const T* dy;
    T* dx;
};

template <class F, class T>
__attribute__((noinline)) void unary_slopes(const UnarySlope<T>& s, std::int64_t n, bool accumulate) {
    const UnarySlope<T> p = s;
    for (std::int64_t i = 0; i < n; i += lanes<T>) {
        Vec<T> vx{}, vy{};
        if constexpr (F::needs_x) vx = load(p.x + i);
        if constexpr (F::needs_y) vy = load(p.y + i);
        Vec<T> d = load(p.dy + i) * F::df(vx, vy);
        if (accumulate) d = load(p.dx + i) + d;
        store(p.dx + i, d);
    }
}

template <class T>
__attribute__((noinline)) void unary_rest_of_slopes(void (*slopes)(const UnarySlope<T>&, std::int64_t, bool),
                                                    const UnarySlope<T>& s, std::int64_t at, std::int64_t n,
                                                    bool accumulate) {
    alignas(sizeof(Vec<T>)) T x[lanes<T>], y[lanes<T>], dy[lanes<T>], dx[lanes<T>];
    if (s.x != nullptr) store(x, load_some(s.x + at, n));
    if (s.y != nullptr) store(y, load_some(s.y + at, n));
    store(dy, load_some(s.dy + at, n));
    if (accumulate) store(dx, load_some<T>(s.dx + at, n));
    slopes({x, y, dy, dx}, lanes<T>, accumulate);
    store_some(s.dx + at, load(dx), n);
}

template <class F, class T>
void unary_backward(const T* x, const T* y, const T* dy, T* dx, std::int64_t n, bool accumulate) {
    const UnarySlope<T> s{F::needs_x ? x : nullptr, F::needs_y ? y : nullptr, dy, dx};
    const std::int64_t rest = n % lanes<T>, whole = n - rest;
    if (whole > 0) unary_slopes<F>(s, whole, accumulate);
    if (rest > 0) unary_rest_of_slopes(&unary_slopes<F, T>, s, whole, rest, accumulate);
}

// An operand of a binary function: an array, or one value that stands for all.
template <class T>
struct Operand {
    const T* p;
    bool is_array;
    Vec<T> value;

    RG_MEMBER Operand(const T* start, int step) : p(start), is_array(step != 0), value{} {
        if (!is_array && p != nullptr) value = broadcast(*p);
    }
    RG_MEMBER Vec<T> at(std::int64_t i, std::int64_t n) const {
        return is_array ? load_next(p + i, n - i) : value;
    }
};

template <class F, class T>
void binary_forward(const T* a, int a_step, const T* b, int b_step, T* y, std::int64_t n) {
    if (n <= 0) return;
    const Operand<T> left(a, a_step), right(b, b_step);
    for (std::int64_t i = 0; i < n; i += lanes<T>)
        store_next(y + i, F::f(left.at(i, n), right.at(i, n)), n - i);
}

template <class F, class T>
void binary_backward(int operand, const T* a, int a_step, const T* b, int b_step, const T* y, const T* dy,
                     T* dx, std::int64_t n, bool accumulate) {
    if (n <= 0) return;
    const Operand<T> left(F::needs_inputs ? a : nullptr, F::needs_inputs ? a_step : 0);
    const Operand<T> right(F::needs_inputs ? b : nullptr, F::needs_inputs ? b_step : 0);
    for (std::int64_t i = 0; i < n; i += lanes<T>) {
        const Vec<T> va = left.at(i, n), vb = right.at(i, n);
        Vec<T> vy{};
        if constexpr (F::needs_output) vy = load_next(y + i, n - i);
        Vec<T> d = load_next(dy + i, n - i) * (operand == 0 ? F::da(va, vb, vy) : F::db(va, vb, vy));
        if (accumulate) d = load_next<T>(dx + i, n - i) + d;
        store_next(dx + i, d, n - i);
    }
}

template <class T>
void add(const T* x, T* y, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += lanes<T>) {
        store_next(y + i, load_next<T>(y + i, n - i) + load_next(x + i, n - i), n - i);
    }
}

template <class T>
void scale(const T* x, T factor, T* y, std::int64_t n, bool accumulate) {
    const Vec<T> f = broadcast(factor);
    for (std::int64_t i = 0; i < n; i += lanes<T>) {
        const Vec<T> product = f * load_next(x + i, n - i);
        store_next(y + i, accumulate ? load_next<T>(y + i, n - i) + product : product, n - i);
    }
}

template <class T>
void penalty_gradient(const T* w, T* g, std::int64_t n, T l1, T l2) {
    const Vec<T> first = broadcast(l1), second = broadcast(l2);
    for (std::int64_t i = 0; i < n; i += lanes<T>) {
        const Vec<T> v = load_next(w + i, n - i);
        const Vec<T> slope = fma(second, v, first * Abs::sign(v));
        store_next(g + i, load_next<T>(g + i, n - i) + slope, n - i);
    }
}

// ---- the lists of the table

template <class T, class List, class More>
struct UnaryTable;
template <class T, class... A, class... U>
struct UnaryTable<T, RuleList<A...>, RuleList<U...>> {
    static constexpr UnaryKernel<T> list[] = {
        {A::name, true, A::needs_x, A::needs_y, &unary_forward<A, T>, &unary_backward<A, T>}...,
        {U::name, false, U::needs_x, U::needs_y, &unary_forward<U, T>, &unary_backward<U, T>}...};
};

template <class T, class List>
struct BinaryTable;
template <class T, class... F>
struct BinaryTable<T, RuleList<F...>> {
    static constexpr BinaryKernel<T> list[] = {
        {F::name, F::needs_inputs, F::needs_output, &binary_forward<F, T>, &binary_backward<F, T>}...};
};

}  // namespace
}  // namespace retrograd::RG_ISA
