// A launch: block after block, each until all its threads have returned.
#include <link.h>
#include <unistd.h>

#include <climits>
#include <mutex>

#include "emulator/state.h"

namespace simt {
namespace {

// The module that holds this code: its address, its file, its thread-local block.
int find_module(dl_phdr_info* info, size_t, void*) {
    const auto here = reinterpret_cast<uintptr_t>(&find_module);
    bool found = false;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto& header = info->dlpi_phdr[i];
        const uintptr_t start = info->dlpi_addr + header.p_vaddr;
        found |= header.p_type == PT_LOAD && here >= start && here < start + header.p_memsz;
    }
    if (!found)
        return 0;
    if (state.module_path.empty()) {
        char program[PATH_MAX] = "";
        state.module_base = info->dlpi_addr;
        if (info->dlpi_name[0])
            state.module_path = info->dlpi_name;
        else if (const ssize_t n = readlink("/proc/self/exe", program, sizeof program); n > 0)
            state.module_path.assign(program, size_t(n));
    }
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS && info->dlpi_tls_data) {
            hot.tls = reinterpret_cast<uintptr_t>(info->dlpi_tls_data);
            hot.tls_bytes = info->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

long option(const char* name, long otherwise) {
    const char* text = std::getenv(name);
    return text && *text ? std::atol(text) : otherwise;
}

void read_options() {
    state.order = option("SIMT_ORDER", 0);
    state.counting = option("SIMT_COUNT", 0) && hooked;
    state.check_uninitialised = option("SIMT_UNINIT", 1);
    state.strict_exit = option("SIMT_STRICT_EXIT", 1);
    state.random = 0x9e3779b97f4a7c15ull * uint64_t(state.order + 1);
}

const char* bad_configuration(dim3 grid, dim3 block, size_t smem) {
    const size_t threads = size_t(block.x) * block.y * block.z;
    if (!threads || threads > max_threads || block.z > 64)
        return "bad block size";
    if (!grid.x || !grid.y || !grid.z || grid.x > INT_MAX || grid.y > 65535 || grid.z > 65535)
        return "bad grid size";
    if (smem > smem_bytes - 1024)
        return "too much dynamic shared memory";
    return nullptr;
}

void prepare_thread(unsigned i, uint3 block_index) {
    Thread& t = state.threads[i];
    const dim3 block = state.block;
    t.context = {{i % block.x, i / block.x % block.y, i / (block.x * block.y)},
                 block_index,
                 block,
                 state.grid,
                 i % 32};
    t.id = i;
    t.warp = i / 32;
    t.lane = i % 32;
    t.status = Status::ready;
    t.epoch = t.copy_group = 0;
    t.proxy_fences = t.barrier_fences = 0;
    t.wgmma_fenced = t.fenced = false;
    t.operation = "start";
    t.site = {"", 0};
    t.copies.clear();
    prepare_fiber(t, fiber_entry);
}

// False where the block failed or something was reported.
bool run_block(uint3 block_index) {
    begin_block();
    begin_block_memory();
    begin_block_mbarriers();
    begin_block_products();
    for (unsigned i = 0; i < state.thread_count; i++)
        prepare_thread(i, block_index);
    hot.in_kernel = true;
    enter_fibers(pick());
    if (!state.failed)
        end_block_mbarriers();
    hot.in_kernel = false;
    flush_counts();
    return !state.failed && !state.reports;
}

cudaError_t run_all(dim3 grid) {
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                if (run_block({x, y, z}))
                    continue;
                for (unsigned i = 0; i < state.thread_count; i++)
                    SIMT_OPEN(state.threads[i].stack + page, stack_bytes - page);
                expand_error();
                return cudaErrorLaunchFailure;
            }
    return cudaSuccess;
}

} // namespace

int run(dim3 grid, dim3 block, size_t smem, const void* kernel, void (*call)(void*),
        void* argument) {
    static std::mutex one_at_a_time;
    const std::lock_guard<std::mutex> lock(one_at_a_time);
    open_arena();
    static thread_local volatile char anchor; // makes this thread's block of the module exist
    anchor = anchor + 1;
    dl_iterate_phdr(find_module, nullptr);
    read_options();
    state.error[0] = 0;
    state.failed = false;
    state.reports = 0;
    state.launches++;
    state.kernel = kernel;
    if (const char* what = bad_configuration(grid, block, smem)) {
        std::snprintf(state.error, sizeof state.error, "%s: launch: %s",
                      kernel_name(kernel).substr(0, 160).c_str(), what);
        return cudaErrorInvalidConfiguration;
    }
    state.call = call;
    state.argument = argument;
    state.grid = grid;
    state.block = block;
    state.thread_count = block.x * block.y * block.z;
    state.warp_count = (state.thread_count + 31) / 32;
    state.launch_clock = state.clock;
    state.published.clear();
    state.dynamic_bytes = smem;
    // At the end of shared memory, in front of a page that faults; aligned as tensor copies want
    // it.
    state.dynamic_offset = (smem_bytes - smem) / 1024 * 1024;
    dynamic_smem = reinterpret_cast<unsigned char*>(hot.arena) + state.dynamic_offset;
    count_launch();
    const FaultGuard guard;
    return run_all(grid);
}

} // namespace simt
