// checkpoint DATA FOLDER: a trainer that is saved and loaded goes on bit for bit, at every iteration; a
// checkpoint that Python wrote (DATA, see tests/golden_checkpoint.py) does so in C++. Files go into FOLDER;
// FOLDER/checkpoint-1-cpp.safetensors is what Python's tests read.
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <retrograd/checkpoint.hpp>
#include <retrograd/error.hpp>
#include <retrograd/layers.hpp>
#include <retrograd/runtime.hpp>

#include "../checks.hpp"

namespace rg = retrograd;

namespace {

constexpr std::int64_t rows = 21, inputs = 4, classes = 3, batch_size = 8, epochs = 3;

struct Data {
    std::vector<float> numbers;
    std::vector<std::int64_t> labels;
    std::vector<rg::ArrayView> x, y;

    Data() {
        for (std::int64_t i = 0; i < rows; ++i) {
            for (std::int64_t j = 0; j < inputs; ++j) {
                numbers.push_back(static_cast<float>((7 * i + 3 * j) % 11 - 5) / 8);
            }
            labels.push_back(i % classes);
        }
        rg::ArrayView view;
        view.data = reinterpret_cast<const std::byte*>(numbers.data());
        view.shape = {rows, inputs};
        view.strides = {inputs * 4, 4};
        x = {view};
        view.data = reinterpret_cast<const std::byte*>(labels.data());
        view.type = rg::ElementType::i64;
        view.shape = {rows};
        view.strides = {8};
        view.name = "y";
        y = {view};
    }

    [[nodiscard]] rg::Batch batch() const { return {x, y, nullptr}; }
};

template <class T>
rg::Model<T> network() {
    const auto dense = [](std::int64_t units, const char* activation) {
        return rg::Layer("dense", {{"units", units},
                                   {"activation", std::string(activation)},
                                   {"use_bias", true},
                                   {"weight_init", std::string("auto")},
                                   {"bias_init", std::string("zeros")}});
    };
    const rg::Node x = rg::input({inputs});
    rg::Layer first = dense(6, "tanh"), last = dense(classes, "linear");
    rg::Layer dropout("dropout", {{"rate", 0.25}});
    return {{x}, {last({dropout({first({x})})})}, 1};
}

rg::TrainerOptions options() {
    rg::TrainerOptions options;
    options.loss = {{"cross_entropy", {}}};
    options.optimizer = {"adamw",
                         {{"weight_decay", 0.01}},
                         {"warmup_cosine", {{"lr", 1e-2}, {"warmup", 2}, {"total", 12}, {"min_lr", 0}}}};
    options.threads = 1;
    options.seed = 5;
    return options;
}

rg::Node own_loss(const std::vector<rg::Node>& outputs, const std::vector<rg::Node>& targets) {
    const rg::Node label = rg::apply("one_hot", {{"count", classes}}, {targets[0]});
    const rg::Node weights = rg::constant({classes}, {1.0, 0.5, 2.0});
    const rg::Node log = rg::apply("log_softmax", {}, {outputs[0]});
    const rg::Node chosen = rg::apply("multiply", {}, {label, rg::apply("multiply", {}, {log, weights})});
    return rg::apply("negative", {}, {rg::apply("sum", {{"axis", std::vector<std::int64_t>{-1}}}, {chosen})});
}

rg::EpochOptions epoch_options(bool resume, bool collect) {
    rg::EpochOptions epoch;
    epoch.batch_size = batch_size;
    epoch.resume = resume;
    epoch.collect = collect;
    return epoch;
}

template <class T>
std::vector<rg::EpochResult<T>> finish(rg::Trainer<T>& trainer, const Data& data, bool collect) {
    std::vector<rg::EpochResult<T>> results;
    while (trainer.epoch() < epochs) {
        const bool resume = trainer.unfinished().rows > 0;
        results.push_back(trainer.run_epoch(data.batch(), epoch_options(resume, collect)));
    }
    return results;
}

template <class T>
bool same(std::span<const T> a, std::span<const T> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

template <class T>
void check_same(rg::Trainer<T>& a, rg::Trainer<T>& b, const std::string& what) {
    check(same<T>(a.model().parameters(), b.model().parameters()), what + ": the parameters");
    const auto left = a.optimizer_state(), right = b.optimizer_state();
    check(left.size() == right.size(), what + ": the slots");
    for (std::size_t i = 0; i < left.size() && i < right.size(); ++i) {
        check(same<T>(left[i].numbers, right[i].numbers), what + ": " + left[i].name);
    }
    check(a.iteration() == b.iteration() && a.epoch() == b.epoch() && a.lr() == b.lr(), what + ": counters");
}

// Saved after each iteration, loaded, finished.
template <class T>
void check_every_iteration(const rg::TrainerOptions& settings, const std::filesystem::path& folder) {
    const Data data;
    rg::Trainer<T> whole(network<T>(), settings);
    std::vector<std::filesystem::path> files;
    std::vector<rg::EpochResult<T>> results;
    while (whole.epoch() < epochs) {
        rg::EpochOptions epoch = epoch_options(false, true);
        epoch.record_layers = true;
        epoch.on_iteration = [&](std::int64_t iteration, double) {
            files.push_back(folder / ("c" + std::to_string(iteration) + ".safetensors"));
            whole.save(files.back());
            return false;
        };
        results.push_back(whole.run_epoch(data.batch(), epoch));
    }
    check(files.size() == 9, "nine iterations");
    for (const std::filesystem::path& file : files) {
        rg::Trainer<T> trainer = rg::Trainer<T>::load(file);
        trainer.save(folder / "again.safetensors");
        check(std::filesystem::file_size(folder / "again.safetensors") == std::filesystem::file_size(file),
              "saved again it is as long");
        rg::EpochOptions epoch = epoch_options(true, true);
        epoch.record_layers = true;
        const auto at = static_cast<std::size_t>(trainer.epoch());
        const rg::EpochResult<T> result = trainer.run_epoch(data.batch(), epoch);
        check(result.loss.mean() == results[at].loss.mean(), "the loss of an epoch in two parts");
        check(result.gradient_norm == results[at].gradient_norm && result.penalty == results[at].penalty,
              "its means");
        check(result.gradient_norms == results[at].gradient_norms, "its norms");
        check(result.outputs == results[at].outputs && result.order == results[at].order, "its outputs");
        finish(trainer, data, false);
        check_same(trainer, whole, file.filename().string());
    }
}

void check_golden(const std::filesystem::path& folder) {
    rg::Trainer<float> done = rg::Trainer<float>::load(folder / "checkpoint-1-done.safetensors");
    rg::Trainer<float> trainer = rg::Trainer<float>::load(folder / "checkpoint-1.safetensors");
    check(trainer.iteration() == 5 && trainer.epoch() == 1, "where Python left it");
    check(trainer.unfinished().rows == 16 && trainer.unfinished().total == rows, "within an epoch");
    finish(trainer, Data(), true);
    if (rg::instruction_set() != "baseline") check_same(trainer, done, "a checkpoint of Python's");
}

void check_refusals(const std::filesystem::path& folder) {
    const Data data;
    const std::filesystem::path file = folder / "c5.safetensors", model = folder / "model.safetensors";
    check_throws<rg::DTypeError>([&] { (void)rg::Trainer<double>::load(file); },
                                 "trained in float32; load it by Trainer<float>");
    network<float>().save(model);
    check_throws<rg::FileFormatError>([&] { (void)rg::Trainer<float>::load(model); },
                                      "a model without a trainer");
    check_throws<rg::FileFormatError>([&] { (void)rg::Trainer<float>::load(folder / "no"); }, "no: opening");
    rg::Trainer<float> trainer = rg::Trainer<float>::load(file);
    rg::EpochOptions epoch = epoch_options(true, true);
    check_throws<rg::ArgumentError>([&] { (void)trainer.run_epoch(data.batch(), epoch); }, "other options");
    epoch.record_layers = true;
    const std::vector<std::int64_t> some = {1, 2, 3};
    epoch.rows = &some;
    check_throws<rg::ShapeError>([&] { (void)trainer.run_epoch(data.batch(), epoch); },
                                 "has 21 rows, these are 3");
    epoch.rows = nullptr;
    (void)trainer.step(data.batch());
    check_throws<rg::StateError>([&] { (void)trainer.run_epoch(data.batch(), epoch); }, "has gone on since");
    rg::Trainer<float> fresh(network<float>(), options());
    check_throws<rg::StateError>([&] { (void)fresh.run_epoch(data.batch(), epoch); },
                                 "no epoch that was broken off");
}

// As tests/golden_checkpoint.py, without metrics.
void write_for_python(const std::filesystem::path& folder) {
    rg::Trainer<float> trainer(network<float>(), options());
    const Data data;
    while (trainer.epoch() < epochs) {
        rg::EpochOptions epoch = epoch_options(false, false);
        epoch.on_iteration = [&](std::int64_t iteration, double) {
            if (iteration == 5) trainer.save(folder / "checkpoint-1-cpp.safetensors");
            return false;
        };
        (void)trainer.run_epoch(data.batch(), epoch);
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) {
        std::printf("usage: checkpoint DATA FOLDER\n");
        return 2;
    }
    const std::filesystem::path data = arguments[1], folder = arguments[2];
    try {
        check_every_iteration<float>(options(), folder);
        check_refusals(folder);
        check_every_iteration<double>(options(), folder);
        rg::TrainerOptions own = options();
        own.l2 = 0.01;
        own.loss.terms.clear();
        own.loss.function = own_loss;
        check_every_iteration<float>(own, folder);
        write_for_python(folder);
        check_golden(data);
    } catch (const std::exception& error) {
        std::printf("FAILED: %s\n", error.what());
        return 1;
    }
    std::printf("%d failed\n", failures);
    return failures == 0 ? 0 : 1;
}
