// A layer is a function that appends nodes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <retrograd/graph.hpp>

namespace retrograd {

class Layer {
  public:
    using Function = std::function<Node(const Node&)>;

    // `kind` is a name of layer_kinds(); `config` has its arguments (see nn/layers.cpp, beside each builder).
    // `activation` stands instead of config["activation"]; `initial` (by role) instead of the initialisers in
    // config.
    explicit Layer(std::string kind, Attributes config = {}, std::string name = "", Function activation = {},
                   std::map<std::string, Initial> initial = {});

    // The first call makes the parameters, later calls share them; calls from several threads wait for each
    // other. Throws ShapeError, ArgumentError or GraphError.
    Node operator()(const std::vector<Node>& inputs);

    [[nodiscard]] const std::string& kind() const { return tag_->kind; }
    [[nodiscard]] const std::string& name() const { return tag_->name; }
    [[nodiscard]] const Attributes& config() const { return tag_->config; }

  private:
    friend class LayerCall;

    std::shared_ptr<const LayerTag> tag_;
    Function activation_;
    std::map<std::string, Initial> initial_;
    std::map<std::string, Node> parameters_;  // by role
    int calls_ = 0;
    std::unique_ptr<std::recursive_mutex> calling_ = std::make_unique<std::recursive_mutex>();
};

[[nodiscard]] std::vector<std::string> layer_kinds();

// A named activation of a node; throws ArgumentError with the list of names.
[[nodiscard]] Node activate(const std::string& activation, const Node& z, const std::string& who);
[[nodiscard]] std::vector<std::string> activation_names();

}  // namespace retrograd
