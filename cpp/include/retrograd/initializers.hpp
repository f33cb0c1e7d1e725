// How parameters begin.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <retrograd/graph.hpp>
#include <retrograd/random.hpp>

namespace retrograd {

// zeros, ones, normal(std), uniform(low, high), {he,glorot,lecun}_{normal,uniform}, orthogonal.
// He et al. 2015, Glorot and Bengio 2010, LeCun et al. 1998, Saxe et al. 2014.
[[nodiscard]] std::vector<std::string> initializer_names();

// The rule behind "auto": He for the ReLU family, LeCun for selu, Glorot otherwise.
[[nodiscard]] std::string initializer_for(const std::string& activation);

// Element i depends on the key and i alone. Throws ArgumentError for an unknown rule.
template <class T>
void initialise(const Initial& initial, const Shape& shape, const RandomKey& key, std::span<T> out);

}  // namespace retrograd
