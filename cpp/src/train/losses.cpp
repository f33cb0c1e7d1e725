#include <retrograd/losses.hpp>

#include <retrograd/ops.hpp>

namespace retrograd {

LossTerm half_squared_error() { return {"half_squared_error", {}}; }
LossTerm mean_squared_error() { return {"mean_squared_error", {}}; }
LossTerm mean_absolute_error() { return {"mean_absolute_error", {}}; }
LossTerm huber(double delta) { return {"huber", {{"delta", delta}}}; }
LossTerm binary_cross_entropy() { return {"binary_cross_entropy", {}}; }
LossTerm cross_entropy(const CrossEntropyOptions& options) {
    return {"cross_entropy",
            {{"label_smoothing", options.label_smoothing}, {"ignore_index", options.ignore_index}}};
}
LossTerm poisson() { return {"poisson", {}}; }
LossTerm hinge() { return {"hinge", {}}; }

namespace {

// The mean over what axes are left besides the batch.
Node per_sample(const Node& values) { return values.shape().rank() > 0 ? ops::mean(values) : values; }

Node over_last(const Node& x) { return ops::sum(x, {-1}); }

// Over the last axis, and at least 1e-8.
Node length(const Node& x) {
    return ops::unary("sqrt", ops::maximum(over_last(ops::unary("square", x)), 1e-16));
}

}  // namespace

LossFunction kl_divergence() {
    return [](const std::vector<Node>& outputs, const std::vector<Node>& targets) {
        const Node &y = outputs.at(0), &q = targets.at(0);
        const bool made_of_logits = y.op() && y.op()->name() == "softmax";
        const Node log_q =
            ops::unary("log", ops::maximum(q, 1e-37));  // a float holds 1e-37; q log q is 0 at 0
        const Node log_p = ops::unary("log_softmax", made_of_logits ? y.inputs()[0] : y);
        return per_sample(over_last(q * (log_q - log_p)));
    };
}

LossFunction cosine_similarity() {
    return [](const std::vector<Node>& outputs, const std::vector<Node>& targets) {
        const Node &y = outputs.at(0), &t = targets.at(0);
        return per_sample(1.0 - over_last(y * t) / (length(y) * length(t)));
    };
}

}  // namespace retrograd
