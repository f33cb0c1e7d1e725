#include "train/loss.hpp"

#include <algorithm>

#include <retrograd/error.hpp>

namespace retrograd {
namespace {

constexpr std::int64_t ignored_label = -100;

Node named(const std::string& op, const Attributes& attributes, std::vector<Node> inputs,
           const std::string& name) {
    return apply(make_op(op, attributes), std::move(inputs), name, name);
}

// Softmax then cross-entropy (sigmoid then binary cross-entropy) is one operation on the pre-activation:
// exact where the two apart would take the logarithm of a rounded zero.
Node paired(const Node& output, const std::string& loss) {
    if (!output.op()) return output;
    const bool pair = (loss == "cross_entropy" && output.op()->name() == "softmax") ||
                      (loss == "binary_cross_entropy" && output.op()->name() == "sigmoid");
    return pair ? output.inputs()[0] : output;
}

std::string numbered(const std::string& name, std::size_t i, std::size_t count) {
    return count == 1 ? name : name + "_" + std::to_string(i);
}

}  // namespace

std::vector<TargetKind> target_kinds(const TrainerOptions& options, const Graph& graph,
                                     const std::vector<int>& outputs, std::span<const ArrayView> y) {
    if (!options.loss.function && y.size() != outputs.size()) {
        throw ShapeError("y: expected one target for each of the " + std::to_string(outputs.size()) +
                         " outputs, got " + std::to_string(y.size()));
    }
    std::vector<TargetKind> kinds;
    for (std::size_t i = 0; i < y.size(); ++i) {
        const bool integral = y[i].integral() && y[i].type != ElementType::boolean;
        if (options.loss.function) {
            kinds.push_back(
                {integral, {y[i].shape.begin() + (y[i].shape.empty() ? 0 : 1), y[i].shape.end()}});
            continue;
        }
        const std::vector<std::int64_t>& dims = graph[outputs[i]].shape.dims;
        if (options.loss.terms[i].name != "cross_entropy") {
            kinds.push_back({false, dims});
            continue;
        }
        if (dims.empty()) {
            throw ShapeError("cross_entropy: output '" + graph[outputs[i]].name +
                             "' has no class axis; expected shape (batch, classes)");
        }
        // Probabilities have the output's rank; labels lack the class axis (a trailing axis of one is
        // forgiven).
        const bool labels = integral || y[i].shape.size() <= dims.size();
        if (labels && !integral) {
            throw DTypeError(y[i].name + ": cross_entropy expects integer labels of shape " +
                             Shape{{dims.begin(), dims.end() - 1}, true}.str() +
                             " or probabilities of shape " + Shape{dims, true}.str() + ", got " +
                             element_name(y[i].type) + "; convert labels with y.astype(int)");
        }
        kinds.push_back(labels ? TargetKind{true, {dims.begin(), dims.end() - 1}} : TargetKind{false, dims});
    }
    return kinds;
}

std::vector<TargetKind> likely_target_kinds(const TrainerOptions& options, const Graph& graph,
                                            const std::vector<int>& outputs) {
    std::vector<TargetKind> kinds;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        std::vector<std::int64_t> dims = graph[outputs[i]].shape.dims;
        const bool labels =
            !options.loss.function && options.loss.terms[i].name == "cross_entropy" && !dims.empty();
        if (labels) dims.pop_back();
        kinds.push_back({labels, std::move(dims)});
    }
    return kinds;
}

LossGraph extend_with_loss(const TrainerOptions& options, const Graph& graph, const std::vector<int>& outputs,
                           const std::vector<TargetKind>& kinds, bool weighted) {
    std::vector<Node> targets, fed, output_nodes;
    for (const int id : outputs) output_nodes.push_back(graph.node(id));
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        targets.push_back(input(kinds[i].dims, kinds[i].index ? DType::index : DType::real,
                                numbered("target", i, kinds.size())));
    }
    fed = targets;
    std::vector<Node> weights;
    if (weighted) {
        weights.push_back(input({}, DType::real, "sample_weight"));
        fed.push_back(weights[0]);
    }

    std::vector<Node> means;
    std::vector<Node> label_weights;
    if (options.loss.function) {
        Node values = options.loss.function(output_nodes, targets);
        if (!(values.shape() == Shape{{}, true})) {
            throw ShapeError("loss: a loss function must return one value per sample, shape (batch,), got " +
                             values.shape().str() + "; take the sum or mean over the other axes");
        }
        std::vector<Node> operands = {values};
        operands.insert(operands.end(), weights.begin(), weights.end());
        means.push_back(named("weighted_mean", {}, operands, "loss"));
    } else {
        const std::size_t count = options.loss.terms.size();
        for (std::size_t i = 0; i < count; ++i) {
            const LossTerm& term = options.loss.terms[i];
            const Node values =
                named(term.name, term.attributes, {paired(output_nodes[i], term.name), targets[i]},
                      numbered("loss.per_sample", i, count));
            std::vector<Node> operands = {values};
            operands.insert(operands.end(), weights.begin(), weights.end());
            if (kinds[i].index) {
                const auto ignore = term.attributes.find("ignore_index");
                label_weights.push_back(
                    named("label_weight",
                          {{"ignore_index",
                            ignore == term.attributes.end() ? Attribute(ignored_label) : ignore->second}},
                          {targets[i]}, numbered("loss.label_weight", i, count)));
                operands.push_back(label_weights.back());
            }
            const bool last = count == 1 && options.loss_weights.empty();
            means.push_back(
                named("weighted_mean", {}, operands, last ? "loss" : numbered("loss.mean", i, count)));
        }
    }
    Node loss = means[0];
    if (means.size() > 1 || !options.loss_weights.empty()) {
        for (std::size_t i = 0; i < means.size(); ++i) {
            const double weight = options.loss_weights.empty() ? 1.0 : options.loss_weights[i];
            const bool only = means.size() == 1;
            const Node share = named("multiply", {}, {means[i], constant({}, {weight})},
                                     only ? "loss" : numbered("loss.share", i, means.size()));
            loss = i == 0 ? share
                          : named("add", {}, {loss, share},
                                  i + 1 == means.size() ? "loss" : "loss.sum_" + std::to_string(i));
        }
    }

    // Targets that a custom loss leaves unused are still fed, so they stay out of the graph's check.
    std::vector<Node> listed;
    {
        std::vector<Node> open = {loss};
        std::vector<const Node::Data*> seen;
        while (!open.empty()) {
            const Node node = open.back();
            open.pop_back();
            if (std::ranges::find(seen, node.identity()) != seen.end() || graph.id(node) >= 0) continue;
            seen.push_back(node.identity());
            for (const Node& operand : node.inputs()) open.push_back(operand);
        }
        for (const Node& node : fed) {
            if (std::ranges::find(seen, node.identity()) != seen.end()) listed.push_back(node);
        }
    }
    const Node results[] = {loss};
    auto longer = std::make_shared<Graph>(graph.extended(listed, results));
    if (longer->parameters().size() != graph.parameters().size()) {
        throw GraphError(
            "loss: parameter '" + (*longer)[longer->parameters().back()].name +
            "' belongs to the loss only; parameters must be part of the model, so give the model an output "
            "that depends on it");
    }
    LossGraph extended;
    for (const Node& target : targets) extended.targets.push_back(longer->id(target));
    if (weighted) extended.sample_weight = longer->id(weights[0]);
    if (label_weights.size() == 1) extended.label_weight = longer->id(label_weights[0]);
    extended.loss = longer->id(loss);
    extended.graph = std::move(longer);
    return extended;
}

}  // namespace retrograd
