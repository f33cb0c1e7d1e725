// Activation functions: y = f(x), and the derivative df = dy/dx written in x or y, whichever is cheaper.
//
// A rule is written once for a vector V of any width of float or double, and gets its loops, names and tests
// from the list at the end. At kinks and for NaN a rule does what PyTorch does.
#pragma once

#include "functions/list.hpp"
#include "simd/math.hpp"

namespace retrograd::RG_ISA {

struct Linear {
    static constexpr const char* name = "linear";
    static constexpr bool needs_x = false, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return x;
    }
    template <class V>
    static RG_MEMBER V df(V, V) {
        return constant<V>(1);
    }
};

struct Sigmoid {
    static constexpr const char* name = "sigmoid";
    static constexpr bool needs_x = false, needs_y = true;
    template <class V>
    static RG_MEMBER V f(V x) {
        return sigmoid(x);
    }
    template <class V>
    static RG_MEMBER V df(V, V y) {
        return y * (constant<V>(1) - y);
    }
};

struct Tanh {
    static constexpr const char* name = "tanh";
    static constexpr bool needs_x = false, needs_y = true;
    template <class V>
    static RG_MEMBER V f(V x) {
        return tanh(x);
    }
    template <class V>
    static RG_MEMBER V df(V, V y) {
        return constant<V>(1) - y * y;
    }
};

struct Relu {  // max(x, 0), which hands NaN on; 0 at 0
    static constexpr const char* name = "relu";
    static constexpr bool needs_x = false, needs_y = true;
    template <class V>
    static RG_MEMBER V f(V x) {
        return select(x <= V{}, V{}, x);
    }
    template <class V>
    static RG_MEMBER V df(V, V y) {
        return select(y <= V{}, V{}, constant<V>(1));
    }
};

struct LeakyRelu {  // x, or 0.01 x below 0
    static constexpr const char* name = "leaky_relu";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return select(x > V{}, x, x * constant<V>(0.01));
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        return select(x > V{}, constant<V>(1), constant<V>(0.01));
    }
};

struct Elu {  // x, or e^x - 1 below 0
    static constexpr const char* name = "elu";
    static constexpr bool needs_x = false, needs_y = true;
    template <class V>
    static RG_MEMBER V f(V x) {
        return select(x > V{}, x, expm1(x));
    }
    template <class V>
    static RG_MEMBER V df(V, V y) {
        return select(y > V{}, constant<V>(1), y + constant<V>(1));
    }
};

struct Selu {  // scale x, or scale alpha (e^x - 1) below 0 (Klambauer et al., 2017)
    static constexpr const char* name = "selu";
    static constexpr bool needs_x = false, needs_y = true;
    static constexpr double scale = 1.0507009873554804934193349852946;
    static constexpr double scale_alpha = scale * 1.6732632423543772848170429916717;
    template <class V>
    static RG_MEMBER V f(V x) {
        return select(x > V{}, constant<V>(scale) * x, constant<V>(scale_alpha) * expm1(x));
    }
    template <class V>
    static RG_MEMBER V df(V, V y) {
        return select(y > V{}, constant<V>(scale), y + constant<V>(scale_alpha));
    }
};

struct Gelu {  // x Phi(x), Phi the normal distribution's
    static constexpr const char* name = "gelu";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V phi(V x) {
        return constant<V>(0.5) * (constant<V>(1) + erf(x * constant<V>(0.70710678118654752440)));
    }
    template <class V>
    static RG_MEMBER V f(V x) {
        return x * phi(x);
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        const V density = constant<V>(0.39894228040143267794) * exp(constant<V>(-0.5) * x * x);
        return fma(x, density, phi(x));
    }
};

struct Silu {  // x sigmoid(x)
    static constexpr const char* name = "silu";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return x * sigmoid(x);
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        const V s = sigmoid(x);
        return s * fma(x, constant<V>(1) - s, constant<V>(1));
    }
};

struct Softplus {  // log(1 + e^x)
    static constexpr const char* name = "softplus";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return softplus(x);
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        return sigmoid(x);
    }
};

struct Softsign {  // x / (1 + |x|)
    static constexpr const char* name = "softsign";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return x / (constant<V>(1) + abs(x));
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        const V d = constant<V>(1) / (constant<V>(1) + abs(x));
        return d * d;
    }
};

struct Mish {  // x tanh(softplus(x))
    static constexpr const char* name = "mish";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return x * tanh(softplus(x));
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        const V t = tanh(softplus(x));
        return fma(x * (constant<V>(1) - t * t), sigmoid(x), t);
    }
};

struct HardSigmoid {  // min(max(x + 3, 0), 6) / 6
    static constexpr const char* name = "hard_sigmoid";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        const V shifted = x + constant<V>(3), six = constant<V>(6);
        return select(shifted < V{}, V{}, select(shifted > six, six, shifted)) / six;
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        return select(abs(x) < constant<V>(3), constant<V>(1.0 / 6), V{});
    }
};

struct HardSwish {  // x hard_sigmoid(x)
    static constexpr const char* name = "hard_swish";
    static constexpr bool needs_x = true, needs_y = false;
    template <class V>
    static RG_MEMBER V f(V x) {
        return x * HardSigmoid::f(x);
    }
    template <class V>
    static RG_MEMBER V df(V x, V) {
        const V three = constant<V>(3), inner = x / three + constant<V>(0.5);
        return select(x <= -three, V{}, select(x >= three, constant<V>(1), inner));
    }
};

struct Exp {
    static constexpr const char* name = "exp";
    static constexpr bool needs_x = false, needs_y = true;
    template <class V>
    static RG_MEMBER V f(V x) {
        return exp(x);
    }
    template <class V>
    static RG_MEMBER V df(V, V y) {
        return y;
    }
};

using Activations = RuleList<Linear, Sigmoid, Tanh, Relu, LeakyRelu, Elu, Selu, Gelu, Silu, Softplus,
                             Softsign, Mish, HardSigmoid, HardSwish, Exp>;

}  // namespace retrograd::RG_ISA
