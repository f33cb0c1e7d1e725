// What the projects beside this file build: trains exclusive or and prints a hash of the parameters, which is
// the same however the library was found, and Python's.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <vector>

#include <retrograd/retrograd.hpp>

namespace rg = retrograd;

extern "C" __attribute__((visibility("default"))) std::uint64_t train_xor() {
    rg::Sequential<float> net(rg::input({2}), {rg::layers::dense(8, {"tanh"}), rg::layers::dense(1)},
                              /*seed=*/0);
    rg::Trainer<float> trainer(net,
                               {.loss = rg::binary_cross_entropy(), .optimizer = rg::adam({.lr = 0.05})});
    const std::vector<float> x = {0, 0, 0, 1, 1, 0, 1, 1}, y = {0, 1, 1, 0};
    for (int i = 0; i < 20; ++i) trainer.step(x, y);

    std::uint64_t hash = 0xCBF29CE484222325;
    for (const std::byte byte : std::as_bytes(std::span<const float>(net.parameters()))) {
        hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001B3;
    }
    return hash;
}

#ifndef WITHOUT_MAIN
int main() { std::printf("%016llx\n", static_cast<unsigned long long>(train_xor())); }
#endif
