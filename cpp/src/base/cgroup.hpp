// What Linux control groups (cgroups) leave of the CPUs to a process, in a container above all.
#pragma once

#include <string>

namespace retrograd {

// CPUs' worth of time that the quotas allow, rounded down and at least 1: the least of the process's group
// and all groups above it, in version 1 and 2; the largest int where none has a quota. `groups` is
// /proc/self/cgroup, `mounted` /sys/fs/cgroup; tests have others.
[[nodiscard]] int cgroup_cpus(const std::string& groups, const std::string& mounted);

}  // namespace retrograd
