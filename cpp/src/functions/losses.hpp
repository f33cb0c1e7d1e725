// Losses of one output z against its target t, with at most one parameter p: value and d value / dz.
//
// The loss of a sample is the sum over its outputs, or the mean where `mean` says so. Written as in
// activations.hpp.
#pragma once

#include "functions/list.hpp"
#include "functions/unary.hpp"
#include "simd/math.hpp"

namespace retrograd::RG_ISA {

struct HalfSquaredError {  // 1/2 (z - t)^2, whose derivative is the z - t of the textbooks
    static constexpr const char *name = "half_squared_error", *parameter = "";
    static constexpr bool mean = false;
    static constexpr double parameter_default = 0, target_low = 0, target_high = 0;
    template <class V>
    static RG_MEMBER V value(V z, V t, V) {
        return constant<V>(0.5) * (z - t) * (z - t);
    }
    template <class V>
    static RG_MEMBER V derivative(V z, V t, V) {
        return z - t;
    }
};

struct MeanSquaredError {  // (z - t)^2
    static constexpr const char *name = "mean_squared_error", *parameter = "";
    static constexpr bool mean = true;
    static constexpr double parameter_default = 0, target_low = 0, target_high = 0;
    template <class V>
    static RG_MEMBER V value(V z, V t, V) {
        return (z - t) * (z - t);
    }
    template <class V>
    static RG_MEMBER V derivative(V z, V t, V) {
        return constant<V>(2) * (z - t);
    }
};

struct MeanAbsoluteError {  // |z - t|, derivative 0 where they are equal
    static constexpr const char *name = "mean_absolute_error", *parameter = "";
    static constexpr bool mean = true;
    static constexpr double parameter_default = 0, target_low = 0, target_high = 0;
    template <class V>
    static RG_MEMBER V value(V z, V t, V) {
        return abs(z - t);
    }
    template <class V>
    static RG_MEMBER V derivative(V z, V t, V) {
        return Abs::sign(z - t);
    }
};

struct Huber {  // 1/2 (z - t)^2 up to |z - t| = delta, a line beyond
    static constexpr const char *name = "huber", *parameter = "delta";
    static constexpr bool mean = true;
    static constexpr double parameter_default = 1, target_low = 0, target_high = 0;
    template <class V>
    static RG_MEMBER V value(V z, V t, V delta) {
        const V d = abs(z - t), half = constant<V>(0.5);
        return select(d <= delta, half * d * d, delta * (d - half * delta));
    }
    template <class V>
    static RG_MEMBER V derivative(V z, V t, V delta) {
        const V d = z - t;
        return select(abs(d) > delta, copysign(delta, d), d);
    }
};

struct BinaryCrossEntropy {  // -t log s - (1 - t) log(1 - s) with s = sigmoid(z), for 0 <= t <= 1
    static constexpr const char *name = "binary_cross_entropy", *parameter = "";
    static constexpr bool mean = true;
    static constexpr double parameter_default = 0, target_low = 0, target_high = 1;
    template <class V>
    static RG_MEMBER V value(V z, V t, V) {
        // softplus(z) - t z, with the part that could cancel taken out exactly
        return softplus(-abs(z)) + select(z > V{}, constant<V>(1) - t, -t) * z;
    }
    template <class V>
    static RG_MEMBER V derivative(V z, V t, V) {
        return sigmoid(z) - t;
    }
};

struct Poisson {  // e^z - t z: the mean is e^z, without the term that does not depend on z
    static constexpr const char *name = "poisson", *parameter = "";
    static constexpr bool mean = true;
    static constexpr double parameter_default = 0, target_low = 0, target_high = 0;
    template <class V>
    static RG_MEMBER V value(V z, V t, V) {
        return exp(z) - t * z;
    }
    template <class V>
    static RG_MEMBER V derivative(V z, V t, V) {
        return exp(z) - t;
    }
};

struct Hinge {  // max(0, 1 - t z) for t = -1 or 1; derivative 0 at the kink
    static constexpr const char *name = "hinge", *parameter = "";
    static constexpr bool mean = true;
    static constexpr double parameter_default = 0, target_low = -1, target_high = 1;
    template <class V>
    static RG_MEMBER V value(V z, V t, V) {
        const V gap = constant<V>(1) - t * z;
        return select(gap <= V{}, V{}, gap);
    }
    template <class V>
    static RG_MEMBER V derivative(V z, V t, V) {
        return select(constant<V>(1) - t * z <= V{}, V{}, -t);
    }
};

using Losses = RuleList<HalfSquaredError, MeanSquaredError, MeanAbsoluteError, Huber, BinaryCrossEntropy,
                        Poisson, Hinge>;

}  // namespace retrograd::RG_ISA
