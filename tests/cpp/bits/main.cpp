// bits [--threads 1,2,8] [--expect FILE]: trains dense networks and prints a hash of their parameters.
//
// The same bytes must come out for any number of threads; with --expect also those of FILE, which every
// compiler, source of threads and instruction set with FMA must reach. Nothing here but the library rounds:
// the data are whole numbers over a power of two.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <retrograd/layers.hpp>
#include <retrograd/runtime.hpp>
#include <retrograd/trainer.hpp>

namespace rg = retrograd;

namespace {

constexpr int skipped = 77;  // the exit status where RETROGRAD_ISA cannot be followed

struct Workload {
    std::string name;
    std::vector<std::int64_t> sizes;
    rg::Layer::Function activation;
    std::string loss;
    rg::Optimizer optimizer;
    std::int64_t batch = 32, rows = 109;  // the last batch of an epoch is smaller than the others
    int epochs = 2;
    bool shared = false;  // enough work for a team; what is less runs on one thread, whatever is asked for
    bool twice = true;    // in float64 too
    bool zeros = false;   // four of five inputs are
    rg::Schedule schedule = {};
};

rg::Layer::Function activation(const std::string& name) {
    return [name](const rg::Node& z) { return rg::activate(name, z, "bits"); };
}

// The networks are those of bench/rows/dense.py.
std::vector<Workload> networks() {
    const std::vector<std::int64_t> narrow = {10, 64, 64, 1}, deep(21, 64);
    const std::string error = "mean_squared_error", entropy = "cross_entropy";
    const auto relu = activation("relu"), tanh = activation("tanh");
    const rg::Optimizer adam{"adam", {}};
    return {
        {"W2", narrow, relu, error, adam, 32, 109, 4, false, true},
        {"W2-512", narrow, relu, error, adam, 512, 1124, 1, true, true},
        {"W3", {64, 100, 10}, relu, entropy, adam, 64, 211, 2, true, true},
        {"W4a", {784, 128, 10}, relu, entropy, adam, 128, 189, 2, true, true},
        {"W4a-zeros", {784, 128, 10}, relu, entropy, adam, 128, 189, 2, true, true, true},
        {"W4b", {784, 512, 512, 10}, relu, entropy, adam, 128, 189, 1, true, false},
        {"W6", deep, tanh, error, adam, 16, 53, 2, true, true},
    };
}

Workload small(const std::string& name, const rg::Layer::Function& activation, const std::string& loss,
               const rg::Optimizer& optimizer) {
    return {name, {10, 24, 24, 3}, activation, loss, optimizer};
}

// A small network for each member of the library.
std::vector<Workload> members() {
    const std::string error = "mean_squared_error";
    const auto tanh = activation("tanh"), sigmoid = activation("sigmoid"), softplus = activation("softplus");
    const rg::Optimizer adam{"adam", {}};
    std::vector<Workload> all;
    const std::vector<std::string> activations = rg::activation_names();
    for (const std::string& name : activations) {
        if (name != "linear") all.push_back(small(name, activation(name), error, adam));
    }
    for (const std::string& name : rg::member_names("unary")) {  // most activations are among them
        if (std::ranges::find(activations, name) != activations.end()) continue;
        const auto of_sigmoid = [=](const rg::Node& z) { return rg::apply(name, {}, {sigmoid(z)}); };
        all.push_back(small(name, of_sigmoid, error, adam));
    }
    for (const std::string& name : rg::member_names("binary")) {
        const auto of_two = [=](const rg::Node& z) {
            return rg::apply(name, {}, {sigmoid(z), softplus(rg::apply("negative", {}, {z}))});
        };
        all.push_back(small(name, of_two, error, adam));
    }
    for (const std::string& name : rg::member_names("loss")) {
        if (name != "cross_entropy") all.push_back(small(name, tanh, name, adam));
    }
    for (const std::string& name : rg::optimizer_names()) all.push_back(small(name, tanh, error, {name, {}}));
    all.push_back(small("sgd+momentum", tanh, error, {"sgd", {{"momentum", 0.9}, {"nesterov", 1}}}));
    all.push_back(small("rmsprop+centered", tanh, error, {"rmsprop", {{"momentum", 0.9}, {"centered", 1}}}));
    all.push_back(small("adam+amsgrad", tanh, error, {"adam", {{"amsgrad", 1}, {"weight_decay", 0.01}}}));
    for (const char* name : {"nadam", "radam"}) {
        const std::map<std::string, double> decay = {{"decoupled_weight_decay", 1}, {"weight_decay", 0.01}};
        all.push_back(small(std::string(name) + "+decoupled", tanh, error, {name, decay}));
    }
    // Eight updates, for each of which the rate is another.
    const std::vector<rg::Schedule> schedules = {
        {"exponential", {{"lr", 1e-2}, {"gamma", 0.9}}},
        {"cosine", {{"lr", 1e-2}, {"total", 7}, {"min_lr", 1e-3}}},
        {"warmup_cosine", {{"lr", 1e-2}, {"warmup", 3}, {"total", 7}, {"min_lr", 1e-3}}},
        {"one_cycle", {{"max_lr", 1e-2}, {"total", 8}, {"pct_start", 0.4}}},
    };
    for (const rg::Schedule& schedule : schedules) {
        all.push_back(small(schedule.name, tanh, error, adam));
        all.back().schedule = schedule;
    }
    return all;
}

// splitmix64
class Numbers {
  public:
    std::uint64_t next() {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    std::vector<float> reals(std::int64_t count, std::int64_t low) {  // in [low, 1), exact
        const std::int64_t steps = std::int64_t{1} << 16;
        std::vector<float> reals;
        for (std::int64_t i = 0; i < count; ++i) {
            const auto number = static_cast<std::int64_t>(next() >> 48);  // in [0, steps)
            reals.push_back(static_cast<float>(low * steps + number * (1 - low)) / static_cast<float>(steps));
        }
        return reals;
    }

    std::vector<std::int32_t> labels(std::int64_t count, std::int64_t classes) {
        std::vector<std::int32_t> labels;
        for (std::int64_t i = 0; i < count; ++i) {
            labels.push_back(static_cast<std::int32_t>(next() % static_cast<std::uint64_t>(classes)));
        }
        return labels;
    }

  private:
    std::uint64_t state_ = 0;
};

template <class Element>
rg::ArrayView view(const std::vector<Element>& numbers, rg::ElementType type,
                   std::vector<std::int64_t> shape) {
    rg::ArrayView array;
    array.data = reinterpret_cast<const std::byte*>(numbers.data());
    array.type = type;
    array.shape = std::move(shape);
    std::int64_t stride = sizeof(Element);
    array.strides.resize(array.shape.size());
    for (std::size_t i = array.shape.size(); i-- > 0; stride *= array.shape[i]) array.strides[i] = stride;
    return array;
}

template <class T>
rg::Model<T> network(const Workload& w) {
    const rg::Node x = rg::input({w.sizes[0]});
    rg::Node y = x;
    for (std::size_t i = 1; i < w.sizes.size(); ++i) {
        const bool last = i + 1 == w.sizes.size();
        const rg::Attributes config = {{"units", w.sizes[i]},
                                       {"activation", std::string("linear")},
                                       {"use_bias", true},
                                       {"weight_init", std::string("he_normal")},
                                       {"bias_init", std::string("zeros")}};
        y = rg::Layer("dense", config, "", last ? nullptr : w.activation)({y});
    }
    return {{x}, {y}, 1};
}

// FNV-1a
template <class T>
std::uint64_t hash_of(std::span<const T> numbers) {
    std::uint64_t hash = 0xCBF29CE484222325;
    for (const std::byte byte : std::as_bytes(numbers)) {
        hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001B3;
    }
    return hash;
}

struct Trained {
    std::uint64_t hash;
    int members;
};

template <class T>
Trained train(const Workload& w, int threads) {
    const bool classes = w.loss == "cross_entropy";
    const std::int64_t outputs = w.sizes.back();
    Numbers numbers;
    std::vector<float> inputs = numbers.reals(w.rows * w.sizes[0], -1);
    for (float& input : inputs) input = w.zeros && numbers.next() % 5 != 0 ? 0 : input;
    const std::vector<std::int32_t> labels = numbers.labels(classes ? w.rows : 0, outputs);
    const std::vector<float> values = numbers.reals(classes ? 0 : w.rows * outputs, 0);
    const std::vector x = {view(inputs, rg::ElementType::f32, {w.rows, w.sizes[0]})};
    const std::vector y = {classes ? view(labels, rg::ElementType::i32, {w.rows})
                                   : view(values, rg::ElementType::f32, {w.rows, outputs})};

    const auto model = network<T>(w);
    rg::TrainerOptions options;
    options.loss = {{w.loss, {}}};
    options.optimizer = w.optimizer;
    options.optimizer.lr = w.schedule;
    options.threads = threads;
    rg::Trainer<T> trainer(model, options);
    rg::EpochOptions epoch;
    epoch.batch_size = w.batch;
    for (int i = 0; i < w.epochs; ++i) trainer.run_epoch({x, y}, epoch);
    return {hash_of<T>(model.parameters()), trainer.threads_used()};
}

std::string text(std::uint64_t hash) {
    char buffer[17];
    std::snprintf(buffer, sizeof buffer, "%016llx", static_cast<unsigned long long>(hash));
    return buffer;
}

using Hashes = std::map<std::string, std::string>;  // "W2 float32" -> hash

// Lines of "workload type hash"; what follows # is a comment.
Hashes read_expected(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path);
    Hashes expected;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string workload, type, hash;
        if (words >> workload >> type >> hash) expected[workload + " " + type] = hash;
    }
    return expected;
}

class Comparison {
  public:
    Comparison(std::vector<int> threads, Hashes expected)
        : threads_(std::move(threads)), expected_(std::move(expected)) {}

    template <class T>
    void run(const Workload& w) {
        const std::string name = w.name + (sizeof(T) == 4 ? " float32" : " float64");
        const bool serial = rg::thread_backend() == "serial";
        std::string used, first;
        for (const int threads : threads_) {
            const Trained trained = train<T>(w, threads);
            const std::string hash = text(trained.hash);
            const std::string with = name + " with " + std::to_string(threads) + " threads: ";
            const int wanted = serial || !w.shared ? 1 : threads;
            if (trained.members != wanted) {
                fail(with + std::to_string(trained.members) + " worked, expected " + std::to_string(wanted));
            }
            if (first.empty()) first = hash;
            if (hash != first) {
                fail(with + hash + ", but " + first + " with " + std::to_string(threads_[0]));
            }
            if (!used.empty()) used += ',';
            used += std::to_string(trained.members);
        }
        std::printf("%-28s %s  %s %s threads %s\n", name.c_str(), first.c_str(),
                    rg::instruction_set().c_str(), rg::thread_backend().c_str(), used.c_str());
        std::fflush(stdout);
        const auto found = expected_.find(name);
        if (found == expected_.end()) return;
        if (found->second != first) fail(name + ": " + first + ", expected " + found->second);
        expected_.erase(found);
    }

    // Whether all was as it should be, and nothing that was expected is missing.
    bool finish() {
        for (const auto& [name, hash] : expected_) fail(name + ": expected, but there is no such workload");
        return good_;
    }

  private:
    void fail(const std::string& message) {
        std::fprintf(stderr, "FAIL %s\n", message.c_str());
        good_ = false;
    }

    std::vector<int> threads_;
    Hashes expected_;
    bool good_ = true;
};

std::vector<int> numbers_in(std::string_view list) {
    std::vector<int> numbers;
    const char *at = list.data(), *const end = at + list.size();
    while (at != end) {
        int number = 0;
        const auto [next, error] = std::from_chars(at, end, number);
        if (error != std::errc{} || number < 1 || (next != end && *next != ',')) {
            throw std::runtime_error("--threads: expected a list such as 1,2,8, got '" + std::string(list) +
                                     "'");
        }
        numbers.push_back(number);
        at = next == end ? end : next + 1;
    }
    return numbers;
}

bool compare(int argc, char** argv) {
    std::vector<int> threads = {1, 2, 3, 4, 5, 6, 7, 8};
    Hashes expected;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view option = argv[i];
        if (i + 1 == argc || (option != "--threads" && option != "--expect")) {
            throw std::runtime_error("usage: bits [--threads 1,2,8] [--expect FILE]");
        }
        if (option == "--threads") {
            threads = numbers_in(argv[i + 1]);
        } else {
            expected = read_expected(argv[i + 1]);
        }
    }
    if (rg::instruction_set() == "baseline" && !expected.empty()) {
        std::puts("baseline has no FMA and bits of its own: compared between numbers of threads only");
        expected.clear();
    }
    Comparison comparison(threads, expected);
    for (const auto& workloads : {networks(), members()}) {
        for (const Workload& w : workloads) {
            comparison.run<float>(w);
            if (w.twice) comparison.run<double>(w);
        }
    }
    return comparison.finish();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (!rg::instruction_set_warning().empty()) {
            std::fprintf(stderr, "bits: %s\n", rg::instruction_set_warning().c_str());
            return skipped;
        }
        return compare(argc, argv) ? 0 : 1;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "bits: %s\n", e.what());
        return 1;
    }
}
