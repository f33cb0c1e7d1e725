// Quotas of control groups, read from folders made for it: the real ones take a privileged user to write.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>

#include "base/cgroup.hpp"

namespace fs = std::filesystem;

namespace {

constexpr int no_quota = std::numeric_limits<int>::max();
int failures = 0;

// `groups` is the text of /proc/self/cgroup, `files` what stands below /sys/fs/cgroup.
void expect(int expected, const char* what, const std::string& groups,
            const std::map<std::string, std::string>& files) {
    const fs::path folder = fs::temp_directory_path() / "retrograd_test_cgroup";
    fs::remove_all(folder);
    fs::create_directories(folder);
    std::ofstream(folder / "groups") << groups;
    for (const auto& [name, text] : files) {
        const fs::path path = folder / "mounted" / name;
        fs::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
    const int found = retrograd::cgroup_cpus((folder / "groups").string(), (folder / "mounted").string());
    fs::remove_all(folder);
    if (found == expected) return;
    ++failures;
    std::fprintf(stderr, "%s: expected %d, found %d\n", what, expected, found);
}

void version_2() {
    expect(no_quota, "no groups", "", {});
    expect(no_quota, "no files", "0::/\n", {});
    expect(no_quota, "no quota", "0::/a\n", {{"a/cpu.max", "max 100000\n"}});
    expect(1, "half a CPU is one thread", "0::/a\n", {{"a/cpu.max", "50000 100000\n"}});
    expect(1, "rounded down", "0::/a\n", {{"a/cpu.max", "150000 100000\n"}});
    expect(2, "two CPUs", "0::/a\n", {{"a/cpu.max", "200000 100000\n"}});
    expect(3, "another period", "0::/a\n", {{"a/cpu.max", "150000 50000\n"}});
    expect(2, "the parent has less", "0::/a/b\n",
           {{"a/cpu.max", "200000 100000\n"}, {"a/b/cpu.max", "max 100000\n"}});
    expect(2, "the grandparent has least", "0::/a/b/c\n",
           {{"a/cpu.max", "200000 100000\n"},
            {"a/b/cpu.max", "800000 100000\n"},
            {"a/b/c/cpu.max", "400000 100000\n"}});
    expect(3, "the child has less", "0::/a/b\n",
           {{"a/cpu.max", "800000 100000\n"}, {"a/b/cpu.max", "300000 100000\n"}});
    expect(no_quota, "a sister's quota", "0::/a/b\n", {{"a/c/cpu.max", "100000 100000\n"}});
    expect(2, "a container that sees its own group as the root", "0::/\n", {{"cpu.max", "200000 100000\n"}});
    expect(2, "a container that sees a path it cannot follow", "0::/docker/1234\n",
           {{"cpu.max", "200000 100000\n"}});
    expect(2, "a path outside of the namespace", "0::/../../a\n", {{"cpu.max", "200000 100000\n"}});
    expect(no_quota, "what is no number", "0::/a\n", {{"a/cpu.max", "many 100000\n"}});
    expect(no_quota, "a period of zero", "0::/a\n", {{"a/cpu.max", "100000 0\n"}});
    expect(no_quota, "half a file", "0::/a\n", {{"a/cpu.max", "100000"}});
    expect(no_quota, "lines that are none", "nonsense\n:\n\n", {{"cpu.max", "100000 100000\n"}});
}

void version_1() {
    const std::string groups = "12:cpuset:/other\n4:cpu,cpuacct:/docker/1\n3:memory:/docker/1\n0::/\n";
    const auto quota = [](const std::string& folder, const std::string& text) {
        return std::map<std::string, std::string>{{folder + "/cpu.cfs_quota_us", text + "\n"},
                                                  {folder + "/cpu.cfs_period_us", "100000\n"}};
    };
    expect(no_quota, "-1 is no quota", groups, quota("cpu/docker/1", "-1"));
    expect(1, "half a CPU", groups, quota("cpu/docker/1", "50000"));
    expect(3, "three CPUs", groups, quota("cpu/docker/1", "300000"));
    expect(3, "of the parent", groups, quota("cpu/docker", "300000"));
    expect(3, "of the root, as a container sees it", groups, quota("cpu", "300000"));
    expect(no_quota, "of a group of another controller", groups, quota("cpu/other", "100000"));
    for (const std::string controllers : {"cpu", "cpuacct,cpu", "cpuacct,cpu,x"}) {
        expect(2, controllers.c_str(), "4:" + controllers + ":/a\n", quota("cpu/a", "200000"));
    }
    expect(no_quota, "a controller whose name begins alike", "4:cpuset:/a\n", quota("cpu/a", "200000"));
    auto both = quota("cpu/docker/1", "400000");
    both["cpu.max"] = "200000 100000\n";
    expect(2, "both versions", groups, both);
}

}  // namespace

int main() {
    version_2();
    version_1();
    if (failures == 0) std::puts("cgroup: all passed");
    return failures == 0 ? 0 : 1;
}
