#include <retrograd/graph.hpp>

#include <algorithm>
#include <atomic>
#include <unordered_set>
#include <utility>

#include <retrograd/error.hpp>

namespace retrograd {
namespace {

std::uint64_t next_order() {
    static std::atomic<std::uint64_t> counter{0};
    return counter.fetch_add(1, std::memory_order_relaxed);
}

Node make(Node::Data data) {
    data.order = next_order();
    return Node(std::make_shared<const Node::Data>(std::move(data)));
}

void check_dims(std::string_view who, const std::vector<std::int64_t>& dims) {
    for (const std::int64_t dim : dims) {
        if (dim < 1) {
            throw ShapeError(std::string(who) + ": every dim must be at least 1, got shape " +
                             Shape{dims, false}.str());
        }
    }
    (void)Shape{dims, false}.size();  // throws where the number of elements does not fit
}

Node leaf(NodeKind kind, std::string_view who, std::vector<std::int64_t> dims, DType dtype,
          std::string name) {
    check_dims(name.empty() ? who : std::string_view(name), dims);
    Node::Data data;
    data.kind = kind;
    data.shape = {std::move(dims), kind == NodeKind::input};
    data.dtype = dtype;
    data.name = std::move(name);
    return make(std::move(data));
}

}  // namespace

NodeKind Node::kind() const { return data_->kind; }
const Shape& Node::shape() const { return data_->shape; }
DType Node::dtype() const { return data_->dtype; }
const std::string& Node::name() const { return data_->name; }
const OpPtr& Node::op() const { return data_->op; }
const std::vector<Node>& Node::inputs() const { return data_->inputs; }

Node input(std::vector<std::int64_t> dims, DType dtype, std::string name) {
    return leaf(NodeKind::input, "input", std::move(dims), dtype, std::move(name));
}

Node placeholder(std::vector<std::int64_t> dims, std::string name) {
    return leaf(NodeKind::placeholder, "placeholder", std::move(dims), DType::real, std::move(name));
}

Node parameter(std::vector<std::int64_t> dims, Initial initial, std::string name) {
    check_dims(name.empty() ? std::string_view("parameter") : std::string_view(name), dims);
    Node::Data data;
    data.kind = NodeKind::parameter;
    data.shape = {std::move(dims), false};
    data.name = std::move(name);
    data.initial = std::move(initial);
    return make(std::move(data));
}

Node constant(std::vector<std::int64_t> dims, std::vector<double> values, std::string name) {
    const Shape shape{dims, false};
    if (static_cast<std::int64_t>(values.size()) != shape.size()) {
        throw ShapeError("constant: shape " + shape.str() + " needs " + std::to_string(shape.size()) +
                         " values, got " + std::to_string(values.size()));
    }
    Node::Data data;
    data.kind = NodeKind::constant;
    data.shape = shape;
    data.name = std::move(name);
    data.initial.rule = "values";
    data.initial.values = std::make_shared<const std::vector<double>>(std::move(values));
    return make(std::move(data));
}

Node apply(OpPtr op, std::vector<Node> inputs, std::string_view who, std::string name) {
    std::vector<Input> operands;
    operands.reserve(inputs.size());
    for (const Node& node : inputs) operands.push_back({node.shape(), node.dtype()});
    Node::Data data;
    data.shape = op->infer(operands, who.empty() ? op->name() : who);
    (void)data.shape.size();
    data.name = std::move(name);
    data.op = std::move(op);
    data.inputs = std::move(inputs);
    return make(std::move(data));
}

Node apply(std::string_view op, const Attributes& attributes, std::vector<Node> inputs,
           std::string_view who) {
    return apply(make_op(op, attributes), std::move(inputs), who);
}

Node tag(const Node& node, std::shared_ptr<const LayerTag> layer, std::string role, int call,
         std::vector<Node> given) {
    Node::Data data = node.data();
    data.layer = std::move(layer);
    data.role = std::move(role);
    data.call = call;
    data.given = std::move(given);
    return make(std::move(data));
}

Graph::Graph(std::span<const Node> inputs, std::span<const Node> results) { collect(inputs, results); }

Graph Graph::extended(std::span<const Node> inputs, std::span<const Node> results) const {
    Graph longer = *this;
    longer.collect(inputs, results);
    return longer;
}

void Graph::collect(std::span<const Node> inputs, std::span<const Node> results) {
    // Depth first over an explicit stack: a deep network must not exhaust the thread's own.
    std::vector<Node> found;
    std::unordered_set<const Node::Data*> seen;
    std::vector<Node> open(results.begin(), results.end());
    while (!open.empty()) {
        const Node node = open.back();
        open.pop_back();
        if (ids_.contains(node.identity()) || !seen.insert(node.identity()).second) continue;
        found.push_back(node);
        for (const Node& operand : node.inputs()) open.push_back(operand);
    }
    std::ranges::sort(found, {}, [](const Node& node) { return node.data().order; });

    for (const Node& listed : inputs) {
        if (listed.kind() != NodeKind::input && listed.kind() != NodeKind::placeholder) {
            throw GraphError("inputs: expected Input nodes, got a node of kind '" +
                             std::string(listed.op() ? listed.op()->name() : "parameter") + "'");
        }
        if (!seen.contains(listed.identity()) && !ids_.contains(listed.identity())) {
            throw GraphError("input '" + (listed.name().empty() ? listed.shape().str() : listed.name()) +
                             "' reaches no output; leave it out of inputs=, or connect it");
        }
    }
    for (const Node& node : found) {
        const bool fed = node.kind() == NodeKind::input || node.kind() == NodeKind::placeholder;
        if (fed &&
            std::ranges::none_of(inputs, [&](const Node& i) { return i.identity() == node.identity(); })) {
            throw GraphError("an Input of shape " + node.shape().str() +
                             (node.name().empty() ? "" : " named '" + node.name() + "'") +
                             " is reached by the outputs but not listed; add it to inputs=");
        }
    }

    const std::size_t first = nodes_.size();
    for (const Node& node : found) {
        GraphNode entry{node.kind(), node.op(), {}, node.shape(), node.dtype(), "", 0};
        for (const Node& operand : node.inputs()) entry.inputs.push_back(ids_.at(operand.identity()));
        const int id = size();
        if (entry.kind == NodeKind::parameter) {
            entry.offset = parameter_count_;
            parameter_count_ += entry.shape.size();
            parameters_.push_back(id);
        } else if (entry.kind == NodeKind::constant) {
            entry.offset = constant_count_;
            constant_count_ += entry.shape.size();
            constants_.push_back(id);
        }
        nodes_.push_back(std::move(entry));
        expressions_.push_back(node);
        ids_.emplace(node.identity(), id);
    }
    name_nodes(first);
}

// The number of a layer's call within this graph: other calls of the same layer may belong to other graphs.
std::size_t Graph::call_here(int layer, int call) {
    std::vector<int>& known = call_numbers_[static_cast<std::size_t>(layer)];
    const auto found = std::ranges::find(known, call);
    if (found != known.end()) return static_cast<std::size_t>(found - known.begin());
    known.push_back(call);
    layers_[static_cast<std::size_t>(layer)].calls.emplace_back();
    layers_[static_cast<std::size_t>(layer)].inputs.emplace_back();
    return known.size() - 1;
}

// Layers are named in the order of their first node; nodes after their layer, or after their operation.
void Graph::name_nodes(std::size_t first) {
    for (std::size_t i = first; i < nodes_.size(); ++i) {
        const Node::Data& data = expressions_[i].data();
        const int id = static_cast<int>(i);
        std::string name = data.name;
        if (data.layer) {
            auto [found, added] = layer_ids_.try_emplace(data.layer.get(), static_cast<int>(layers_.size()));
            if (added) {
                GraphLayer layer;
                layer.kind = data.layer->kind;
                layer.config = data.layer->config;
                layer.name = data.layer->name.empty()
                                 ? layer.kind + "_" + std::to_string(counts_["layer:" + layer.kind]++)
                                 : data.layer->name;
                for (const GraphLayer& other : layers_) {
                    if (other.name == layer.name) {
                        throw GraphError("two layers are named '" + layer.name +
                                         "'; give each its own name=");
                    }
                }
                layers_.push_back(std::move(layer));
                call_numbers_.emplace_back();
            }
            GraphLayer& layer = layers_[static_cast<std::size_t>(found->second)];
            if (data.kind != NodeKind::operation) {
                auto& list = data.kind == NodeKind::parameter ? layer.parameters : layer.buffers;
                list.emplace_back(data.role, id);
                name = layer.name + "." + data.role;
            } else {
                const std::size_t call = call_here(found->second, data.call);
                layer.calls[call].emplace_back(data.role, id);
                layer.inputs[call].clear();
                for (const Node& given : data.given) layer.inputs[call].push_back(this->id(given));
                name = layer.name + (call > 0 ? "@" + std::to_string(call) : "") + "." + data.role;
            }
        } else if (name.empty()) {
            std::string kind;
            switch (data.kind) {
                case NodeKind::input: kind = "input"; break;
                case NodeKind::placeholder: kind = "placeholder"; break;
                case NodeKind::parameter: kind = "variable"; break;
                case NodeKind::constant: kind = "constant"; break;
                case NodeKind::operation: kind = data.op->name(); break;
            }
            do {
                name = kind + "_" + std::to_string(counts_[kind]++);
            } while (names_.contains(name));
        }
        if (!names_.emplace(name, id).second) {
            throw GraphError("two " + std::string(data.kind == NodeKind::parameter ? "parameters" : "nodes") +
                             " are named '" + name + "'; give each its own name=");
        }
        nodes_[i].name = std::move(name);
    }
}

int Graph::find(std::string_view name) const {
    const auto found = names_.find(std::string(name));
    return found == names_.end() ? -1 : found->second;
}

int Graph::id(const Node& node) const {
    const auto found = ids_.find(node.identity());
    return found == ids_.end() ? -1 : found->second;
}

std::vector<Input> Graph::operands(int id) const {
    std::vector<Input> inputs;
    for (const int i : (*this)[id].inputs) inputs.push_back({(*this)[i].shape, (*this)[i].dtype});
    return inputs;
}

}  // namespace retrograd
