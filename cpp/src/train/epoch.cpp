// One pass over the data, as one region of threads over many steps.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include <retrograd/random.hpp>

#include "base/poll.hpp"
#include "plan/threads.hpp"
#include "train/trainer_state.hpp"

namespace retrograd {
namespace {

using Clock = std::chrono::steady_clock;

template <class T>
class Epoch {
  public:
    // `progress` is where all that adds up stands, for others to read between two steps.
    Epoch(TrainerState<T>& state, EpochProgress<T>& progress, Training& training, const Batch& data,
          const EpochOptions& options)
        : s_(state),
          p_(progress),
          training_(training),
          data_(data),
          options_(options),
          program_(state.compile(state.train, data, Use::train, options.collect)),
          feeds_(data, state.model.inputs(), program_.loss(), program_.plan()),
          graph_(*state.model.graph()),
          total_(options.rows ? static_cast<std::int64_t>(options.rows->size()) : feeds_.rows()),
          batch_size_(std::min(options.batch_size, total_)) {
        if (total_ == 0) throw ShapeError("x: there are no rows to train on");
        program_.expect_samples(total_ % batch_size_ == 0 ? batch_size_ : total_ % batch_size_);
        choose_order();
        options_.resume ? go_on() : begin();
    }

    EpochResult<T> run() {
        const std::int64_t cost = program_.cost(batch_size_);
        const int most = choose_threads(s_.options.threads, cost);
        const bool measured = s_.options.threads == 0 && most > 1;
        if (measured && (s_.tempo_work != cost || s_.tempo.most() != most)) {
            s_.tempo = Tempo(most, cost);
            s_.tempo_work = cost;
        }
        workspace_ = &program_.workspace(most);
        s_.stop = false;
        s_.phase = Phase::idle;
        s_.begin_update();
        s_.updater.forget();
        s_.threads_used = 0;
        if (done() == total_) {
            outcome_ = Outcome::finished;  // it was left after its last step
        } else {
            next_batch();
        }
        const std::function<bool()> ask = [this] { return wants_to_stop(); };
        Poll poll(&ask);
        while (outcome_ == Outcome::running) {
            const std::int64_t before = p_.iterations;
            const Clock::time_point start = Clock::now();
            region_end_ = Clock::time_point::max();
            if (measured) {
                const std::chrono::duration<double> left(s_.tempo.seconds());
                region_end_ = start + std::chrono::duration_cast<Clock::duration>(left);
            }
            const int used = run_team(measured ? s_.tempo.members() : most, [&](const Member& member) {
                train(member.index() == 0 ? member.asking(&poll) : member);
            });
            s_.threads_used = std::max<int>(s_.threads_used, used);
            if (measured) {
                s_.tempo.report(p_.iterations - before,
                                std::chrono::duration<double>(Clock::now() - start).count());
            }
        }
        return finish();
    }

  private:
    enum class Outcome : std::uint8_t { running, finished, bad_row, forward, backward, update };

    [[nodiscard]] std::int64_t done() const { return p_.cursor.rows; }  // rows whose steps are committed

    void begin() {
        p_ = {};
        p_.cursor = {0, total_, options_.batch_size, options_.shuffle};
        if (options_.collect) {
            for (const int id : s_.model.outputs()) {
                p_.outputs.emplace_back(
                    static_cast<std::size_t>(checked_mul(total_, graph_[id].shape.size())));
            }
        }
        if (options_.record_layers) {
            p_.gradients.assign(graph_.parameters().size(), 0.0);
            p_.updates.assign(graph_.parameters().size(), 0.0);
        }
    }

    void go_on() {
        const EpochCursor& cursor = p_.cursor;
        if (!s_.is_unfinished()) {
            throw StateError(cursor.rows == 0
                                 ? "resume: there is no epoch that was broken off"
                                 : "resume: the trainer has gone on since the epoch was broken off, so that "
                                   "epoch cannot be finished");
        }
        if (cursor.total != total_) {
            throw ShapeError("resume: the epoch that was broken off has " + std::to_string(cursor.total) +
                             " rows, these are " + std::to_string(total_));
        }
        if (cursor.batch_size != options_.batch_size || cursor.shuffle != options_.shuffle ||
            p_.outputs.empty() == options_.collect || p_.gradients.empty() == options_.record_layers) {
            throw ArgumentError("resume: the epoch that was broken off had other options (batch_size " +
                                std::to_string(cursor.batch_size) + ", shuffle " +
                                (cursor.shuffle ? "on" : "off") +
                                "; what is collected and recorded must be the same too)");
        }
        for (std::size_t k = 0; k < p_.outputs.size(); ++k) {
            p_.outputs[k].resize(
                static_cast<std::size_t>(checked_mul(total_, graph_[s_.model.outputs()[k]].shape.size())));
        }
    }

    void choose_order() {
        if (options_.shuffle) {
            const auto epoch = static_cast<std::uint32_t>(s_.epoch);
            order_ = permutation(total_, {s_.options.seed, Purpose::shuffle, 0, epoch});
            if (options_.rows == nullptr) return;
            for (std::int64_t& row : order_) row = (*options_.rows)[static_cast<std::size_t>(row)];
        } else if (options_.rows) {
            order_ = *options_.rows;
        }
    }

    void next_batch() {
        s_.pace.take();
        rows_ = {order_.empty() ? nullptr : order_.data() + done(), done(),
                 std::min(batch_size_, total_ - done())};
        workspace_->draw(s_.draw_key());
        if (rows_.count == workspace_->batch() && !readers_.empty()) return;
        workspace_->bind(rows_.count);
        workspace_->prepare(true, false);
        readers_.clear();
        for (const Feed& feed : feeds_.feeds()) readers_.emplace_back(feed, *workspace_);
    }

    // Asked every 20 ms, in the caller's thread.
    bool wants_to_stop() {
        if (options_.progress && Clock::now() - shown_ >= std::chrono::milliseconds(100)) {
            shown_ = Clock::now();
            options_.progress(done(), total_, p_.loss.mean());
        }
        return options_.interrupted && options_.interrupted();
    }

    // Steps until the region's share is done, the data ends or a step fails; by every member.
    void train(const Member& member) {
        while (true) {
            typename Updater<T>::Sums sums;
            const Outcome outcome = step(member, sums);
            if (outcome != Outcome::running) {
                if (member.index() == 0) outcome_ = outcome;
                return;
            }
            if (!p_.outputs.empty()) {
                collect(member);
                member.barrier();
            }
            if (member.index() == 0) commit(sums);
            member.barrier();
            if (outcome_ == Outcome::finished || region_is_over_) return;
        }
    }

    // Forward, backward, update. Every member comes to the same outcome.
    Outcome step(const Member& member, typename Updater<T>::Sums& sums) {
        for (std::size_t f = 0; f < readers_.size(); ++f)
            readers_[f].read(rows_, member, static_cast<std::int64_t>(f), bad_);
        member.barrier();
        if (bad_.any()) return Outcome::bad_row;
        workspace_->forward(member);
        if (!std::isfinite(loss())) return Outcome::forward;
        workspace_->backward(member);
        s_.updater.penalise_and_measure(member);
        sums = s_.updater.sums();
        if (!sums.finite) return Outcome::backward;
        bool good = true;
        if (options_.record_layers && p_.iterations % recorded_every == 0) {
            const auto norms = s_.updater.apply_and_measure(member, sums, s_.iteration + 1, s_.rate(), good);
            if (member.index() == 0 && good) record(norms);
        } else {
            good = s_.updater.apply(member, sums, s_.iteration + 1, s_.rate());
        }
        return good ? Outcome::running : Outcome::update;
    }

    void record(const typename Updater<T>::Norms& norms) {
        for (std::size_t p = 0; p < p_.gradients.size(); ++p) {
            p_.gradients[p] += norms.gradients[p];
            p_.updates[p] += norms.updates[p];
        }
        ++p_.recorded;
    }

    void collect(const Member& member) {
        for (std::size_t k = 0; k < p_.outputs.size(); ++k) {
            const std::span<const T> y = workspace_->value(s_.model.outputs()[k]);
            const std::int64_t size = graph_[s_.model.outputs()[k]].shape.size();
            member.for_range(rows_.count, 1 + 16384 / size, [&](std::int64_t begin, std::int64_t end) {
                std::copy(y.begin() + begin * size, y.begin() + end * size,
                          p_.outputs[k].begin() + (done() + begin) * size);
            });
        }
    }

    // By one member, while the others wait.
    void commit(const typename Updater<T>::Sums& sums) {
        const double weight = TrainerState<T>::mass(program_.loss(), *workspace_);
        p_.loss.sum += loss() * weight;
        p_.loss.weight += weight;
        p_.penalty += sums.penalty;
        p_.norm += sums.norm;
        workspace_->commit();
        s_.last_loss = loss();
        s_.last_penalty = sums.penalty;
        s_.last_norm = sums.norm;
        p_.cursor.rows += rows_.count;
        ++p_.iterations;
        p_.iteration = ++s_.iteration;
        p_.epoch = s_.epoch;
        region_is_over_ = region_end_ != Clock::time_point::max() && Clock::now() >= region_end_;
        if (options_.on_iteration) {
            training_.aside([&] {
                if (options_.on_iteration(s_.iteration, s_.last_loss)) s_.stop = true;
            });
            s_.updater.forget();
        }
        if (done() == total_ || s_.stop) {
            outcome_ = Outcome::finished;
        } else {
            next_batch();
        }
    }

    EpochResult<T> finish() {
        if (outcome_ == Outcome::bad_row) throw_bad_row<T>(feeds_.feeds(), rows_, bad_);
        if (outcome_ == Outcome::forward) s_.throw_non_finite(data_, feeds_, rows_, "forward");
        if (outcome_ == Outcome::backward) s_.throw_non_finite(data_, feeds_, rows_, "backward");
        if (outcome_ == Outcome::update) s_.throw_non_finite(data_, feeds_, rows_, "update");
        const auto count = static_cast<double>(p_.iterations);
        EpochResult<T> result;
        result.loss = p_.loss;
        result.last_loss = s_.last_loss;
        result.penalty = p_.penalty / count;
        result.gradient_norm = p_.norm / count;
        result.iterations = p_.iterations;
        result.samples = done();
        result.stopped = s_.stop;
        const bool complete = done() == total_;
        if (options_.collect) {
            result.outputs = complete ? std::move(p_.outputs) : p_.outputs;
            for (std::size_t k = 0; k < result.outputs.size(); ++k) {
                const std::int64_t size = graph_[s_.model.outputs()[k]].shape.size();
                result.outputs[k].resize(static_cast<std::size_t>(done() * size));
            }
            if (order_.empty()) {
                for (std::int64_t i = 0; i < done(); ++i) order_.push_back(i);
            }
            order_.resize(static_cast<std::size_t>(done()));
            result.order = std::move(order_);
        }
        for (std::size_t p = 0; p < p_.gradients.size(); ++p) {
            const std::string& name = graph_[graph_.parameters()[p]].name;
            result.gradient_norms[name] = p_.gradients[p] / static_cast<double>(p_.recorded);
            result.update_norms[name] = p_.updates[p] / static_cast<double>(p_.recorded);
        }
        if (complete) {
            ++s_.epoch;
            p_ = {};
        }
        return result;
    }

    [[nodiscard]] double loss() const { return static_cast<double>(workspace_->loss()); }

    TrainerState<T>& s_;
    EpochProgress<T>& p_;
    Training& training_;
    const Batch& data_;
    const EpochOptions& options_;
    Program<T>& program_;
    const FeedList feeds_;
    const Graph& graph_;
    const std::int64_t total_, batch_size_;
    Workspace<T>* workspace_ = nullptr;
    std::vector<FeedReader<T>> readers_;  // of the present batch size

    std::vector<std::int64_t> order_;  // of the rows; empty: as they lie
    Rows rows_;                        // of the present batch
    BadRow bad_;
    Clock::time_point region_end_;  // when to leave the present region, after the step that is running
    bool region_is_over_ = false;
    Outcome outcome_ = Outcome::running;
    Clock::time_point shown_ = Clock::now();
};

}  // namespace

template <class T>
EpochResult<T> Trainer<T>::run_epoch(const Batch& data, const EpochOptions& options) {
    Training training(state_->model.use(), state_->busy);
    if (options.batch_size < 1) {
        throw ArgumentError("batch_size: expected at least 1, got " + std::to_string(options.batch_size));
    }
    return Epoch<T>(*state_, state_->progress, training, data, options).run();
}

template <class T>
EpochResult<T> Trainer<T>::run_batch(const Batch& data, EpochOptions options) {
    Training training(state_->model.use(), state_->busy);
    options.shuffle = options.resume = false;
    options.batch_size = std::numeric_limits<std::int64_t>::max();
    const std::int64_t epoch = state_->epoch;
    EpochProgress<T> alone;
    EpochResult<T> result = Epoch<T>(*state_, alone, training, data, options).run();
    state_->epoch = epoch;
    return result;
}

template EpochResult<float> Trainer<float>::run_epoch(const Batch&, const EpochOptions&);
template EpochResult<double> Trainer<double>::run_epoch(const Batch&, const EpochOptions&);
template EpochResult<float> Trainer<float>::run_batch(const Batch&, EpochOptions);
template EpochResult<double> Trainer<double>::run_batch(const Batch&, EpochOptions);

}  // namespace retrograd
