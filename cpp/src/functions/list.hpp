// A list of rules, from which the kernel tables are made.
#pragma once

namespace retrograd {

template <class... Rules>
struct RuleList {};

}  // namespace retrograd
