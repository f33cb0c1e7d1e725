// Layers of sequences in which every step may look at every other.
#include "nn/layer_call.hpp"
#include "nn/layers/list.hpp"

namespace retrograd {

namespace {

void expect_sequence(const Node& x, const char* what, const std::string& who) {
    if (x.dtype() != DType::real) {
        throw DTypeError(who + ": got indices of shape " + x.shape().str() + " for " + what +
                         ", expected floats; an Embedding makes floats of indices");
    }
    if (x.shape().batched && x.shape().rank() == 2) return;
    throw ShapeError(who + ": expected (batch, time, features) for " + what + ", got shape " +
                     x.shape().str());
}

Initial glorot(std::int64_t fan_in, std::int64_t fan_out) {
    Initial initial;
    initial.rule = "glorot_uniform";
    initial.fan_in = fan_in;
    initial.fan_out = fan_out;
    return initial;
}

// What a node has in the rows [first, end) of axis 0.
Node rows_of(const Node& x, std::int64_t first, std::int64_t end, const std::string& who) {
    return apply("slice", {{"axis", std::int64_t{0}}, {"start", first}, {"stop", end}}, {x}, who);
}

}  // namespace

// PositionalEmbedding(length): a = x + the first rows of a weight (length, features), one row for each step.
Node build_positional_embedding(LayerCall& call) {
    const Node& x = call.only_input();
    expect_sequence(x, "the input", call.who());
    const std::int64_t length = get_int(call.config(), "length");
    const std::int64_t time = x.shape().dims[0], features = x.shape().last();
    if (length < 1) {
        throw ArgumentError(call.who() + ": length must be at least 1, got " + std::to_string(length));
    }
    if (time > length) {
        throw ShapeError(call.who() + ": the input " + x.shape().str() + " has " + std::to_string(time) +
                         " steps, but length is " + std::to_string(length) +
                         "; give the layer a length of at least " + std::to_string(time));
    }
    const Node weight =
        call.parameter("weight", {length, features}, call.initial("weight_init", "", features, features));
    const Node used = time == length ? weight : rows_of(weight, 0, time, call.who());
    return call.named(apply("add", {}, {x, used}, call.who()), "a");
}

// MultiHeadAttention(heads, causal, dropout), of x or of q, k, v, and then a mask if there is one:
//   q, k, v projected by the three parts of in_proj_weight (3d, d); attended = attention of each head;
//   a = attended out_proj.weight^T + out_proj.bias
Node build_multi_head_attention(LayerCall& call) {
    const std::vector<Node>& given = call.inputs;
    const std::string who = call.who();
    if (given.empty() || given.size() > 4) {
        throw GraphError(who + ": called with " + std::to_string(given.size()) +
                         " nodes, expected (x) or (q, k, v), and a mask");
    }
    const bool has_mask = given.size() % 2 == 0;
    const std::size_t sequences = given.size() - (has_mask ? 1 : 0);
    constexpr const char* names[] = {"the queries", "the keys", "the values"};
    for (std::size_t i = 0; i < sequences; ++i) {
        expect_sequence(given[i], sequences == 1 ? "the input" : names[i], who);
    }
    const std::int64_t heads = get_int(call.config(), "heads"), d = given[0].shape().last();
    if (heads < 1) throw ArgumentError(who + ": heads must be at least 1, got " + std::to_string(heads));
    if (d % heads != 0) {
        throw ShapeError(who + ": " + std::to_string(heads) + " heads do not divide the " +
                         std::to_string(d) + " features of the input " + given[0].shape().str() +
                         "; choose a number of heads that does");
    }
    for (std::size_t i = 1; i < sequences; ++i) {
        if (given[i].shape().last() == d) continue;
        throw ShapeError(who + ": the queries are " + given[0].shape().str() + " but " + names[i] + " are " +
                         given[i].shape().str() + "; expected " + std::to_string(d) +
                         " features in all three");
    }
    const Node weight = call.parameter("in_proj_weight", {3 * d, d}, glorot(d, 3 * d));
    const Node bias = call.parameter("in_proj_bias", {3 * d}, {});
    const bool packed = sequences == 1 || (given[0].identity() == given[1].identity() &&
                                           given[0].identity() == given[2].identity());
    std::vector<Node> operands;
    if (packed) {
        operands.push_back(call.named(apply("linear", {}, {given[0], weight, bias}, who), "in_proj"));
    } else {
        constexpr const char* roles[] = {"q_proj", "k_proj", "v_proj"};
        for (std::int64_t i = 0; i < 3; ++i) {
            const Node part = rows_of(weight, i * d, (i + 1) * d, who);
            const Node shift = rows_of(bias, i * d, (i + 1) * d, who);
            const auto at = static_cast<std::size_t>(i);
            operands.push_back(call.named(apply("linear", {}, {given[at], part, shift}, who), roles[i]));
        }
    }
    if (has_mask) operands.push_back(given.back());
    const Attributes attributes = {{"heads", heads},
                                   {"packed", packed},
                                   {"causal", get_bool(call.config(), "causal")},
                                   {"dropout", get_double(call.config(), "dropout")}};
    const Node attended = call.named(apply("attention", attributes, std::move(operands), who), "attended");
    const Node out_weight = call.parameter("out_proj.weight", {d, d}, glorot(d, d));
    const Node out_bias = call.parameter("out_proj.bias", {d}, {});
    return call.named(apply("linear", {}, {attended, out_weight, out_bias}, who), "a");
}

}  // namespace retrograd
