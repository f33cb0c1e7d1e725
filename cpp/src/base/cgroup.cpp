#include "base/cgroup.hpp"

#include <algorithm>
#include <fstream>
#include <limits>

namespace retrograd {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

double read_number(std::istream& in) {
    double value = 0;
    return in >> value ? value : 0;
}

double quota_of(const std::string& folder, bool unified) {
    double quota = 0, period = 0;
    if (unified) {
        std::ifstream file(folder + "/cpu.max");  // "max 100000" or "150000 100000"
        quota = read_number(file);
        period = read_number(file);
    } else {
        std::ifstream quota_file(folder + "/cpu.cfs_quota_us");  // -1: none
        std::ifstream period_file(folder + "/cpu.cfs_period_us");
        quota = read_number(quota_file);
        period = read_number(period_file);
    }
    return quota > 0 && period > 0 ? quota / period : unlimited;
}

}  // namespace

int cgroup_cpus(const std::string& groups, const std::string& mounted) {
    double least = unlimited;
    std::ifstream file(groups);
    std::string line;  // "0::/user.slice" in version 2, "4:cpu,cpuacct:/docker/..." in version 1
    while (std::getline(file, line)) {
        const std::size_t first = line.find(':');
        const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const bool unified = controllers == ",,";
        if (!unified && controllers.find(",cpu,") == std::string::npos) continue;
        const std::string root = unified ? mounted : mounted + "/cpu";
        // Inside a container the path may not be visible; its own group is then the root of what is mounted,
        // which is looked at last.
        std::string path = line.substr(second + 1);
        while (true) {
            least = std::min(least, quota_of(root + path, unified));
            const std::size_t slash = path.rfind('/');
            if (slash == std::string::npos) break;
            path.resize(slash);
        }
    }
    // Rounded down: a thread beyond the quota would be stopped in the middle of a barrier. The small number
    // is for quotas that are not exact in binary.
    return least < 1 << 20 ? std::max(1, static_cast<int>(least + 0.01)) : std::numeric_limits<int>::max();
}

}  // namespace retrograd
