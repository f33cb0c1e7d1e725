// Functions of one number that are not activations; written as in activations.hpp.
#pragma once

#include "functions/list.hpp"
#include "simd/math.hpp"

namespace retrograd::RG_ISA {

struct Negative {
    static constexpr const char* name = "negative";
    static constexpr bool needs_x = false, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return -x;
    }
    template <class V>
    static RG_MEMBER V df(V, V) {
        return constant<V>(-1);
    }
};

struct Log {
    static constexpr const char* name = "log";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return log(x);
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        return constant<V>(1) / x;
    }
};

struct Sqrt {
    static constexpr const char* name = "sqrt";
    static constexpr bool needs_x = false, needs_y = true;
    template <class V>
    static RG_MEMBER V f(V x) {
        return sqrt(x);
    }
    template <class V>
    static RG_MEMBER V df(V, V y) {
        return constant<V>(0.5) / y;
    }
};

struct Square {
    static constexpr const char* name = "square";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return x * x;
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        return x + x;
    }
};

struct Abs {  // 0 at 0
    static constexpr const char* name = "abs";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return abs(x);
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        return sign(x);
    }
    template <class V>
    static RG_MEMBER V sign(V x) {
        return select(x == V{}, V{}, copysign(constant<V>(1), x));
    }
};

struct Sin {
    static constexpr const char* name = "sin";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return sin(x);
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        return cos(x);
    }
};

struct Cos {
    static constexpr const char* name = "cos";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return cos(x);
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        return -sin(x);
    }
};

struct Arctan {
    static constexpr const char* name = "arctan";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return arctan(x);
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        return constant<V>(1) / fma(x, x, constant<V>(1));
    }
};

using UnaryFunctions = RuleList<Negative, Log, Sqrt, Square, Abs, Sin, Cos, Arctan>;

}  // namespace retrograd::RG_ISA
