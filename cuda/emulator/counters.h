// The counters as the bindings read them.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace simt {

struct Count {
    long requests = 0; // of warps
    long cost = 0;     // sectors of global memory, or turns of shared memory
    long ideal = 0;    // the least cost that these bytes can have
    long bytes = 0;
};
struct LineCount {
    std::string kernel, line, access;
    Count count;
};
struct KernelCount {
    long launches = 0, blocks = 0, barriers = 0, global_bytes = 0;
    long threads = 0, shared_bytes = 0; // the most of a block; dynamic shared memory
};

std::vector<LineCount> line_counts();
std::map<std::string, KernelCount> kernel_counts();
void reset_counts();
long launch_count();

} // namespace simt
