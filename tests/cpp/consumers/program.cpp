// What the projects beside this file build: trains exclusive or and prints a hash of the parameters, which is
// the same however the library was found, and Python's.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <vector>

#include <retrograd/layers.hpp>
#include <retrograd/trainer.hpp>

namespace rg = retrograd;

namespace {

rg::ArrayView view(const std::vector<float>& numbers, std::int64_t rows, std::int64_t columns) {
    rg::ArrayView array;
    array.data = reinterpret_cast<const std::byte*>(numbers.data());
    array.shape = {rows, columns};
    array.strides = {columns * 4, 4};  // bytes
    return array;
}

rg::Layer dense(std::int64_t units, const char* activation) {
    return rg::Layer("dense", {{"units", units},
                               {"activation", activation},
                               {"use_bias", true},
                               {"weight_init", "auto"},
                               {"bias_init", "zeros"}});
}

}  // namespace

extern "C" __attribute__((visibility("default"))) std::uint64_t train_xor() {
    rg::Layer hidden = dense(8, "tanh"), output = dense(1, "linear");
    const rg::Node x = rg::input({2});
    const rg::Node y = output({hidden({x})});
    const auto net = std::make_shared<rg::Model<float>>(std::vector{x}, std::vector{y}, /*seed=*/0);

    rg::TrainerOptions options;
    options.losses = {{"binary_cross_entropy", {}}};
    options.optimizer = {"adam", {}};
    options.schedule = {"constant", {{"lr", 0.05}}};
    rg::Trainer<float> trainer(net, options);

    const std::vector<float> points = {0, 0, 0, 1, 1, 0, 1, 1}, targets = {0, 1, 1, 0};
    const std::vector xs = {view(points, 4, 2)}, ys = {view(targets, 4, 1)};
    for (int i = 0; i < 20; ++i) trainer.step({xs, ys});

    std::uint64_t hash = 0xCBF29CE484222325;
    for (const std::byte byte : std::as_bytes(std::span<const float>(net->parameters()))) {
        hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001B3;
    }
    return hash;
}

#ifndef WITHOUT_MAIN
int main() { std::printf("%016llx\n", static_cast<unsigned long long>(train_xor())); }
#endif
