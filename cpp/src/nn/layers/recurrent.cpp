// Layers that walk along the time axis: the product with the input for all times at once, then the walk.
#include "nn/layer_call.hpp"
#include "nn/layers/list.hpp"

namespace retrograd {

namespace {

void expect_sequences(const LayerCall& call) {
    if (call.inputs.empty() || call.inputs.size() > 2) {
        throw GraphError(call.who() + ": expected an input node and perhaps a mask, got " +
                         std::to_string(call.inputs.size()) + " nodes");
    }
    const Shape& x = call.inputs[0].shape();
    if (x.rank() != 2) {
        throw ShapeError(call.who() + ": input has shape " + x.str() +
                         ", expected (batch, time, features); rg.Reshape or rg.ops.one_hot can add an axis");
    }
}

Node build_recurrent(LayerCall& call, const std::string& op, std::int64_t gates, Attributes attributes) {
    const std::int64_t units = get_int(call.config(), "units");
    if (units < 1)
        throw ArgumentError(call.who() + ": units must be at least 1, got " + std::to_string(units));
    expect_sequences(call);
    const Node& x = call.inputs[0];
    const std::int64_t features = x.shape().last(), rows = gates * units;
    attributes["return_sequences"] = get_bool(call.config(), "return_sequences");
    attributes["reverse"] = get_bool(call.config(), "reverse");

    // Each gate is a layer of its own, so the fans are a gate's, and W_hh is orthogonal gate by gate.
    Initial recurrent = call.initial("recurrent_init", "", units, units);
    recurrent.stacked = gates;
    const Initial bias = call.initial("bias_init", "", features, units);
    const Node weight_ih = call.parameter(
        "weight_ih", {rows, features}, call.initial("weight_init", call.activation_name(), features, units));
    const Node weight_hh = call.parameter("weight_hh", {rows, units}, recurrent);
    const Node bias_ih = call.parameter("bias_ih", {rows}, bias);
    const Node bias_hh = call.parameter("bias_hh", {rows}, Initial{});

    const Node z = call.named(apply("linear", {}, {x, weight_ih, bias_ih}, call.who()), "z");
    std::vector<Node> operands = {z, weight_hh, bias_hh};
    if (call.inputs.size() == 2) operands.push_back(call.inputs[1]);
    return call.named(apply(op, attributes, std::move(operands), call.who()), "a");
}

}  // namespace

// SimpleRNN(units, activation, return_sequences, reverse, weight_init, recurrent_init, bias_init):
// h = act(W_ih x + b_ih + W_hh h + b_hh).
Node build_simple_rnn(LayerCall& call) {
    return build_recurrent(call, "simple_rnn", 1, {{"activation", get_string(call.config(), "activation")}});
}

// LSTM(units, return_sequences, reverse, ...): the rows of W_ih and W_hh are those of i, f, g and o.
Node build_lstm(LayerCall& call) { return build_recurrent(call, "lstm", 4, {}); }

// GRU(units, return_sequences, reverse, ...): the rows of W_ih and W_hh are those of r, z and n.
Node build_gru(LayerCall& call) { return build_recurrent(call, "gru", 3, {}); }

}  // namespace retrograd
