// Features with mean 0 and standard deviation 1.
#include <limits>

#include "nn/layer_call.hpp"
#include "nn/layers/list.hpp"

namespace retrograd {

// Standardize(): a = (x - mean) / std. Both are NaN until they have been measured, which the operation
// refuses.
Node build_standardize(LayerCall& call) {
    const Node& x = call.only_input();
    if (x.shape().rank() < 1) {
        throw ShapeError(call.who() + ": expected an input with features on its last axis, got shape " +
                         x.shape().str());
    }
    constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
    const std::int64_t features = x.shape().last();
    const Node mean = call.buffer("mean", {features}, unknown), std = call.buffer("std", {features}, unknown);
    return call.named(apply("standardize", {{"layer", call.who()}}, {x, mean, std}, call.who()), "a");
}

}  // namespace retrograd
