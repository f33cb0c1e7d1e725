// Layers of units, and activations that stand alone.
#include "nn/layer_call.hpp"
#include "nn/layers/list.hpp"

namespace retrograd {

// Dense(units, activation, use_bias, weight_init, bias_init): z = x W^T + b, a = activation(z); W is (units,
// inputs).
Node build_dense(LayerCall& call) {
    const Node& x = call.only_input();
    const std::int64_t units = get_int(call.config(), "units");
    if (units < 1)
        throw ArgumentError(call.who() + ": units must be at least 1, got " + std::to_string(units));
    if (x.shape().rank() < 1) {
        throw ShapeError(call.who() + ": expected an input with features on its last axis, got shape " +
                         x.shape().str());
    }
    const std::int64_t features = x.shape().last();
    std::vector<Node> operands = {
        x, call.parameter("weight", {units, features},
                          call.initial("weight_init", call.activation_name(), features, units))};
    if (get_bool(call.config(), "use_bias")) {
        operands.push_back(call.parameter("bias", {units}, call.initial("bias_init", "", features, units)));
    }
    return call.activated(call.named(apply("linear", {}, std::move(operands), call.who()), "z"));
}

// Activation(activation): a = activation(x).
Node build_activation(LayerCall& call) {
    const Node a = call.activated(call.only_input());
    if (a.identity() != call.only_input().identity()) return a;
    return call.named(apply("identity", {}, {a}, call.who()), "a");
}

}  // namespace retrograd
