// Patterns over parameter and layer names: * is any text, ? one character.
#pragma once

#include <string_view>

namespace retrograd {

[[nodiscard]] constexpr bool matches_whole(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return text.empty();
    if (pattern[0] == '*') {
        for (std::size_t i = 0; i <= text.size(); ++i) {
            if (matches_whole(pattern.substr(1), text.substr(i))) return true;
        }
        return false;
    }
    return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
           matches_whole(pattern.substr(1), text.substr(1));
}

// The parameter itself, or the layer that has it: "conv*" matches "conv2d_0.weight".
[[nodiscard]] constexpr bool matches(std::string_view pattern, std::string_view parameter) {
    if (matches_whole(pattern, parameter)) return true;
    const std::size_t dot = parameter.find('.');
    return dot != std::string_view::npos && matches_whole(pattern, parameter.substr(0, dot));
}

}  // namespace retrograd
