#include <retrograd/layers.hpp>

#include <algorithm>
#include <utility>

#include <retrograd/error.hpp>
#include <retrograd/initializers.hpp>

#include "kernels/table.hpp"

namespace retrograd {

// One call of a layer: what a builder needs to append its nodes.
class LayerCall {
  public:
    LayerCall(Layer& layer, const std::vector<Node>& nodes) : inputs(nodes), layer_(layer) {}

    const std::vector<Node>& inputs;

    [[nodiscard]] const Attributes& config() const { return layer_.config(); }
    [[nodiscard]] std::string who() const { return layer_.name().empty() ? layer_.kind() : layer_.name(); }

    [[nodiscard]] const Node& only_input() const {
        if (inputs.size() != 1) {
            throw GraphError(who() + ": expected one input node, got " + std::to_string(inputs.size()));
        }
        return inputs[0];
    }

    // The parameter of a role: made by the first call, shared by later ones.
    Node parameter(const std::string& role, std::vector<std::int64_t> dims, Initial initial) {
        const auto found = layer_.parameters_.find(role);
        if (found != layer_.parameters_.end()) {
            const Shape wanted{dims, false};
            if (found->second.shape() != wanted) {
                throw ShapeError(who() + ": its " + role + " has shape " + found->second.shape().str() +
                                 " from the first call, but this input needs " + wanted.str() +
                                 "; use another layer object, or an input of the first size");
            }
            return found->second;
        }
        const auto given = layer_.initial_.find(role);
        if (given != layer_.initial_.end()) {
            const Shape wanted{dims, false};
            initial = given->second;
            if (static_cast<std::int64_t>(initial.values->size()) != wanted.size()) {
                throw ShapeError(who() + ": " + role + "_init has " + std::to_string(initial.values->size()) +
                                 " elements, expected shape " + wanted.str());
            }
        }
        Node node = tag(retrograd::parameter(std::move(dims), std::move(initial)), layer_.tag_, role);
        layer_.parameters_.emplace(role, node);
        return node;
    }

    [[nodiscard]] Node named(const Node& node, const std::string& role) const {
        return tag(node, layer_.tag_, role, layer_.calls_);
    }

    [[nodiscard]] Initial initial(const std::string& key, const std::string& activation, std::int64_t fan_in,
                                  std::int64_t fan_out) const {
        Initial initial;
        initial.rule = get_string(config(), key);
        if (initial.rule == "auto") initial.rule = initializer_for(activation);
        if (config().contains(key + "_a")) initial.a = get_double(config(), key + "_a");
        if (config().contains(key + "_b")) initial.b = get_double(config(), key + "_b");
        initial.fan_in = fan_in;
        initial.fan_out = fan_out;
        return initial;
    }

    [[nodiscard]] std::string activation_name() const {
        return config().contains("activation") ? get_string(config(), "activation") : "";
    }

    // a = activation(z); z itself where there is none.
    [[nodiscard]] Node activated(const Node& z) const {
        if (layer_.activation_) {
            const Node a = layer_.activation_(z);
            return a.identity() == z.identity() ? z : named(a, "a");
        }
        const std::string name = activation_name();
        return name.empty() || name == "linear" ? z : named(activate(name, z, who()), "a");
    }

  private:
    Layer& layer_;
};

namespace {

// Dense(units, activation, use_bias, weight_init, bias_init): z = x W^T + b, a = activation(z); W is (units,
// inputs).
Node dense(LayerCall& call) {
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
Node activation(LayerCall& call) {
    const Node a = call.activated(call.only_input());
    if (a.identity() != call.only_input().identity()) return a;
    return call.named(apply("identity", {}, {a}, call.who()), "a");
}

// Flatten(): all sample axes become one.
Node flatten(LayerCall& call) {
    const Node& x = call.only_input();
    return call.named(
        apply("reshape", {{"shape", std::vector<std::int64_t>{x.shape().size()}}}, {x}, call.who()), "a");
}

// Reshape(shape): the sample gets the shape; one -1 is worked out.
Node reshape(LayerCall& call) {
    return call.named(
        apply("reshape", {{"shape", get_ints(call.config(), "shape")}}, {call.only_input()}, call.who()),
        "a");
}

// Rescale(scale, offset): a = x * scale + offset.
Node rescale(LayerCall& call) {
    Node y = apply("multiply", {}, {call.only_input(), constant({}, {get_double(call.config(), "scale")})},
                   call.who());
    const double offset = get_double(call.config(), "offset");
    if (offset != 0) y = apply("add", {}, {y, constant({}, {offset})}, call.who());
    return call.named(y, "a");
}

Node folded(LayerCall& call, const char* op) {
    if (call.inputs.size() < 2) {
        throw GraphError(call.who() + ": expected at least two input nodes, got " +
                         std::to_string(call.inputs.size()));
    }
    Node y = call.inputs[0];
    for (std::size_t i = 1; i < call.inputs.size(); ++i) y = apply(op, {}, {y, call.inputs[i]}, call.who());
    return call.named(y, "a");
}

Node add(LayerCall& call) { return folded(call, "add"); }            // Add(): a = x0 + x1 + ...
Node multiply(LayerCall& call) { return folded(call, "multiply"); }  // Multiply(): a = x0 * x1 * ...

// Concatenate(axis): the inputs side by side.
Node concatenate(LayerCall& call) {
    if (call.inputs.empty()) throw GraphError(call.who() + ": expected at least one input node, got none");
    return call.named(
        apply("concatenate", {{"axis", get_int(call.config(), "axis")}}, call.inputs, call.who()), "a");
}

struct Builder {
    const char* kind;
    Node (*build)(LayerCall&);
};

constexpr Builder builders[] = {
    {"dense", dense},       {"activation", activation},   {"flatten", flatten},
    {"reshape", reshape},   {"rescale", rescale},         {"add", add},
    {"multiply", multiply}, {"concatenate", concatenate},
};

}  // namespace

Layer::Layer(std::string kind, Attributes config, std::string name, Function activation,
             std::map<std::string, Initial> initial)
    : activation_(std::move(activation)), initial_(std::move(initial)) {
    tag_ = std::make_shared<const LayerTag>(LayerTag{std::move(kind), std::move(name), std::move(config)});
}

Node Layer::operator()(const std::vector<Node>& inputs) {
    for (const Builder& builder : builders) {
        if (kind() != builder.kind) continue;
        LayerCall call(*this, inputs);
        try {
            Node result = builder.build(call);
            ++calls_;
            return result;
        } catch (...) {
            if (calls_ == 0) parameters_.clear();  // a first call that failed leaves no parameters behind
            throw;
        }
    }
    std::string known;
    for (const Builder& builder : builders) known += (known.empty() ? "" : ", ") + std::string(builder.kind);
    throw ArgumentError("layer: unknown kind '" + kind() + "'; choose one of " + known);
}

std::vector<std::string> layer_kinds() {
    std::vector<std::string> kinds;
    for (const Builder& builder : builders) kinds.emplace_back(builder.kind);
    return kinds;
}

std::vector<std::string> activation_names() {
    std::vector<std::string> names;
    for (const auto& kernel : kernels<float>().unary) {
        if (kernel.is_activation) names.emplace_back(kernel.name);
    }
    names.insert(names.end(), {"softmax", "log_softmax"});
    return names;
}

Node activate(const std::string& activation, const Node& z, const std::string& who) {
    const std::vector<std::string> names = activation_names();
    if (std::ranges::find(names, activation) == names.end()) {
        std::string known;
        for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
        throw ArgumentError(who + ": unknown activation '" + activation + "'; choose one of " + known);
    }
    return apply(activation, {}, {z}, who);
}

}  // namespace retrograd
