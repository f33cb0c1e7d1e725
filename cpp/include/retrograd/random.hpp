// Counter-based random numbers (Philox 4x32-10; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// 2011).
//
// A number depends on its key and its index alone: not on threads, not on what was drawn before.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace retrograd {

enum class Purpose : std::uint32_t { initialise = 1, shuffle = 2, dropout = 3, split = 4, check = 5 };

struct RandomKey {
    std::uint64_t seed = 0;
    Purpose purpose = Purpose::initialise;
    std::uint32_t stream = 0;  // the node, parameter or array that asks
    std::uint32_t step = 0;    // the iteration or epoch
};

// Four independent 32-bit numbers for one index below 2^32 * 2^... of the key's stream.
[[nodiscard]] std::array<std::uint32_t, 4> philox(const RandomKey& key, std::uint64_t index);

[[nodiscard]] double uniform(const RandomKey& key, std::uint64_t index);  // in [0, 1), 53 bits
[[nodiscard]] double normal(const RandomKey& key, std::uint64_t index);   // mean 0, standard deviation 1
[[nodiscard]] std::uint64_t below(const RandomKey& key, std::uint64_t index,
                                  std::uint64_t bound);  // in [0, bound)

// A permutation of 0..n-1 (Fisher and Yates).
[[nodiscard]] std::vector<std::int64_t> permutation(std::int64_t n, const RandomKey& key);

}  // namespace retrograd
