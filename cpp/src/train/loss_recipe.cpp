#include "train/loss_recipe.hpp"

#include <algorithm>
#include <map>

#include <retrograd/error.hpp>

namespace retrograd {
namespace {

std::string text_of(const std::vector<TargetKind>& kinds) {
    std::string text;
    for (const TargetKind& kind : kinds) {
        text +=
            (text.empty() ? "" : ", ") + Shape{kind.dims, true}.str() + (kind.index ? " of integers" : "");
    }
    return text.empty() ? "none" : text;
}

Node make(const LossRecipe& recipe, const Graph& model, const std::vector<Node>& targets) {
    std::vector<Node> made;
    const auto node_at = [&](int id) {
        const int step = id - model.size();
        if (id < 0 || step >= static_cast<int>(made.size())) {
            throw ArgumentError("loss: it reads node " + std::to_string(id) +
                                ", which does not stand before it");
        }
        return step < 0 ? model.node(id) : made[static_cast<std::size_t>(step)];
    };
    for (const LossRecipe::Step& step : recipe.steps) {
        if (step.target >= 0) {
            if (step.target >= static_cast<int>(targets.size())) {
                throw ArgumentError("loss: there is no target " + std::to_string(step.target));
            }
            made.push_back(targets[static_cast<std::size_t>(step.target)]);
        } else if (step.values) {
            made.push_back(constant(step.dims, *step.values, step.name));
        } else {
            std::vector<Node> inputs;
            for (const int id : step.inputs) inputs.push_back(node_at(id));
            made.push_back(apply(step.op, std::move(inputs), "loss", step.name));
        }
    }
    return node_at(recipe.result);
}

}  // namespace

LossRecipe recipe_of(const LossGraph& loss, const Graph& model, const std::vector<TargetKind>& kinds) {
    const Graph& graph = *loss.graph;
    const int value = graph[loss.loss].inputs[0];  // what the weighted mean is taken of
    std::vector<bool> reached(static_cast<std::size_t>(graph.size()), false);
    std::vector<int> open = {value};
    while (!open.empty()) {
        const int id = open.back();
        open.pop_back();
        if (id < model.size() || reached[static_cast<std::size_t>(id)]) continue;
        reached[static_cast<std::size_t>(id)] = true;
        open.insert(open.end(), graph[id].inputs.begin(), graph[id].inputs.end());
    }
    LossRecipe recipe{kinds, {}, value};
    std::map<int, int> numbers;  // of the graph's nodes among the steps
    const auto number = [&](int id) { return id < model.size() ? id : numbers.at(id); };
    for (int id = model.size(); id < graph.size(); ++id) {
        if (!reached[static_cast<std::size_t>(id)]) continue;
        LossRecipe::Step step;
        const Node& node = graph.node(id);
        if (const auto target = std::ranges::find(loss.targets, id); target != loss.targets.end()) {
            step.target = static_cast<int>(target - loss.targets.begin());
        } else if (node.kind() == NodeKind::constant) {
            step.dims = node.shape().dims;
            step.values = node.data().initial.values;
            step.name = node.name();
        } else {
            step.op = node.op();
            for (const int operand : graph[id].inputs) step.inputs.push_back(number(operand));
            step.name = node.name();
        }
        numbers[id] = model.size() + static_cast<int>(recipe.steps.size());
        recipe.steps.push_back(std::move(step));
    }
    recipe.result = number(value);
    return recipe;
}

LossFunction loss_of(std::shared_ptr<const Graph> model, std::vector<LossRecipe> recipes) {
    return [model = std::move(model), recipes = std::move(recipes)](const std::vector<Node>&,
                                                                    const std::vector<Node>& targets) {
        std::vector<TargetKind> kinds;
        for (const Node& target : targets)
            kinds.push_back({target.dtype() == DType::index, target.shape().dims});
        std::string known;
        for (const LossRecipe& recipe : recipes) {
            if (recipe.kinds == kinds) return make(recipe, *model, targets);
            known += (known.empty() ? "" : " or ") + text_of(recipe.kinds);
        }
        throw ArgumentError(
            "loss: it came from a file as the graph that a function of one's own made for targets " + known +
            ", and these are " + text_of(kinds) + "; pass the function when loading: loss=");
    };
}

}  // namespace retrograd
