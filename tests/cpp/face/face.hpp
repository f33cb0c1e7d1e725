// What the parts of this program share.
#pragma once

#include <filesystem>
#include <string>

#include <retrograd/retrograd.hpp>

#include "../checks.hpp"

namespace rg = retrograd;

// Models and parameters go into files here; Python's tests make the same and compare the bytes.
void make_layers(const std::filesystem::path& folder);
void make_trained(const std::filesystem::path& folder);
