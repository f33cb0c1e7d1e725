#include <retrograd/trainer.hpp>

#include <algorithm>
#include <cmath>

#include "plan/threads.hpp"
#include "train/trainer_state.hpp"

namespace retrograd {

namespace {

// What makes probabilities of each output, as model files say it: whoever loads the model can ask for
// classes.
std::string links_of(const Loss& loss, std::size_t outputs) {
    if (loss.function) return std::string(outputs - 1, ',');  // nobody knows
    std::string links;
    for (const LossTerm& term : loss.terms) {
        if (!links.empty()) links += ',';
        links += term.name == "cross_entropy"          ? "softmax"
                 : term.name == "binary_cross_entropy" ? "sigmoid"
                                                       : "none";
    }
    return links;
}

}  // namespace

template <class T>
Trainer<T>::Trainer(Model<T> model, TrainerOptions options) {
    if (!options.loss.function && options.loss.terms.size() != model.outputs().size()) {
        throw ArgumentError("loss: the model has " + std::to_string(model.outputs().size()) +
                            " outputs, got " + std::to_string(options.loss.terms.size()) +
                            " losses; give one for each, or one function of all");
    }
    if (!options.loss_weights.empty() && options.loss_weights.size() != options.loss.terms.size()) {
        throw ArgumentError("loss_weights: expected " + std::to_string(options.loss.terms.size()) +
                            " numbers, got " + std::to_string(options.loss_weights.size()));
    }
    options.optimizer.lr.check();
    const std::lock_guard lock(model.saving());
    model.metadata()[std::string(link_key)] = links_of(options.loss, model.outputs().size());
    state_ = std::make_unique<TrainerState<T>>(std::move(model), std::move(options));
    state_->frozen_version = state_->model.frozen_version();
}

template <class T>
Trainer<T>::Trainer(Trainer&&) noexcept = default;
template <class T>
Trainer<T>& Trainer<T>::operator=(Trainer&&) noexcept = default;
template <class T>
Trainer<T>::~Trainer() = default;

template <class T>
const Model<T>& Trainer<T>::model() const {
    return state_->model;
}
template <class T>
const TrainerOptions& Trainer<T>::options() const {
    return state_->options;
}

template <class T>
double Trainer<T>::forward(const Batch& batch) {
    TrainerState<T>& s = *state_;
    const Training training(s.model.use(), s.busy);
    Program<T>& program = s.compile(s.train, batch, Use::train, false);
    const FeedList feeds(batch, s.model.inputs(), program.loss(), program.plan());
    Workspace<T>& workspace =
        program.workspace(choose_threads(s.options.threads, program.cost(feeds.rows())));
    if (s.gathered) ++s.pass;  // another batch for the same update
    s.gathered = false;
    s.phase = Phase::idle;
    program.expect_samples(feeds.rows());
    workspace.bind(feeds.rows());
    workspace.prepare(true, false);
    workspace.draw(s.draw_key());
    const Rows rows{nullptr, 0, feeds.rows()};
    BadRow bad;
    s.threads_used = run_team(workspace.members(), [&](const Member& member) {
        gather(feeds.feeds(), rows, workspace, member, bad);
        member.barrier();
        if (!bad.any()) workspace.forward(member);
    });
    if (bad.any()) throw_bad_row<T>(feeds.feeds(), rows, bad);
    const auto loss = static_cast<double>(workspace.loss());
    s.last_loss = loss;
    if (!std::isfinite(loss)) s.throw_non_finite(batch, feeds, rows, "forward");
    s.phase = Phase::forward;
    return loss;
}

template <class T>
void Trainer<T>::backward(bool accumulate) {
    TrainerState<T>& s = *state_;
    const Training training(s.model.use(), s.busy);
    if (s.phase != Phase::forward) throw StateError("backward: call forward(x, y) first");
    Workspace<T>& workspace = s.train.program->workspace();
    workspace.prepare(true, accumulate);
    s.updater.forget();
    s.threads_used = run_team(workspace.members(), [&](const Member& member) {
        workspace.backward(member);
        s.updater.penalise_and_measure(member);
    });
    s.sums = s.updater.sums();
    s.last_penalty = s.sums.penalty;
    s.last_norm = s.sums.norm;
    s.phase = Phase::backward;
    s.gathered = true;
}

template <class T>
void Trainer<T>::update() {
    TrainerState<T>& s = *state_;
    const Training training(s.model.use(), s.busy);
    if (s.phase != Phase::backward) throw StateError("update: call forward(x, y) and backward() first");
    s.updater.forget();  // gradients are writable views: what is applied is what stands there now
    s.pace.take();
    bool good = false;
    const int members = s.train.program->workspace().members();
    s.threads_used = run_team(members, [&](const Member& member) {
        s.updater.measure(member);
        const auto sums = s.updater.sums();
        const bool applied = sums.finite && s.updater.apply(member, sums, s.iteration + 1, s.rate());
        if (member.index() == 0) good = applied;
    });
    s.phase = Phase::idle;
    if (!good) {
        throw NonFiniteError(
            "update: a gradient or the new value of " + s.updater.culprit() + " is not finite in iteration " +
            std::to_string(s.iteration) +
            "; the parameters are as before that step. A smaller lr, clip_norm= or scaled inputs "
            "usually help");
    }
    s.train.program->workspace().commit();
    s.begin_update();
    ++s.iteration;
}

template <class T>
double Trainer<T>::gradients(const Batch& batch) {
    const double loss = forward(batch);
    backward(false);
    return loss;
}

template <class T>
double Trainer<T>::step(const Batch& batch, const std::function<bool()>& interrupted) {
    EpochOptions options;
    options.interrupted = interrupted;
    (void)run_batch(batch, options);
    return state_->last_loss;
}

template <class T>
double Trainer<T>::step(std::span<const T> x, std::span<const T> targets) {
    return step(samples(x, targets));
}
template <class T>
double Trainer<T>::step(std::span<const T> x, std::span<const std::int64_t> labels) {
    return step(samples(x, labels));
}

namespace {

// The dims of one sample of the only input, and of the only output.
template <class T>
std::pair<std::vector<std::int64_t>, std::vector<std::int64_t>> dims_of(const Model<T>& model) {
    if (model.inputs().size() != 1 || model.outputs().size() != 1) {
        throw ShapeError("samples: the model has " + std::to_string(model.inputs().size()) + " inputs and " +
                         std::to_string(model.outputs().size()) +
                         " outputs; give a Batch with an array for each of both");
    }
    const Graph& graph = *model.graph();
    return {graph[model.inputs()[0]].shape.dims, graph[model.outputs()[0]].shape.dims};
}

}  // namespace

template <class T>
typename Trainer<T>::Samples Trainer<T>::samples(std::span<const T> x, std::span<const T> targets) const {
    const auto [input, output] = dims_of(state_->model);
    return {view(x, input), view(targets, output)};
}
template <class T>
typename Trainer<T>::Samples Trainer<T>::samples(std::span<const T> x,
                                                 std::span<const std::int64_t> labels) const {
    auto [input, output] = dims_of(state_->model);
    if (!output.empty()) output.pop_back();  // the classes
    return {view(x, input), view(labels, output)};
}

template <class T>
void Trainer<T>::end_epoch() {
    ++state_->epoch;
}

template <class T>
void Trainer<T>::prepare(const Batch& batch) {
    const Training training(state_->model.use(), state_->busy);
    (void)state_->loss_graph(state_->train, batch);
}

template <class T>
EpochCursor Trainer<T>::unfinished() const {
    const Reading reading(state_->model.use());
    return state_->is_unfinished() ? state_->progress.cursor : EpochCursor{};
}

template <class T>
std::int64_t Trainer<T>::iteration() const {
    return state_->iteration;
}
template <class T>
void Trainer<T>::set_iteration(std::int64_t iteration) {
    if (iteration < 0)
        throw ArgumentError("iteration: expected at least 0, got " + std::to_string(iteration));
    const Reading reading(state_->model.use());
    state_->iteration = iteration;
    state_->begin_update();
}
template <class T>
std::int64_t Trainer<T>::epoch() const {
    return state_->epoch;
}
template <class T>
void Trainer<T>::set_epoch(std::int64_t epoch) {
    if (epoch < 0) throw ArgumentError("epoch: expected at least 0, got " + std::to_string(epoch));
    const Reading reading(state_->model.use());
    state_->epoch = epoch;
}
template <class T>
double Trainer<T>::lr() const {
    return state_->pace.newest().at(state_->iteration, state_->epoch);
}
template <class T>
void Trainer<T>::set_schedule(const Schedule& schedule) {
    schedule.check();
    state_->pace.set(schedule);
}
template <class T>
void Trainer<T>::observe(double value) {
    state_->pace.observe(value);
}
template <class T>
std::map<std::string, double> Trainer<T>::schedule_state() const {
    return state_->pace.newest().state();
}
template <class T>
void Trainer<T>::set_schedule_state(const std::map<std::string, double>& state) {
    state_->pace.set_state(state);
}

template <class T>
std::vector<typename Trainer<T>::Slot> Trainer<T>::optimizer_state() {
    std::vector<Slot> slots;
    const Graph& graph = *state_->model.graph();
    for (const int id : graph.parameters()) {
        const GraphNode& node = graph[id];
        for (std::size_t i = 0; i < state_->updater.rule().slots().size(); ++i) {
            slots.push_back(
                {node.name, state_->updater.rule().slots()[i],
                 state_->updater.buffers()->slots[i].span().subspan(
                     static_cast<std::size_t>(node.offset), static_cast<std::size_t>(node.shape.size())),
                 node.shape.dims});
        }
    }
    return slots;
}

template <class T>
std::shared_ptr<const void> Trainer<T>::state_owner() const {
    return state_->updater.buffers();
}
template <class T>
int Trainer<T>::threads_used() const {
    return state_->threads_used;
}
template <class T>
double Trainer<T>::penalty() const {
    return state_->last_penalty;
}
template <class T>
double Trainer<T>::gradient_norm() const {
    return state_->last_norm;
}
template <class T>
void Trainer<T>::stop() {
    state_->stop = true;
}

template <class T>
typename Trainer<T>::PlanReport Trainer<T>::plan() const {
    const Reading reading(state_->model.use());
    if (!state_->train.program)
        throw StateError("plan: it is made by the first training call; train, step or forward first");
    const Plan& plan = state_->train.program->plan();
    return {plan.describe(), plan.fused(), state_->train.program->workspace().arena_bytes(),
            plan.forward_cost() + plan.backward_cost()};
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace retrograd
