// Nodes are expressions; a Graph is an append-only list of them.
//
// A Node is immutable and shape-checked when it is made, so an error points at the user's own line. A Graph
// collects what its results reach, in the order of creation: the list is a topological order and a cycle
// cannot exist.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <retrograd/op.hpp>
#include <retrograd/shape.hpp>

namespace retrograd {

enum class NodeKind : std::uint8_t { input, placeholder, parameter, constant, operation };

// How the numbers of a parameter or constant begin: a rule with its fans, or the numbers themselves.
struct Initial {
    std::string rule = "zeros";  // a name of initializers.hpp; "values" for the array below
    double a = 0, b = 0;         // normal(a = std), uniform(a = low, b = high)
    std::int64_t fan_in = 1, fan_out = 1;
    std::shared_ptr<const std::vector<double>> values;
    std::int64_t stacked = 1;  // matrices that lie one below the other, each orthogonal by itself
};

// The layer that made a node. Nodes of one layer share one tag.
struct LayerTag {
    std::string kind;  // "dense"
    std::string name;  // given by the user; empty: "dense_0", "dense_1" ... counted per kind in a model
    Attributes config;
};

class Node {
  public:
    struct Data;

    [[nodiscard]] NodeKind kind() const;
    [[nodiscard]] const Shape& shape() const;
    [[nodiscard]] DType dtype() const;
    [[nodiscard]] const std::string& name() const;  // as the user gave it; "" otherwise
    [[nodiscard]] const OpPtr& op() const;          // null for leaves
    [[nodiscard]] const std::vector<Node>& inputs() const;
    [[nodiscard]] const Data* identity() const { return data_.get(); }
    [[nodiscard]] const Data& data() const { return *data_; }

    explicit Node(std::shared_ptr<const Data> data) : data_(std::move(data)) {}

  private:
    std::shared_ptr<const Data> data_;
};

struct Node::Data {
    std::uint64_t order = 0;  // counts all nodes of the process: inputs are older than what uses them
    NodeKind kind = NodeKind::operation;
    Shape shape;
    DType dtype = DType::real;
    std::string name;
    OpPtr op;
    std::vector<Node> inputs;
    Initial initial;
    std::shared_ptr<const LayerTag> layer;
    std::string role;         // "weight", "bias", "z", "a" of its layer
    int call = 0;             // which call of the layer made it
    std::vector<Node> given;  // what the layer was called with
};

[[nodiscard]] Node input(std::vector<std::int64_t> dims, DType dtype = DType::real, std::string name = "");
[[nodiscard]] Node placeholder(std::vector<std::int64_t> dims, std::string name = "");
[[nodiscard]] Node parameter(std::vector<std::int64_t> dims, Initial initial, std::string name = "");
[[nodiscard]] Node constant(std::vector<std::int64_t> dims, std::vector<double> values,
                            std::string name = "");

// The operation's result. Throws ShapeError, DTypeError or GraphError, beginning with `who` (default: the
// op's name).
[[nodiscard]] Node apply(OpPtr op, std::vector<Node> inputs, std::string_view who = "",
                         std::string name = "");
[[nodiscard]] Node apply(std::string_view op, const Attributes& attributes, std::vector<Node> inputs,
                         std::string_view who = "");

// The same expression, known as a layer's: "dense_0.z".
[[nodiscard]] Node tag(const Node& node, std::shared_ptr<const LayerTag> layer, std::string role,
                       int call = 0, std::vector<Node> given = {});

struct GraphNode {
    NodeKind kind;
    OpPtr op;
    std::vector<int> inputs;
    Shape shape;
    DType dtype;
    std::string name;         // unique in the graph
    std::int64_t offset = 0;  // of a parameter or constant in its flat buffer, in elements
};

struct GraphLayer {
    std::string name;
    std::string kind;
    Attributes config;
    std::vector<std::pair<std::string, int>> parameters;          // role -> node
    std::vector<std::pair<std::string, int>> buffers;             // role -> constant
    std::vector<std::vector<std::pair<std::string, int>>> calls;  // for each call: role -> node
    std::vector<std::vector<int>> inputs;                         // for each call: what it was given
};

class Graph {
  public:
    // Everything that `results` reach. Throws GraphError where an input is reached but not listed, listed but
    // not reached, or two nodes have one name.
    Graph(std::span<const Node> inputs, std::span<const Node> results);

    // A longer graph: this one, then what `results` reach beyond it. Ids of this graph stay as they are.
    [[nodiscard]] Graph extended(std::span<const Node> inputs, std::span<const Node> results) const;

    [[nodiscard]] const std::vector<GraphNode>& nodes() const { return nodes_; }
    [[nodiscard]] const GraphNode& operator[](int id) const { return nodes_[static_cast<std::size_t>(id)]; }
    [[nodiscard]] int size() const { return static_cast<int>(nodes_.size()); }
    [[nodiscard]] const std::vector<GraphLayer>& layers() const { return layers_; }
    [[nodiscard]] const std::vector<int>& parameters() const { return parameters_; }
    [[nodiscard]] const std::vector<int>& constants() const { return constants_; }
    [[nodiscard]] std::int64_t parameter_count() const { return parameter_count_; }  // elements
    [[nodiscard]] std::int64_t constant_count() const { return constant_count_; }

    [[nodiscard]] int find(std::string_view name) const;  // -1 where there is none
    [[nodiscard]] int id(const Node& node) const;         // -1 where it is not in the graph
    [[nodiscard]] const Node& node(int id) const { return expressions_[static_cast<std::size_t>(id)]; }
    [[nodiscard]] std::vector<Input> operands(int id) const;  // what shape rules see

  private:
    void collect(std::span<const Node> inputs, std::span<const Node> results);
    void name_nodes(std::size_t first);
    [[nodiscard]] std::size_t call_here(int layer, int call);

    std::vector<GraphNode> nodes_;
    std::vector<Node> expressions_;
    std::unordered_map<const Node::Data*, int> ids_;
    std::unordered_map<std::string, int> names_;
    std::vector<GraphLayer> layers_;
    std::vector<std::vector<int>> call_numbers_;  // for each layer: its calls that are in this graph
    std::unordered_map<const LayerTag*, int> layer_ids_;
    std::unordered_map<std::string, int> counts_;  // of default names, per kind
    std::vector<int> parameters_, constants_;
    std::int64_t parameter_count_ = 0, constant_count_ = 0;
};

}  // namespace retrograd
