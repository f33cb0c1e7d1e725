// What runs underneath: instruction set, threads, and the names of all members.
#pragma once

#include <string>
#include <vector>

namespace retrograd {

[[nodiscard]] std::string instruction_set();          // "avx2"
[[nodiscard]] std::string instruction_set_warning();  // why RETROGRAD_ISA was not followed; "" where it was
[[nodiscard]] std::vector<std::string> instruction_sets();  // that this build has and this machine can run
[[nodiscard]] std::string thread_backend();                 // "openmp", "threads" or "serial"
[[nodiscard]] int usable_threads();

// The members of a list: "activation", "unary", "binary", "loss", "optimizer", "schedule", "initialiser",
// "layer".
[[nodiscard]] std::vector<std::string> member_names(const std::string& list);

// Makes forked children safe. Called once, when a program or the Python package starts to use the library.
void prepare_process();

}  // namespace retrograd
