// What a trainer holds between calls, and who may call it now. Private to train/.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include <retrograd/error.hpp>
#include <retrograd/random.hpp>
#include <retrograd/trainer.hpp>

#include "nn/batch.hpp"
#include "train/loss.hpp"
#include "train/loss_recipe.hpp"
#include "train/program.hpp"
#include "train/rate.hpp"
#include "train/tempo.hpp"
#include "train/updater.hpp"

namespace retrograd {

// A number that one thread writes and any thread may look at.
template <class N>
class Shown {
  public:
    Shown(N n = N()) : number_(n) {}
    Shown& operator=(N n) {
        number_.store(n, std::memory_order_relaxed);
        return *this;
    }
    N operator++() {
        const N next = *this + 1;
        *this = next;
        return next;
    }
    operator N() const { return number_.load(std::memory_order_relaxed); }

  private:
    std::atomic<N> number_;
};

// The learning rate. Any thread may set or ask for it; a training call takes what was set between two steps,
// so that all members of a team compute with one rate.
class Pace {
  public:
    explicit Pace(const Schedule& schedule) : present_(schedule), newest_(schedule), taken_(schedule) {}

    void set(const Schedule& schedule) {
        change([&] {
            newest_ = Rate(schedule);
            present_ = schedule;
        });
    }
    void observe(double value) {
        change([&] { newest_.observe(value); });
    }
    void set_state(const std::map<std::string, double>& state) {
        change([&] { newest_.set_state(state); });
    }
    [[nodiscard]] Schedule present() const {
        const std::lock_guard lock(mutex_);
        return present_;
    }
    [[nodiscard]] Rate newest() const {
        const std::lock_guard lock(mutex_);
        return newest_;
    }

    // For the thread that trains.
    void take() {
        if (!changed_.load(std::memory_order_relaxed)) return;
        const std::lock_guard lock(mutex_);
        taken_ = newest_;
        changed_.store(false, std::memory_order_relaxed);
    }
    [[nodiscard]] const Rate& taken() const { return taken_; }

  private:
    template <class F>
    void change(F&& f) {
        const std::lock_guard lock(mutex_);
        f();
        changed_.store(true, std::memory_order_relaxed);
    }

    mutable std::mutex mutex_;
    Schedule present_;
    Rate newest_, taken_;
    std::atomic<bool> changed_{false};
};

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

// An epoch that is not complete: where it stands, and its sums so far.
template <class T>
struct EpochProgress {
    EpochCursor cursor;
    std::int64_t epoch = 0, iteration = 0;  // the trainer's, after the last step
    std::int64_t iterations = 0;
    WeightedLoss loss;
    double penalty = 0, norm = 0;            // sums over the iterations
    std::vector<std::vector<T>> outputs;     // of the rows in the order of visit, where they are collected
    std::vector<double> gradients, updates;  // sums of norms, where layers are recorded
    std::int64_t recorded = 0;               // iterations whose norms are in these
};

template <class T>
struct TrainerState {
    TrainerState(Model<T> m, TrainerOptions o)
        : model(std::move(m)), options(std::move(o)), pace(options.optimizer.lr), updater(model, options) {}

    Model<T> model;
    TrainerOptions options;
    Pace pace;  // begins with the schedule of the options
    Updater<T> updater;
    EpochProgress<T> progress;        // of the last run_epoch
    std::vector<LossRecipe> recipes;  // of a loss function that came from a file

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
    Shown<std::int64_t> iteration, epoch;
    std::uint32_t pass = 0;  // batches that went backward for the next update, before this one
    bool gathered = false;   // this one went backward
    Phase phase = Phase::idle;
    Shown<double> last_loss, last_penalty, last_norm;
    typename Updater<T>::Sums sums;
    Shown<int> threads_used;
    Tempo tempo;  // of the training steps, where the number of threads is ours to choose
    std::int64_t tempo_work = -1;
    std::uint64_t frozen_version = 0;

    const std::shared_ptr<const LossGraph>& loss_graph(Compiled& compiled, const Batch& batch) {
        std::vector<TargetKind> kinds = target_kinds(options, *model.graph(), model.outputs(), batch.y);
        const bool weighted = batch.sample_weight != nullptr;
        if (!compiled.loss || kinds != compiled.kinds || weighted != compiled.weighted) {
            compiled.program.reset();
            if (&compiled == &train) phase = Phase::idle;  // there is nothing to go backward through
            compiled.loss = std::make_shared<const LossGraph>(
                extend_with_loss(options, *model.graph(), model.outputs(), kinds, weighted));
            compiled.kinds = std::move(kinds);
            compiled.weighted = weighted;
        }
        return compiled.loss;
    }

    Program<T>& compile(Compiled& compiled, const Batch& batch, Use use, bool collect) {
        const std::shared_ptr<const LossGraph>& graph = loss_graph(compiled, batch);
        // read first: what is frozen from here on makes the next call compile anew
        const std::uint64_t version = model.frozen_version();
        if (!compiled.program || compiled.collect != collect || compiled.frozen_version != version) {
            compiled.program = std::make_unique<Program<T>>(model, graph, options, use, collect);
            compiled.collect = collect;
            compiled.frozen_version = version;
        }
        if (use == Use::train && frozen_version != version) {
            frozen_version = version;
            updater.lay_out();
            std::ranges::fill(model.own_gradients(), T(0));  // what is frozen has none
        }
        return *compiled.program;
    }

    // What is drawn from now on is drawn for the iteration's first batch.
    void begin_update() {
        pass = 0;
        gathered = false;
    }

    // Of the random numbers in a pass for the next update.
    [[nodiscard]] RandomKey draw_key() const {
        return {options.seed, Purpose::dropout, pass, static_cast<std::uint32_t>(iteration)};
    }

    [[nodiscard]] double rate() const { return pace.taken().at(iteration, epoch); }

    // Whether an epoch can go on from where it stands: nothing was trained since.
    [[nodiscard]] bool is_unfinished() const {
        return progress.cursor.rows > 0 && progress.epoch == epoch && progress.iteration == iteration;
    }

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

}  // namespace retrograd
