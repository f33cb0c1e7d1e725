#include "train/program.hpp"

#include <algorithm>

#include <retrograd/error.hpp>
#include <retrograd/initializers.hpp>

namespace retrograd {

template <class T>
Program<T>::Program(const Model<T>& model, std::shared_ptr<const LossGraph> loss,
                    const TrainerOptions& options, Use use, bool collect)
    : loss_(std::move(loss)) {
    const Graph& graph = *loss_->graph;
    std::vector<bool> trained(static_cast<std::size_t>(graph.size()), false);
    if (use != Use::evaluate) {
        const std::vector<bool> frozen = model.frozen();
        for (const auto* list : {&model.graph()->parameters(), &model.graph()->constants()}) {
            for (const int id : *list) {
                trained[static_cast<std::size_t>(id)] = !frozen[static_cast<std::size_t>(id)];
            }
        }
    }
    std::vector<int> results;
    if (collect) results = model.outputs();
    for (const int weight : {loss_->sample_weight, loss_->label_weight}) {
        if (weight >= 0) results.push_back(weight);  // read again after the step, for the epoch's mean
    }
    PlanOptions plan_options;
    plan_options.fuse = options.fuse;
    plan_options.reuse = options.reuse;
    plan_options.touched_rows = options.touched_rows;
    plan_options.keep_everything = plan_options.input_gradients = use == Use::trace;
    plan_ =
        std::make_shared<const Plan>(loss_->graph, std::move(results), loss_->loss, trained, plan_options);

    // The loss brings constants of its own; the model's are read where they are.
    const std::int64_t own = model.graph()->constant_count();
    further_ = AlignedBuffer<T>(graph.constant_count() - own);
    for (const int id : graph.constants()) {
        const GraphNode& node = graph[id];
        if (node.offset < own) continue;
        initialise<T>(graph.node(id).data().initial, node.shape, {},
                      further_.span().subspan(static_cast<std::size_t>(node.offset - own),
                                              static_cast<std::size_t>(node.shape.size())));
    }
    storage_ = {model.parameters(), model.own_gradients(), model.constants(), further_.span(),
                model.touched_rows()};
}

template <class T>
std::int64_t Program<T>::cost(std::int64_t batch) const {
    return (plan_->forward_cost() + plan_->backward_cost()) * batch;
}

template <class T>
void Program<T>::expect_samples(std::int64_t rows) const {
    const Graph& graph = *loss_->graph;
    for (const Step& step : plan_->steps()) {
        const std::int64_t least = step.frozen ? 1 : step.op->least_batch(graph.operands(step.node));
        if (step.fused < 0 && rows < least) {
            throw ShapeError(graph[step.node].name + ": a training batch of " + std::to_string(rows) +
                             (rows == 1 ? " sample" : " samples") + " has too few numbers for " +
                             std::string(step.op->name()) + ", which needs at least " +
                             std::to_string(least) +
                             "; choose a batch_size that leaves no single row, or freeze the layer");
        }
    }
}

template <class T>
Workspace<T>& Program<T>::workspace(int members) {
    if (!workspace_ || workspace_->members() != members) {
        workspace_ = std::make_unique<Workspace<T>>(plan_, storage_, members);
    }
    return *workspace_;
}

FeedList::FeedList(const Batch& batch, const std::vector<int>& inputs, const LossGraph& loss,
                   const Plan& plan) {
    const Graph& graph = *loss.graph;
    const auto count_check = [](const char* what, std::size_t expected, std::size_t found) {
        if (expected == found) return;
        throw ShapeError(std::string(what) + ": expected " + std::to_string(expected) + " arrays, got " +
                         std::to_string(found));
    };
    count_check("x", inputs.size(), batch.x.size());
    count_check("y", loss.targets.size(), batch.y.size());
    const auto add = [&](const ArrayView& array, int node) {
        if (node < 0) return;  // a target that a custom loss does not read
        arrays_.push_back(fitted(array, graph[node]));
        feeds_.push_back({nullptr, node, range_of(plan, node)});
    };
    for (std::size_t i = 0; i < inputs.size(); ++i) add(batch.x[i], inputs[i]);
    for (std::size_t i = 0; i < loss.targets.size(); ++i) add(batch.y[i], loss.targets[i]);
    if (batch.sample_weight != nullptr) {
        add(*batch.sample_weight, loss.sample_weight);
        feeds_.back().range = {0, std::numeric_limits<double>::infinity(), true};
    }
    rows_ = arrays_[0].rows();
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
        feeds_[i].array = &arrays_[i];
        if (arrays_[i].rows() != rows_) {
            throw ShapeError(arrays_[i].name + ": it has " + std::to_string(arrays_[i].rows()) +
                             " rows, but " + arrays_[0].name + " has " + std::to_string(rows_));
        }
    }
}

template class Program<float>;
template class Program<double>;

}  // namespace retrograd
