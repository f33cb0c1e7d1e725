#include "base/parallel.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <retrograd/error.hpp>

#include "base/cgroup.hpp"
#include "base/float_environment.hpp"

#if defined(RETROGRAD_PARALLEL_OPENMP)
#include <omp.h>
#elif !defined(RETROGRAD_PARALLEL_THREADS) && !defined(RETROGRAD_PARALLEL_SERIAL)
#error "RETROGRAD_PARALLEL_OPENMP, _THREADS or _SERIAL must be defined"
#endif

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define RETROGRAD_HAS_FORK 1
#endif

namespace retrograd {
namespace {

using Function = std::function<void(const Member&)>;
using Clock = std::chrono::steady_clock;

// Long enough that a barrier of a small network never sleeps, short enough to give a wanted CPU away.
constexpr std::chrono::microseconds spin_time{40};
constexpr int yields_before_sleep = 4;

std::atomic<std::uint32_t> fork_generation{0};  // how many forks lie between this process and the first one
std::atomic<bool> fresh_threads_only{false};    // in a child that came with a thread pool it cannot use
thread_local int region_depth = 0;              // regions of ours that this thread is inside

void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Spins, then yields, until done() holds; false where it is time to sleep instead.
template <class Done>
bool spin_until(Done done) {
    const auto spin = [&] {
        for (int i = 0; i < 32; ++i) {
            if (done()) return true;
            pause_cpu();
        }
        return done();
    };
    if (spin()) return true;  // the clock would take longer than most barriers
    const auto end = Clock::now() + spin_time;
    do {
        if (spin()) return true;
    } while (Clock::now() < end);
    for (int i = 0; i < yields_before_sleep; ++i) {
        if (done()) return true;
        std::this_thread::yield();
    }
    return done();
}

// Thrown out of barrier() where another member failed; it never leaves run_team.
struct TeamAborted {};

}  // namespace

struct TeamState {
    static constexpr std::uint32_t aborted = 1;      // the lowest bit of phase,
    static constexpr std::uint32_t one_barrier = 2;  // the rest counts, and may wrap round

    alignas(64) std::atomic<std::uint32_t> arrived{0};
    alignas(64) std::atomic<std::uint32_t> phase{0};  // barriers passed so far, and whether a member failed
    alignas(64) std::atomic<bool> failed{false};
    std::exception_ptr failure;
    std::uint32_t generation = fork_generation.load(std::memory_order_relaxed);

    void fail(std::exception_ptr e) {
        if (!failed.exchange(true)) failure = std::move(e);
        phase.fetch_or(aborted);
        phase.notify_all();
    }

    void wait(int size) {
        const std::uint32_t before = phase.load(std::memory_order_acquire);
        // A child forked by a member has no other members to wait for.
        const bool left_alone = generation != fork_generation.load(std::memory_order_relaxed);
        if (left_alone || (before & aborted) != 0) throw TeamAborted{};
        if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<std::uint32_t>(size)) {
            arrived.store(0, std::memory_order_relaxed);
            const std::uint32_t old = phase.fetch_add(one_barrier, std::memory_order_acq_rel);
            phase.notify_all();
            if ((old & aborted) != 0) throw TeamAborted{};
            return;
        }
        const auto passed = [&] { return phase.load(std::memory_order_acquire) != before; };
        if (!spin_until(passed)) {
            while (!passed()) phase.wait(before, std::memory_order_acquire);
        }
        if ((phase.load(std::memory_order_acquire) & aborted) != 0) throw TeamAborted{};
    }
};

void Member::wait() const { state_->wait(size_); }

void Member::leave_if_aborted() const {
    if ((state_->phase.load(std::memory_order_relaxed) & TeamState::aborted) != 0) throw TeamAborted{};
}

void Poll::ask() {
    const Clock::time_point now = Clock::now();
    if (now - last_ < std::chrono::milliseconds(20)) return;
    last_ = now;
    if ((*stop_)()) throw Interrupted("interrupted; the last committed step stands");
}

namespace {

#if !defined(RETROGRAD_PARALLEL_SERIAL)

// The body of every member: no exception leaves it, and the thread is handed back as it came.
void run_member(int index, int size, TeamState& state, const Function& f) noexcept {
    const FloatEnvironment environment;
    ++region_depth;
    try {
        f(Member(index, size, &state));
    } catch (const TeamAborted&) {
        state.fail(nullptr);
    } catch (...) {
        state.fail(std::current_exception());
    }
    --region_depth;
}

// True in a child that a member forked: the other members are not there.
bool is_left_alone(const TeamState& state) {
    return state.generation != fork_generation.load(std::memory_order_relaxed);
}

void rethrow(const TeamState& state) {
    if (state.failed.load() && state.failure) std::rethrow_exception(state.failure);
    if (state.failed.load() || is_left_alone(state)) {
        throw std::system_error(
            std::make_error_code(std::errc::no_child_process),
            "this process was forked from inside a parallel region, which cannot go on in it");
    }
}

#endif

int run_alone(const Function& f) {
    const FloatEnvironment environment;
    f(Member::alone());
    return 1;
}

#if !defined(RETROGRAD_PARALLEL_SERIAL)

// Threads for this one region: for a region inside a region, and where the usual ones cannot be used.
int run_in_fresh_threads(int threads, const Function& f) {
    TeamState state;
    std::atomic<int> size{0};  // 0 until it is known how many threads there are
    std::vector<std::thread> others;
    others.reserve(static_cast<std::size_t>(threads - 1));
    try {
        for (int index = 1; index < threads; ++index) {
            others.emplace_back([&, index] {
                size.wait(0);
                run_member(index, size.load(), state, f);
            });
        }
    } catch (const std::system_error&) {
        // The system gives no more threads: these have to do.
    }
    const int actual = static_cast<int>(others.size()) + 1;
    size.store(actual);
    size.notify_all();
    run_member(0, actual, state, f);
    for (std::thread& thread : others) {
        if (is_left_alone(state)) {
            thread.detach();
        } else {
            thread.join();
        }
    }
    rethrow(state);
    return actual;
}

#endif

#if defined(RETROGRAD_PARALLEL_OPENMP)

int run_in_usual_threads(int threads, const Function& f) {
    TeamState state;
    int size = 1;
#pragma omp parallel num_threads(threads) default(none) shared(state, size, f)
    {
        const int actual = omp_get_num_threads();
        const int index = omp_get_thread_num();
        if (index == 0) size = actual;
        run_member(index, actual, state, f);
    }
    rethrow(state);
    return size;
}

#elif defined(RETROGRAD_PARALLEL_THREADS)

// What a worker is asked to do, and how its caller learns that it is done.
struct Job {
    const Function* f;
    TeamState* state;
    std::atomic<int>* running;
    int index, size;
};

struct Worker {
    std::atomic<std::uint32_t> turn{0};  // jobs given so far
    Job job{};

    void give(const Job& next) {
        job = next;
        turn.fetch_add(1, std::memory_order_release);
        turn.notify_one();
    }
};

// Threads that wait for work. One pool serves all callers: each region borrows workers and hands them back.
class Pool {
  public:
    // As many idle or new workers as the system gives, at most `wanted`.
    std::vector<Worker*> borrow(int wanted) {
        std::vector<Worker*> lent;
        lent.reserve(static_cast<std::size_t>(wanted));
        const std::lock_guard lock(mutex_);
        while (static_cast<int>(lent.size()) < wanted && !idle_.empty()) {
            lent.push_back(idle_.back());
            idle_.pop_back();
        }
        while (static_cast<int>(lent.size()) < wanted) {
            try {
                auto worker = std::make_unique<Worker>();
                idle_.reserve(++workers_);
                std::thread(work, worker.get()).detach();
                lent.push_back(worker.release());
            } catch (const std::system_error&) {
                --workers_;
                break;
            } catch (...) {
                --workers_;
                idle_.insert(idle_.end(), lent.begin(), lent.end());
                throw;
            }
        }
        return lent;
    }

    void give_back(const std::vector<Worker*>& workers) {
        const std::lock_guard lock(mutex_);
        idle_.insert(idle_.end(), workers.rbegin(), workers.rend());  // room was reserved when they were made
    }

    // Never destroyed: its threads sleep until the process ends.
    static Pool& instance() {
        Pool* pool = current.load(std::memory_order_acquire);
        if (pool != nullptr) return *pool;
        auto created = std::make_unique<Pool>();
        if (!current.compare_exchange_strong(pool, created.get())) return *pool;
        return *created.release();
    }

    // In a forked child, where none of the pool's threads exist and its lock may be held.
    static void forget() { current.store(nullptr); }

  private:
    static void work(Worker* worker) {
        std::uint32_t seen = 0;
        while (true) {
            const auto asked = [&] { return worker->turn.load(std::memory_order_acquire) != seen; };
            if (!spin_until(asked)) {
                while (!asked()) worker->turn.wait(seen, std::memory_order_acquire);
            }
            ++seen;
            const Job job = worker->job;
            run_member(job.index, job.size, *job.state, *job.f);
            // After this line the caller may be gone; the counter's address is only compared, never read
            // again.
            if (job.running->fetch_sub(1, std::memory_order_acq_rel) == 1) job.running->notify_one();
        }
    }

    std::mutex mutex_;
    std::vector<Worker*> idle_;
    std::size_t workers_ = 0;
    static std::atomic<Pool*> current;
};

std::atomic<Pool*> Pool::current{nullptr};

int run_in_usual_threads(int threads, const Function& f) {
    Pool& pool = Pool::instance();
    const std::vector<Worker*> workers = pool.borrow(threads - 1);
    const int size = static_cast<int>(workers.size()) + 1;
    TeamState state;
    std::atomic<int> running{size - 1};
    for (int index = 1; index < size; ++index) {
        workers[static_cast<std::size_t>(index - 1)]->give({&f, &state, &running, index, size});
    }
    run_member(0, size, state, f);
    const auto done = [&] { return running.load(std::memory_order_acquire) == 0; };
    if (!spin_until(done) && !is_left_alone(state)) {
        for (int left = running.load(); left != 0; left = running.load()) running.wait(left);
    }
    if (!is_left_alone(state)) pool.give_back(workers);
    rethrow(state);
    return size;
}

#endif

// ---- forks

#if defined(RETROGRAD_HAS_FORK)

thread_local bool paused_for_fork = false;

void before_fork() {
#if defined(RETROGRAD_PARALLEL_OPENMP)
    // Ends this thread's idle OpenMP threads, which a child would wait for in vain. Refused inside a region.
    paused_for_fork = omp_pause_resource_all(omp_pause_soft) == 0;
#else
    paused_for_fork = region_depth == 0;
#endif
}

void in_child() {
    fork_generation.fetch_add(1, std::memory_order_relaxed);
#if defined(RETROGRAD_PARALLEL_THREADS)
    Pool::forget();
#else
    if (!paused_for_fork) fresh_threads_only.store(true, std::memory_order_relaxed);
#endif
}

#endif

#if !defined(RETROGRAD_PARALLEL_SERIAL)

// ---- how many threads

#if defined(__linux__)

int affinity_count() {
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cpus));
        if (set == nullptr) return 0;
        const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
        const bool known = sched_getaffinity(0, bytes, set) == 0;
        const int count = known ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (known) return count;
    }
    return 0;
}

#endif

int hardware_count() {
    int count = 0;
#if defined(__linux__)
    count = affinity_count();
#endif
    if (count < 1) count = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
    // Read once: it takes as long as many small steps, and hardly ever changes in a process's life.
    static const int quota = cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
    count = std::min(count, quota);
#endif
    return std::max(1, count);
}

#if !defined(RETROGRAD_PARALLEL_OPENMP)

// The first number of OMP_NUM_THREADS ("4" or "4,2"), if it is one.
int requested_count() {
    const char* text = std::getenv("OMP_NUM_THREADS");
    if (text == nullptr) return std::numeric_limits<int>::max();
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    const bool usable = end != text && (*end == '\0' || *end == ',' || *end == ' ') && value >= 1;
    return usable && value < std::numeric_limits<int>::max() ? static_cast<int>(value)
                                                             : std::numeric_limits<int>::max();
}

#endif

#endif

}  // namespace

int available_threads() {
#if defined(RETROGRAD_PARALLEL_OPENMP)
    return std::max(1, std::min({hardware_count(), omp_get_max_threads(), omp_get_thread_limit()}));
#elif defined(RETROGRAD_PARALLEL_THREADS)
    return std::min(hardware_count(), requested_count());
#else
    return 1;
#endif
}

int run_team(int threads, const Function& f) {
#if defined(RETROGRAD_PARALLEL_SERIAL)
    static_cast<void>(threads);
    return run_alone(f);
#else
    if (threads <= 1) return run_alone(f);
    install_fork_handlers();
    const bool fresh = region_depth > 0 || fresh_threads_only.load(std::memory_order_relaxed);
    return fresh ? run_in_fresh_threads(threads, f) : run_in_usual_threads(threads, f);
#endif
}

void install_fork_handlers() {
#if defined(RETROGRAD_HAS_FORK)
    static const int installed = pthread_atfork(before_fork, nullptr, in_child);
    static_cast<void>(installed);
#endif
}

const char* parallel_backend() {
#if defined(RETROGRAD_PARALLEL_OPENMP)
    return "openmp";
#elif defined(RETROGRAD_PARALLEL_THREADS)
    return "threads";
#else
    return "serial";
#endif
}

}  // namespace retrograd
