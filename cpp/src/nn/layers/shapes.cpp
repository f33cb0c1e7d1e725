// Layers without parameters: what joins, scales and reshapes.
#include "nn/layer_call.hpp"
#include "nn/layers/list.hpp"

namespace retrograd {

// Flatten(): all sample axes become one.
Node build_flatten(LayerCall& call) {
    const Node& x = call.only_input();
    return call.named(
        apply("reshape", {{"shape", std::vector<std::int64_t>{x.shape().size()}}}, {x}, call.who()), "a");
}

// Reshape(shape): the sample gets the shape; one -1 is worked out.
Node build_reshape(LayerCall& call) {
    return call.named(
        apply("reshape", {{"shape", get_ints(call.config(), "shape")}}, {call.only_input()}, call.who()),
        "a");
}

// Rescale(scale, offset): a = x * scale + offset.
Node build_rescale(LayerCall& call) {
    Node y = apply("multiply", {}, {call.only_input(), constant({}, {get_double(call.config(), "scale")})},
                   call.who());
    const double offset = get_double(call.config(), "offset");
    if (offset != 0) y = apply("add", {}, {y, constant({}, {offset})}, call.who());
    return call.named(y, "a");
}

namespace {

Node folded(LayerCall& call, const char* op) {
    if (call.inputs.size() < 2) {
        throw GraphError(call.who() + ": expected at least two input nodes, got " +
                         std::to_string(call.inputs.size()));
    }
    Node y = call.inputs[0];
    for (std::size_t i = 1; i < call.inputs.size(); ++i) y = apply(op, {}, {y, call.inputs[i]}, call.who());
    return call.named(y, "a");
}

}  // namespace

Node build_add(LayerCall& call) { return folded(call, "add"); }            // Add(): a = x0 + x1 + ...
Node build_multiply(LayerCall& call) { return folded(call, "multiply"); }  // Multiply(): a = x0 * x1 * ...

// Concatenate(axis): the inputs side by side.
Node build_concatenate(LayerCall& call) {
    if (call.inputs.empty()) throw GraphError(call.who() + ": expected at least one input node, got none");
    return call.named(
        apply("concatenate", {{"axis", get_int(call.config(), "axis")}}, call.inputs, call.who()), "a");
}

}  // namespace retrograd
