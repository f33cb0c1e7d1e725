// Many threads at once: what may be shared gives the same bits, what may not is refused with StateError.
#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <retrograd/error.hpp>
#include <retrograd/evaluation.hpp>
#include <retrograd/layers.hpp>
#include <retrograd/model_file.hpp>
#include <retrograd/optimizers.hpp>
#include <retrograd/trainer.hpp>

namespace rg = retrograd;

namespace {

constexpr int team = 6;
constexpr std::int64_t rows = 96, features = 12, units = 24, outputs = 3;

std::atomic<int> failures{0};

void check(bool good, const char* what) {
    if (good) return;
    ++failures;
    std::fprintf(stderr, "wrong: %s\n", what);
}

// f(0), f(1), ... each in a thread of its own, begun together.
void together(const std::function<void(int)>& f) {
    std::barrier start(team);
    std::vector<std::thread> threads;
    for (int index = 0; index < team; ++index) {
        threads.emplace_back([&, index] {
            start.arrive_and_wait();
            try {
                f(index);
            } catch (const std::exception& error) {
                check(false, error.what());
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

// Whether it was done; false where it was refused.
bool tried(const std::function<void()>& call) {
    try {
        call();
    } catch (const rg::StateError&) {
        return false;
    }
    return true;
}

template <class T>
rg::ArrayView view(const std::vector<T>& numbers, std::vector<std::int64_t> shape) {
    rg::ArrayView array;
    array.data = reinterpret_cast<const std::byte*>(numbers.data());
    array.type = sizeof(T) == 4 ? rg::ElementType::f32 : rg::ElementType::f64;
    std::int64_t stride = sizeof(T);
    array.strides.resize(shape.size());
    for (std::size_t axis = shape.size(); axis-- > 0;) {
        array.strides[axis] = stride;
        stride *= shape[axis];
    }
    array.shape = std::move(shape);
    return array;
}

struct Data {
    std::vector<float> x, y;
    std::vector<rg::ArrayView> inputs, targets;

    Data() {
        for (std::int64_t i = 0; i < rows * features; ++i)
            x.push_back(static_cast<float>(i * 37 % 101) / 128 - 0.4F);
        for (std::int64_t i = 0; i < rows * outputs; ++i) y.push_back(static_cast<float>(i * 53 % 89) / 128);
        inputs = {view(x, {rows, features})};
        targets = {view(y, {rows, outputs})};
    }
    Data(const Data&) = delete;
    [[nodiscard]] rg::Batch batch() const { return {inputs, targets, nullptr}; }
};

const Data& data() {
    static const Data made;
    return made;
}

rg::Attributes dense(std::int64_t n) {
    return {{"units", n}, {"use_bias", true}, {"weight_init", "auto"}, {"bias_init", "zeros"}};
}

rg::Node tanh(const rg::Node& z) { return rg::activate("tanh", z, "threads"); }

rg::Model<float> network(std::uint64_t seed) {
    const rg::Node x = rg::input({features});
    const rg::Node h = rg::Layer("dense", dense(units), "", tanh)({x});
    return {{x}, {rg::Layer("dense", dense(outputs))(h)}, seed};
}

rg::Trainer<float> trainer_of(const rg::Model<float>& model) {
    rg::TrainerOptions options;
    options.loss = rg::mean_squared_error();
    options.optimizer = rg::adam({.lr = 0.01});
    return {model, options};
}

rg::EpochOptions epoch_options() {
    rg::EpochOptions options;
    options.batch_size = 16;
    return options;
}

std::vector<float> predicted(const rg::Model<float>& model, int threads) {
    std::vector<float> y(static_cast<std::size_t>(rows * outputs));
    const std::span<float> out[] = {y};
    model.predict(data().inputs, out, 32, threads);
    return y;
}

std::vector<float> trained(std::uint64_t seed) {
    auto model = network(seed);
    rg::Trainer<float> trainer = trainer_of(model);
    for (int epoch = 0; epoch < 3; ++epoch) (void)trainer.run_epoch(data().batch(), epoch_options());
    (void)trainer.evaluate(data().batch(), 32);
    return predicted(model, 2);
}

void each_with_its_own() {
    std::vector<std::vector<float>> alone;
    for (int index = 0; index < team; ++index) alone.push_back(trained(static_cast<std::uint64_t>(index)));
    together([&](int index) {
        check(trained(static_cast<std::uint64_t>(index)) == alone[static_cast<std::size_t>(index)],
              "a network trained beside others has other bits");
    });
}

void one_layer() {
    rg::Layer shared("dense", dense(units), "shared", tanh);
    std::vector<rg::Node> ends(team, rg::input({1}));
    std::vector<rg::Node> inputs;
    for (int index = 0; index < team; ++index) inputs.push_back(rg::input({features}));
    together([&](int index) {
        const auto at = static_cast<std::size_t>(index);
        ends[at] = shared({inputs[at]});
    });
    const rg::Model<float> model(inputs, ends, 0);
    check(model.graph()->parameters().size() == 2,
          "a layer called by many threads has more than its parameters");
}

void one_model() {
    auto model = network(1);
    const std::vector<float> expected = predicted(model, 1);
    const std::vector<float> weights(model.parameters().begin(), model.parameters().end());
    together([&](int index) {
        for (int turn = 0; turn < 20; ++turn) {
            check(predicted(model, 1 + index % 2) == expected, "a prediction beside others has other bits");
            std::vector<float> few(static_cast<std::size_t>(4 * outputs));
            check(model.predict_few(data().x.data(), rg::ElementType::f32, 4, few.data()), "predict_few");
            check(std::memcmp(few.data(), expected.data(), few.size() * sizeof(float)) == 0,
                  "predict_few: other bits");
            check(std::ranges::equal(model.parameters(), weights), "a parameter changed");
            const std::lock_guard lock(model.saving());
            model.metadata() = {{"who", std::to_string(index)}};
            check(!to_bytes(model).empty(), "to_bytes");
        }
    });
}

void one_evaluation() {
    rg::Initial normal;
    normal.rule = "normal";
    normal.a = 0.5;
    const rg::Node x = rg::input({features}), w = rg::parameter({features, features}, normal);
    const rg::Node y = tanh(rg::apply("matmul", {}, {tanh(rg::apply("matmul", {}, {x, w})), w}));
    rg::Evaluation<double> evaluation(y);
    const int place = evaluation.graph().id(x);
    const std::vector<double> numbers(data().x.begin(), data().x.end());
    const auto run = [&] { evaluation.forward({{place, view(numbers, {rows, features})}}); };
    const std::vector<double> seed(static_cast<std::size_t>(rows * features), 1.0);
    run();
    evaluation.backward(seed);
    const std::vector<double> value = evaluation.value(evaluation.result());
    std::atomic<int> done{0};
    together([&](int index) {
        for (int turn = 0; turn < 30; ++turn) {
            if (index < 2) done += tried(run);
            if (index == 2) tried([&] { evaluation.backward(seed); });
            if (index == 3) tried([&] { (void)evaluation.gradient(evaluation.graph().id(w)); });
            if (index > 3) {
                tried(
                    [&] { check(evaluation.value(evaluation.result()) == value, "a value of half a run"); });
            }
        }
    });
    check(done > 0, "no forward was let through");
}

void one_trainer() {
    auto model = network(2);
    rg::Trainer<float> trainer = trainer_of(model);
    std::atomic<int> done{0};
    together([&](int index) {
        for (int turn = 0; turn < 20; ++turn) {
            switch (index) {
                case 0:
                    done += tried([&] { (void)trainer.run_epoch(data().batch(), epoch_options()); });
                    break;
                case 1: done += tried([&] { (void)trainer.evaluate(data().batch(), 32); }); break;
                case 2: done += tried([&] { (void)predicted(model, 1); }); break;
                case 3: done += tried([&] { (void)trainer.memory(16); }); break;
                case 4: model.set_frozen("dense_0.bias", turn % 2 == 0); break;
                default:
                    trainer.set_schedule({"constant", {{"lr", 0.01}}});
                    check(trainer.lr() == 0.01 && trainer.iteration() >= 0 && trainer.epoch() >= 0, "lr");
                    check(trainer.gradient_norm() >= 0 && trainer.threads_used() >= 0, "gradient_norm");
                    tried([&] { (void)trainer.plan(); });
            }
        }
    });
    check(done > 0, "no call was let through");
}

}  // namespace

int main() {
    each_with_its_own();
    one_layer();
    one_model();
    one_evaluation();
    one_trainer();
    std::printf("%d failures\n", failures.load());
    return failures == 0 ? 0 : 1;
}
