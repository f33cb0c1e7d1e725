// Functions of two numbers: y = f(a, b), da = dy/da, db = dy/db; written as in activations.hpp.
#pragma once

#include "functions/list.hpp"
#include "simd/math.hpp"

namespace retrograd::RG_ISA {

struct Add {
    static constexpr const char* name = "add";
    static constexpr bool needs_inputs = false, needs_output = false;
    template <class V>
    static RG_MEMBER V f(V a, V b) {
        return a + b;
    }
    template <class V>
    static RG_MEMBER V da(V, V, V) {
        return constant<V>(1);
    }
    template <class V>
    static RG_MEMBER V db(V, V, V) {
        return constant<V>(1);
    }
};

struct Subtract {
    static constexpr const char* name = "subtract";
    static constexpr bool needs_inputs = false, needs_output = false;
    template <class V>
    static RG_MEMBER V f(V a, V b) {
        return a - b;
    }
    template <class V>
    static RG_MEMBER V da(V, V, V) {
        return constant<V>(1);
    }
    template <class V>
    static RG_MEMBER V db(V, V, V) {
        return constant<V>(-1);
    }
};

struct Multiply {
    static constexpr const char* name = "multiply";
    static constexpr bool needs_inputs = true, needs_output = false;
    template <class V>
    static RG_MEMBER V f(V a, V b) {
        return a * b;
    }
    template <class V>
    static RG_MEMBER V da(V, V b, V) {
        return b;
    }
    template <class V>
    static RG_MEMBER V db(V a, V, V) {
        return a;
    }
};

struct Divide {
    static constexpr const char* name = "divide";
    static constexpr bool needs_inputs = true, needs_output = false;
    template <class V>
    static RG_MEMBER V f(V a, V b) {
        return a / b;
    }
    template <class V>
    static RG_MEMBER V da(V, V b, V) {
        return constant<V>(1) / b;
    }
    template <class V>
    static RG_MEMBER V db(V a, V b, V) {
        return -(a / b) / b;
    }
};

struct Power {  // a^b; where a factor 0 meets an infinite one the derivative is 0
    static constexpr const char* name = "power";
    static constexpr bool needs_inputs = true, needs_output = true;
    template <class V>
    static RG_MEMBER V f(V a, V b) {
        return pow(a, b);
    }
    template <class V>
    static RG_MEMBER V da(V a, V b, V) {
        return select(b == V{}, V{}, b * pow(a, b - constant<V>(1)));
    }
    template <class V>
    static RG_MEMBER V db(V a, V b, V y) {
        return select((a == V{}) & (b >= V{}), V{}, y * log(a));
    }
};

struct Maximum {  // hands NaN on; equal operands have half the derivative each
    static constexpr const char* name = "maximum";
    static constexpr bool needs_inputs = true, needs_output = false;
    template <class V>
    static RG_MEMBER V f(V a, V b) {
        return max(a, b);
    }
    template <class V>
    static RG_MEMBER V share(V mine, V other) {
        return select(mine == other, constant<V>(0.5), select(mine < other, V{}, constant<V>(1)));
    }
    template <class V>
    static RG_MEMBER V da(V a, V b, V) {
        return share(a, b);
    }
    template <class V>
    static RG_MEMBER V db(V a, V b, V) {
        return share(b, a);
    }
};

struct Minimum {
    static constexpr const char* name = "minimum";
    static constexpr bool needs_inputs = true, needs_output = false;
    template <class V>
    static RG_MEMBER V f(V a, V b) {
        return min(a, b);
    }
    template <class V>
    static RG_MEMBER V da(V a, V b, V) {
        return Maximum::share(-a, -b);
    }
    template <class V>
    static RG_MEMBER V db(V a, V b, V) {
        return Maximum::share(-b, -a);
    }
};

using ArithmeticFunctions = RuleList<Add, Subtract, Multiply, Divide, Power, Maximum, Minimum>;

}  // namespace retrograd::RG_ISA
