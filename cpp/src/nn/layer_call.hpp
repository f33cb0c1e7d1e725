// One call of a layer: what a builder needs to append its nodes.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <retrograd/error.hpp>
#include <retrograd/initializers.hpp>
#include <retrograd/layers.hpp>

namespace retrograd {

// What the copies of a Layer share.
struct LayerState {
    std::shared_ptr<const LayerTag> tag;
    Layer::Function activation;
    std::map<std::string, Initial> initial;
    std::map<std::string, Node> parameters = {};  // by role
    int calls = 0;
    std::recursive_mutex calling = {};  // an activation of one's own may call the layer
};

class LayerCall {
  public:
    LayerCall(LayerState& layer, const std::vector<Node>& nodes) : inputs(nodes), layer_(layer) {}

    const std::vector<Node>& inputs;

    [[nodiscard]] const Attributes& config() const { return layer_.tag->config; }
    [[nodiscard]] std::string who() const {
        return layer_.tag->name.empty() ? layer_.tag->kind : layer_.tag->name;
    }

    [[nodiscard]] const Node& only_input() const {
        if (inputs.size() != 1) {
            throw GraphError(who() + ": expected one input node, got " + std::to_string(inputs.size()));
        }
        return inputs[0];
    }

    // The parameter of a role: made by the first call, shared by later ones.
    Node parameter(const std::string& role, std::vector<std::int64_t> dims, Initial initial) {
        const auto found = layer_.parameters.find(role);
        if (found != layer_.parameters.end()) {
            const Shape wanted{dims, false};
            if (found->second.shape() != wanted) {
                throw ShapeError(who() + ": its " + role + " has shape " + found->second.shape().str() +
                                 " from the first call, but this input needs " + wanted.str() +
                                 "; use another layer object, or an input of the first size");
            }
            return found->second;
        }
        const auto given = layer_.initial.find(role);
        if (given != layer_.initial.end()) {
            const Shape wanted{dims, false};
            initial = given->second;
            if (static_cast<std::int64_t>(initial.values->size()) != wanted.size()) {
                throw ShapeError(who() + ": " + role + "_init has " + std::to_string(initial.values->size()) +
                                 " elements, expected shape " + wanted.str());
            }
        }
        Node node = tag(retrograd::parameter(std::move(dims), std::move(initial)), layer_.tag, role);
        layer_.parameters.emplace(role, node);
        return node;
    }

    // What is saved with the model and not trained by gradients: running statistics.
    Node buffer(const std::string& role, std::vector<std::int64_t> dims, double value) {
        const auto found = layer_.parameters.find(role);
        if (found != layer_.parameters.end()) return found->second;
        const auto size = static_cast<std::size_t>(Shape{dims, false}.size());
        const auto given = layer_.initial.find(role);
        std::vector<double> values =
            given == layer_.initial.end() ? std::vector<double>(size, value) : *given->second.values;
        if (values.size() != size) {
            throw ShapeError(who() + ": its " + role + " has " + std::to_string(values.size()) +
                             " elements, but this input needs shape " + Shape{dims, false}.str());
        }
        Node node = tag(constant(std::move(dims), std::move(values)), layer_.tag, role);
        layer_.parameters.emplace(role, node);
        return node;
    }

    [[nodiscard]] Node named(const Node& node, const std::string& role) const {
        return tag(node, layer_.tag, role, layer_.calls, inputs);
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
        if (layer_.activation) {
            const Node a = layer_.activation(z);
            return a.identity() == z.identity() ? z : named(a, "a");
        }
        const std::string name = activation_name();
        return name.empty() || name == "linear" ? z : named(activate(name, z, who()), "a");
    }

  private:
    LayerState& layer_;
};

}  // namespace retrograd
