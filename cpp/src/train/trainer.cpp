#include <retrograd/trainer.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>

#include <retrograd/error.hpp>
#include <retrograd/random.hpp>

#include "base/poll.hpp"
#include "nn/batch.hpp"
#include "plan/threads.hpp"
#include "train/loss.hpp"
#include "train/program.hpp"
#include "train/tempo.hpp"
#include "train/updater.hpp"

namespace retrograd {
namespace {

// The model and the trainer belong to one call at a time.
class Training {
  public:
    Training(ModelUse& use, std::atomic<bool>& busy) : use_(use), busy_(busy) {
        if (busy_.exchange(true)) {
            throw StateError(
                "trainer: it is already training; a callback must not train, nor a second thread");
        }
        try {
            use_.begin_training();
        } catch (...) {
            busy_ = false;
            throw;
        }
    }
    ~Training() {
        if (held_) use_.end_training();
        busy_ = false;
    }
    Training(const Training&) = delete;
    Training& operator=(const Training&) = delete;

    // Callbacks may predict and evaluate, so the model is let go while one runs.
    template <class F>
    void aside(F&& f) {
        use_.end_training();
        held_ = false;
        f();
        use_.begin_training();
        held_ = true;
    }

  private:
    ModelUse& use_;
    std::atomic<bool>& busy_;
    bool held_ = true;
};

enum class Phase : std::uint8_t { idle, forward, backward };

}  // namespace

template <class T>
struct Trainer<T>::State {
    State(std::shared_ptr<Model<T>> m, TrainerOptions o)
        : model(std::move(m)), options(std::move(o)), updater(*model, options) {}

    std::shared_ptr<Model<T>> model;
    TrainerOptions options;
    Updater<T> updater;

    // What was compiled, and for what.
    struct Compiled {
        std::unique_ptr<Program<T>> program;
        std::shared_ptr<const LossGraph> loss;
        std::vector<TargetKind> kinds;
        bool weighted = false, collect = false;
        std::uint64_t frozen_version = 0;
    };
    Compiled train, evaluation;
    std::mutex evaluating;  // evaluations of one trainer share a workspace

    std::atomic<bool> busy{false}, stop{false};
    std::int64_t iteration = 0, epoch = 0;
    Phase phase = Phase::idle;
    double last_loss = 0, last_penalty = 0, last_norm = 0;
    typename Updater<T>::Sums sums;
    int threads_used = 0;
    Tempo tempo;  // of the training steps, where the number of threads is ours to choose
    std::int64_t tempo_work = -1;
    std::uint64_t frozen_version = 0;

    const std::shared_ptr<const LossGraph>& loss_graph(Compiled& compiled, const Batch& batch) {
        std::vector<TargetKind> kinds = target_kinds(options, *model->graph(), model->outputs(), batch.y);
        const bool weighted = batch.sample_weight != nullptr;
        if (!compiled.loss || kinds != compiled.kinds || weighted != compiled.weighted) {
            compiled.program.reset();
            if (&compiled == &train) phase = Phase::idle;  // there is nothing to go backward through
            compiled.loss = std::make_shared<const LossGraph>(
                extend_with_loss(options, *model->graph(), model->outputs(), kinds, weighted));
            compiled.kinds = std::move(kinds);
            compiled.weighted = weighted;
        }
        return compiled.loss;
    }

    Program<T>& compile(Compiled& compiled, const Batch& batch, Use use, bool collect) {
        const std::shared_ptr<const LossGraph>& graph = loss_graph(compiled, batch);
        if (!compiled.program || compiled.collect != collect ||
            compiled.frozen_version != model->frozen_version()) {
            compiled.program = std::make_unique<Program<T>>(*model, graph, options, use, collect);
            compiled.collect = collect;
            compiled.frozen_version = model->frozen_version();
        }
        if (use == Use::train && frozen_version != model->frozen_version()) {
            frozen_version = model->frozen_version();
            updater.lay_out();
            std::ranges::fill(model->gradients(), T(0));  // what is frozen has none
        }
        return *compiled.program;
    }

    [[nodiscard]] double rate() const { return options.schedule.rate(iteration, epoch); }

    // How much the samples of a bound batch weigh.
    static double mass(const LossGraph& graph, Workspace<T>& workspace) {
        const std::int64_t n = workspace.batch();
        if (graph.sample_weight < 0 && graph.label_weight < 0) return static_cast<double>(n);
        const std::span<const T> w =
            graph.sample_weight < 0 ? std::span<const T>() : workspace.value(graph.sample_weight);
        const std::span<const T> l =
            graph.label_weight < 0 ? std::span<const T>() : workspace.value(graph.label_weight);
        double sum = 0;
        for (std::int64_t i = 0; i < n; ++i) {
            const auto at = static_cast<std::size_t>(i);
            sum += (w.empty() ? 1.0 : static_cast<double>(w[at])) *
                   (l.empty() ? 1.0 : static_cast<double>(l[at]));
        }
        return sum;
    }

    [[noreturn]] void throw_non_finite(const Batch& batch, const FeedList& feeds, const Rows& rows,
                                       const char* when);
};

// The step once more, on one thread, with every value and delta kept: the first one that is not finite is
// named.
template <class T>
void Trainer<T>::State::throw_non_finite(const Batch& batch, const FeedList& feeds, const Rows& rows,
                                         const char* when) {
    Program<T> program(*model, loss_graph(train, batch), options, Use::trace, true);
    Workspace<T>& workspace = program.workspace(1);
    const Graph& graph = program.plan().graph();
    const Member member = Member::alone();
    BadRow bad;
    workspace.bind(rows.count);
    workspace.prepare(true, false);
    gather(feeds.feeds(), rows, workspace, member, bad);
    workspace.forward(member);
    std::string where;
    const auto look = [&](std::span<const T> numbers, const std::string& name, const Shape& shape) {
        for (std::size_t i = 0; i < numbers.size() && where.empty(); ++i) {
            if (std::isfinite(numbers[i])) continue;
            where = name + " is " + (std::isnan(numbers[i]) ? "NaN" : "infinite");
            if (shape.batched) {
                const auto position = static_cast<std::int64_t>(i) / shape.size();
                where += " in row " + std::to_string(rows[position]);
            }
        }
    };
    for (const int id : graph.parameters()) look(workspace.value(id), graph[id].name, graph[id].shape);
    for (const Step& step : program.plan().steps()) {
        if (where.empty()) look(workspace.value(step.node), graph[step.node].name, graph[step.node].shape);
    }
    if (where.empty()) {
        workspace.backward(member);
        for (auto step = program.plan().steps().rbegin(); step != program.plan().steps().rend(); ++step) {
            if (where.empty())
                look(workspace.delta(step->node), "the gradient of " + graph[step->node].name,
                     graph[step->node].shape);
        }
        for (const int id : graph.parameters()) {
            const auto g = model->gradients().subspan(static_cast<std::size_t>(graph[id].offset),
                                                      static_cast<std::size_t>(graph[id].shape.size()));
            if (where.empty()) look(g, "the gradient of " + graph[id].name, graph[id].shape);
        }
    }
    if (where.empty()) where = "the update of " + updater.culprit() + " overflows";
    throw NonFiniteError(
        std::string(when) + ": " + where + " in iteration " + std::to_string(iteration) +
        "; the parameters are as before that step. A smaller lr, clip_norm= or scaled inputs usually "
        "help");
}

template <class T>
Trainer<T>::Trainer(std::shared_ptr<Model<T>> model, TrainerOptions options) {
    if (!options.loss_function && options.losses.size() != model->outputs().size()) {
        throw ArgumentError("loss: the model has " + std::to_string(model->outputs().size()) +
                            " outputs, got " + std::to_string(options.losses.size()) +
                            " losses; give one for each, or one function of all");
    }
    if (!options.loss_weights.empty() && options.loss_weights.size() != options.losses.size()) {
        throw ArgumentError("loss_weights: expected " + std::to_string(options.losses.size()) +
                            " numbers, got " + std::to_string(options.loss_weights.size()));
    }
    options.schedule.check();
    state_ = std::make_unique<State>(std::move(model), std::move(options));
    state_->frozen_version = state_->model->frozen_version();
}

template <class T>
Trainer<T>::~Trainer() = default;

template <class T>
const std::shared_ptr<Model<T>>& Trainer<T>::model() const {
    return state_->model;
}

template <class T>
double Trainer<T>::forward(const Batch& batch) {
    State& s = *state_;
    const Training training(s.model->use(), s.busy);
    Program<T>& program = s.compile(s.train, batch, Use::train, false);
    const FeedList feeds(batch, s.model->inputs(), program.loss(), program.plan());
    Workspace<T>& workspace =
        program.workspace(choose_threads(s.options.threads, program.cost(feeds.rows())));
    s.phase = Phase::idle;
    workspace.bind(feeds.rows());
    workspace.prepare(true, false);
    const Rows rows{nullptr, 0, feeds.rows()};
    BadRow bad;
    s.threads_used = run_team(workspace.members(), [&](const Member& member) {
        gather(feeds.feeds(), rows, workspace, member, bad);
        member.barrier();
        if (!bad.any()) workspace.forward(member);
    });
    if (bad.any()) throw_bad_row<T>(feeds.feeds(), rows, bad);
    s.last_loss = static_cast<double>(workspace.value(program.plan().loss())[0]);
    if (!std::isfinite(s.last_loss)) s.throw_non_finite(batch, feeds, rows, "forward");
    s.phase = Phase::forward;
    return s.last_loss;
}

template <class T>
void Trainer<T>::backward(bool accumulate) {
    State& s = *state_;
    const Training training(s.model->use(), s.busy);
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
}

template <class T>
void Trainer<T>::update() {
    State& s = *state_;
    const Training training(s.model->use(), s.busy);
    if (s.phase != Phase::backward) throw StateError("update: call forward(x, y) and backward() first");
    s.updater.forget();  // gradients are writable views: what is applied is what stands there now
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
    options.shuffle = false;
    State& s = *state_;
    const std::int64_t epoch = s.epoch;
    options.batch_size = std::numeric_limits<std::int64_t>::max();
    options.interrupted = interrupted;
    (void)run_epoch(batch, options);
    s.epoch = epoch;  // a step is no epoch
    return s.last_loss;
}

template <class T>
EpochResult<T> Trainer<T>::run_epoch(const Batch& data, const EpochOptions& options) {
    State& s = *state_;
    Training training(s.model->use(), s.busy);
    if (options.batch_size < 1) {
        throw ArgumentError("batch_size: expected at least 1, got " + std::to_string(options.batch_size));
    }
    Program<T>& program = s.compile(s.train, data, Use::train, options.collect);
    const FeedList feeds(data, s.model->inputs(), program.loss(), program.plan());
    const std::int64_t total = options.rows ? static_cast<std::int64_t>(options.rows->size()) : feeds.rows();
    if (total == 0) throw ShapeError("x: there are no rows to train on");
    const std::int64_t batch_size = std::min(options.batch_size, total);
    const int most = choose_threads(s.options.threads, program.cost(batch_size));
    const bool measured = s.options.threads == 0 && most > 1;
    if (measured && (s.tempo_work != program.cost(batch_size) || s.tempo.most() != most)) {
        s.tempo = Tempo(most);
        s.tempo_work = program.cost(batch_size);
    }
    Workspace<T>& workspace = program.workspace(most);
    const Graph& model_graph = *s.model->graph();
    EpochResult<T> result;

    std::vector<std::int64_t> order;
    if (options.shuffle) {
        order =
            permutation(total, {s.options.seed, Purpose::shuffle, 0, static_cast<std::uint32_t>(s.epoch)});
        if (options.rows) {
            for (std::int64_t& row : order) row = (*options.rows)[static_cast<std::size_t>(row)];
        }
    } else if (options.rows) {
        order = *options.rows;
    }
    if (options.collect) {
        for (const int id : s.model->outputs()) {
            result.outputs.emplace_back(
                static_cast<std::size_t>(checked_mul(total, model_graph[id].shape.size())));
        }
    }
    std::vector<double> gradient_squares, update_sums;
    if (options.record_layers) {
        gradient_squares.assign(model_graph.parameters().size(), 0.0);
        update_sums.assign(model_graph.parameters().size(), 0.0);
    }

    using Clock = std::chrono::steady_clock;
    Clock::time_point shown = Clock::now();
    double weighted_loss = 0, mass = 0, penalty = 0, norm = 0;
    std::int64_t done = 0;
    const std::function<bool()> ask = [&] {
        if (options.progress && Clock::now() - shown >= std::chrono::milliseconds(100)) {
            shown = Clock::now();
            options.progress(done, total, mass > 0 ? weighted_loss / mass : 0.0);
        }
        return options.interrupted && options.interrupted();
    };

    enum class Outcome : std::uint8_t { running, finished, bad_row, forward, backward, update };
    Outcome outcome = Outcome::running;
    Rows rows;
    BadRow bad;
    s.stop = false;
    s.phase = Phase::idle;
    s.updater.forget();
    const auto next_batch = [&] {
        rows = {order.empty() ? nullptr : order.data() + done, done, std::min(batch_size, total - done)};
        workspace.bind(rows.count);
        workspace.prepare(true, false);
    };
    next_batch();

    Poll poll(&ask);
    std::int64_t steps_left = 0;  // of this region
    const auto train = [&](const Member& alike) {
        const bool first = alike.index() == 0;
        const Member member = first ? alike.asking(&poll) : alike;
        while (true) {
            gather(feeds.feeds(), rows, workspace, member, bad);
            member.barrier();
            if (bad.any()) {
                if (first) outcome = Outcome::bad_row;
                break;
            }
            workspace.forward(member);
            const double loss = static_cast<double>(workspace.value(program.plan().loss())[0]);
            if (!std::isfinite(loss)) {
                if (first) outcome = Outcome::forward;
                break;
            }
            workspace.backward(member);
            s.updater.penalise_and_measure(member);
            const typename Updater<T>::Sums sums = s.updater.sums();
            if (!sums.finite) {
                if (first) outcome = Outcome::backward;
                break;
            }
            bool good = true;
            const double lr = s.rate();
            if (options.record_layers) {
                const std::vector<double> norms =
                    s.updater.update_norms(member, sums, s.iteration + 1, lr, good);
                for (std::size_t p = 0; first && p < norms.size(); ++p) {
                    const GraphNode& node = model_graph[model_graph.parameters()[p]];
                    double square = 0;
                    for (std::int64_t i = 0; i < node.shape.size(); ++i) {
                        const double g = static_cast<double>(
                            s.model->gradients()[static_cast<std::size_t>(node.offset + i)]);
                        square += g * g;
                    }
                    gradient_squares[p] += std::sqrt(square);
                    update_sums[p] += norms[p];
                }
            } else {
                good = s.updater.apply(member, sums, s.iteration + 1, lr);
            }
            if (!good) {
                if (first) outcome = Outcome::update;
                break;
            }
            for (std::size_t k = 0; k < result.outputs.size(); ++k) {
                const std::span<const T> y = workspace.value(s.model->outputs()[k]);
                const std::int64_t size = model_graph[s.model->outputs()[k]].shape.size();
                member.for_range(rows.count, 1 + 16384 / size, [&](std::int64_t begin, std::int64_t end) {
                    std::copy(y.begin() + begin * size, y.begin() + end * size,
                              result.outputs[k].begin() + (done + begin) * size);
                });
            }
            member.barrier();
            if (first) {  // commit
                const double weight = State::mass(program.loss(), workspace);
                weighted_loss += loss * weight;
                mass += weight;
                penalty += sums.penalty;
                norm += sums.norm;
                s.last_loss = loss;
                s.last_penalty = sums.penalty;
                s.last_norm = sums.norm;
                done += rows.count;
                ++result.iterations;
                ++s.iteration;
                if (options.on_iteration) {
                    training.aside([&] {
                        if (options.on_iteration(s.iteration, loss)) s.stop = true;
                    });
                    s.updater.forget();
                }
                --steps_left;
                if (done == total || s.stop) {
                    outcome = Outcome::finished;
                } else {
                    next_batch();
                }
            }
            member.barrier();
            if (outcome == Outcome::finished || steps_left == 0) break;
        }
    };
    s.threads_used = 0;
    while (outcome == Outcome::running) {
        const std::int64_t before = result.iterations;
        const Clock::time_point start = Clock::now();
        steps_left = measured ? s.tempo.steps() : std::numeric_limits<std::int64_t>::max();
        const int used = run_team(measured ? s.tempo.members() : most, train);
        s.threads_used = std::max(s.threads_used, used);
        if (measured) {
            s.tempo.report(result.iterations - before,
                           std::chrono::duration<double>(Clock::now() - start).count());
        }
    }

    if (outcome == Outcome::bad_row) throw_bad_row<T>(feeds.feeds(), rows, bad);
    if (outcome == Outcome::forward) s.throw_non_finite(data, feeds, rows, "forward");
    if (outcome == Outcome::backward) s.throw_non_finite(data, feeds, rows, "backward");
    if (outcome == Outcome::update) s.throw_non_finite(data, feeds, rows, "update");

    const double count = static_cast<double>(result.iterations);
    result.loss = mass > 0 ? weighted_loss / mass : 0;
    result.penalty = penalty / count;
    result.gradient_norm = norm / count;
    result.samples = done;
    result.stopped = s.stop;
    if (done == total) ++s.epoch;
    if (options.collect) {
        for (std::size_t k = 0; k < result.outputs.size(); ++k) {
            result.outputs[k].resize(
                static_cast<std::size_t>(done * model_graph[s.model->outputs()[k]].shape.size()));
        }
        if (order.empty()) {
            for (std::int64_t i = 0; i < done; ++i) order.push_back(i);
        }
        order.resize(static_cast<std::size_t>(done));
        result.order = std::move(order);
    }
    for (std::size_t p = 0; p < gradient_squares.size(); ++p) {
        const std::string& name = model_graph[model_graph.parameters()[p]].name;
        result.gradient_norms[name] = gradient_squares[p] / count;
        result.update_norms[name] = update_sums[p] / count;
    }
    return result;
}

template <class T>
double Trainer<T>::evaluate(const Batch& data, std::int64_t batch_size,
                            const std::vector<std::int64_t>* chosen, std::vector<std::vector<T>>* outputs,
                            const std::function<bool()>& interrupted) {
    State& s = *state_;
    if (batch_size < 1)
        throw ArgumentError("batch_size: expected at least 1, got " + std::to_string(batch_size));
    s.model->use().begin_reading();
    struct Reading {
        ModelUse& use;
        ~Reading() { use.end_reading(); }
    } reading{s.model->use()};

    const std::lock_guard lock(s.evaluating);
    Program<T>& program = s.compile(s.evaluation, data, Use::evaluate, outputs != nullptr);
    const FeedList feeds(data, s.model->inputs(), program.loss(), program.plan());
    const std::int64_t total = chosen ? static_cast<std::int64_t>(chosen->size()) : feeds.rows();
    const std::int64_t batch = std::min(batch_size, total);
    Workspace<T>& workspace = program.workspace(choose_threads(s.options.threads, program.cost(batch)));
    const Graph& graph = *s.model->graph();
    if (outputs != nullptr) {
        outputs->clear();
        for (const int id : s.model->outputs()) {
            outputs->emplace_back(static_cast<std::size_t>(checked_mul(total, graph[id].shape.size())));
        }
    }
    Rows rows;
    BadRow bad;
    double weighted_loss = 0, mass = 0;
    Poll poll(&interrupted);
    s.threads_used = run_team(workspace.members(), [&](const Member& alike) {
        const Member member = alike.index() == 0 && interrupted ? alike.asking(&poll) : alike;
        for (std::int64_t first = 0; first < total; first += batch) {
            if (member.index() == 0) {
                rows = {chosen ? chosen->data() + first : nullptr, first, std::min(batch, total - first)};
                workspace.bind(rows.count);
                workspace.prepare(false, false);
            }
            member.barrier();
            gather(feeds.feeds(), rows, workspace, member, bad);
            member.barrier();
            if (bad.any()) return;
            workspace.forward(member);
            for (std::size_t k = 0; outputs != nullptr && k < outputs->size(); ++k) {
                const std::span<const T> y = workspace.value(s.model->outputs()[k]);
                const std::int64_t size = graph[s.model->outputs()[k]].shape.size();
                member.for_range(rows.count, 1 + 16384 / size, [&](std::int64_t begin, std::int64_t end) {
                    std::copy(y.begin() + begin * size, y.begin() + end * size,
                              (*outputs)[k].begin() + (first + begin) * size);
                });
            }
            if (member.index() == 0) {
                const double weight = State::mass(program.loss(), workspace);
                weighted_loss += static_cast<double>(workspace.value(program.plan().loss())[0]) * weight;
                mass += weight;
            }
            member.barrier();
        }
    });
    if (bad.any()) throw_bad_row<T>(feeds.feeds(), rows, bad);
    return mass > 0 ? weighted_loss / mass : 0;
}

template <class T>
TraceResult<T> Trainer<T>::trace(const Batch& batch) {
    State& s = *state_;
    const Training training(s.model->use(), s.busy);
    Program<T> program(*s.model, s.loss_graph(s.train, batch), s.options, Use::trace, true);
    const FeedList feeds(batch, s.model->inputs(), program.loss(), program.plan());
    Workspace<T>& workspace = program.workspace(1);
    const Member member = Member::alone();
    const Rows rows{nullptr, 0, feeds.rows()};
    BadRow bad;
    // A trace leaves no mark: the gradients that the user has stay.
    const std::vector<T> gradients(s.model->gradients().begin(), s.model->gradients().end());
    workspace.bind(rows.count);
    workspace.prepare(true, false);
    gather(feeds.feeds(), rows, workspace, member, bad);
    if (bad.any()) throw_bad_row<T>(feeds.feeds(), rows, bad);
    workspace.forward(member);
    workspace.backward(member);

    TraceResult<T> trace;
    const Graph& graph = program.plan().graph();
    trace.loss = static_cast<double>(workspace.value(program.plan().loss())[0]);
    const auto add = [&](auto& list, int id, std::span<const T> numbers) {
        const GraphNode& node = graph[id];
        if (numbers.empty()) return;
        std::vector<std::int64_t> shape = node.shape.dims;
        if (node.shape.batched) shape.insert(shape.begin(), rows.count);
        list.push_back({node.name, std::move(shape), {numbers.begin(), numbers.end()}});
    };
    for (int id = 0; id < graph.size(); ++id) {
        if (graph[id].dtype == DType::index) continue;
        add(trace.values, id, workspace.value(id));
        add(trace.deltas, id, workspace.delta(id));
        if (graph[id].kind == NodeKind::parameter &&
            program.plan().needs_gradient()[static_cast<std::size_t>(id)]) {
            add(trace.gradients, id,
                s.model->gradients().subspan(static_cast<std::size_t>(graph[id].offset),
                                             static_cast<std::size_t>(graph[id].shape.size())));
        }
    }
    std::ranges::copy(gradients, s.model->gradients().begin());
    return trace;
}

template <class T>
std::int64_t Trainer<T>::iteration() const {
    return state_->iteration;
}
template <class T>
void Trainer<T>::set_iteration(std::int64_t iteration) {
    if (iteration < 0)
        throw ArgumentError("iteration: expected at least 0, got " + std::to_string(iteration));
    state_->iteration = iteration;
}
template <class T>
std::int64_t Trainer<T>::epoch() const {
    return state_->epoch;
}
template <class T>
void Trainer<T>::set_epoch(std::int64_t epoch) {
    if (epoch < 0) throw ArgumentError("epoch: expected at least 0, got " + std::to_string(epoch));
    state_->epoch = epoch;
}
template <class T>
double Trainer<T>::lr() const {
    return state_->rate();
}
template <class T>
void Trainer<T>::set_schedule(Schedule schedule) {
    schedule.check();
    state_->options.schedule = std::move(schedule);
}

template <class T>
std::vector<typename Trainer<T>::Slot> Trainer<T>::optimizer_state() {
    std::vector<Slot> slots;
    const Graph& graph = *state_->model->graph();
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
    if (!state_->train.program)
        throw StateError("plan: it is made by the first training call; train, step or forward first");
    const Plan& plan = state_->train.program->plan();
    return {plan.describe(), plan.fused(), state_->train.program->workspace().arena_bytes(),
            plan.forward_cost() + plan.backward_cost()};
}

template class Trainer<float>;
template class Trainer<double>;

}  // namespace retrograd
