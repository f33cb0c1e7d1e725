// The instruction sets the kernels are compiled for, and which of them this processor can run.
#pragma once

#include <optional>
#include <string_view>

namespace retrograd {

/// In rising order on x86-64: what runs avx512 runs avx2 and baseline too. On aarch64 there is only neon.
enum class Isa { baseline, avx2, avx512, neon };

/// The best one that the processor has and whose registers the operating system saves. Asks them every time.
[[nodiscard]] Isa detected_isa();

/// "baseline", "avx2", "avx512" or "neon".
[[nodiscard]] std::string_view name(Isa isa);

/// The inverse of name(); nothing for any other text.
[[nodiscard]] std::optional<Isa> parse_isa(std::string_view text);

}  // namespace retrograd
