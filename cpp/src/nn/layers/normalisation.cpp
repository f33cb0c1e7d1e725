// Layers that keep numbers in a good range, and dropout.
#include "nn/layer_call.hpp"
#include "nn/layers/list.hpp"

namespace retrograd {

// BatchNorm(eps, momentum, affine): a = (x - mean) / sqrt(var + eps) weight + bias, for each feature of the
// last axis.
Node build_batch_norm(LayerCall& call) {
    const Node& x = call.only_input();
    if (x.shape().rank() < 1) {
        throw ShapeError(call.who() + ": expected an input with features on its last axis, got shape " +
                         x.shape().str());
    }
    const std::int64_t features = x.shape().last();
    std::vector<Node> operands = {x, call.buffer("running_mean", {features}, 0),
                                  call.buffer("running_var", {features}, 1)};
    if (get_bool(call.config(), "affine")) {
        operands.push_back(call.parameter("weight", {features}, {.rule = "ones"}));
        operands.push_back(call.parameter("bias", {features}, {.rule = "zeros"}));
    }
    const Attributes attributes = {{"eps", get_double(call.config(), "eps")},
                                   {"momentum", get_double(call.config(), "momentum")}};
    return call.named(apply("batch_norm", attributes, std::move(operands), call.who()), "a");
}

// Dropout(rate): a = x m, in training.
Node build_dropout(LayerCall& call) {
    return call.named(
        apply("dropout", {{"rate", get_double(call.config(), "rate")}}, {call.only_input()}, call.who()),
        "a");
}

namespace {

// The op over the last axis, with a weight that begins at 1 and, if there is one, a bias that begins at 0.
Node normalised_rows(LayerCall& call, const char* op, bool has_bias) {
    const Node& x = call.only_input();
    if (x.shape().rank() < 1) {
        throw ShapeError(call.who() + ": expected an input with features on its last axis, got shape " +
                         x.shape().str());
    }
    const std::int64_t features = x.shape().last();
    Initial ones;
    ones.rule = "ones";
    std::vector<Node> operands = {x, call.parameter("weight", {features}, ones)};
    if (has_bias) operands.push_back(call.parameter("bias", {features}, {}));
    return call.named(apply(op, {{"eps", get_double(call.config(), "eps")}}, std::move(operands), call.who()),
                      "a");
}

}  // namespace

// LayerNorm(eps): a = (x - mean) / sqrt(variance + eps) weight + bias, over the last axis.
Node build_layer_norm(LayerCall& call) { return normalised_rows(call, "layer_norm", true); }

// RMSNorm(eps): a = x / sqrt(mean(x^2) + eps) weight, over the last axis.
Node build_rms_norm(LayerCall& call) { return normalised_rows(call, "rms_norm", false); }

}  // namespace retrograd
