// Kernels that are wrong on purpose. The comment `BUG name` marks the line that the report must
// name.
#include "kernels.h"

namespace {

__device__ float (&floats())[64] {
    return simt::smem_static<float[64]>();
}

KERNEL(divergent_barrier) {
    if (threadIdx.x % 2) {
        as<int>(out)[threadIdx.x] = 1;
        __syncthreads(); // BUG divergent_barrier
    } else {
        __syncthreads();
    }
}
KERNEL(exit_before_barrier) {
    if (threadIdx.x == 40)
        return;
    __syncthreads(); // BUG exit_before_barrier
    as<int>(out)[threadIdx.x] = 1;
}
KERNEL(mask_of_exited_lane) {
    if (threadIdx.x == 3)
        return;
    __nanosleep(1);
    as<int>(out)[threadIdx.x] = int(__ballot_sync(~0u, 1)); // BUG mask_of_exited_lane
}
KERNEL(lane_not_in_mask) {
    as<int>(out)[threadIdx.x] = __shfl_sync(0xffu, 1, 0); // BUG lane_not_in_mask
}
KERNEL(deadlock) {
    if (threadIdx.x < 16)
        as<int>(out)[threadIdx.x] = int(__ballot_sync(~0u, 1)); // BUG deadlock
    else
        __syncthreads();
}
KERNEL(divergent_collectives) {
    if (threadIdx.x < 16)
        as<int>(out)[threadIdx.x] = int(__ballot_sync(~0u, 1)); // BUG divergent_collectives
    else
        as<int>(out)[threadIdx.x] = __any_sync(~0u, 1);
}
KERNEL(barrier_counts) {
    ptx::bar_sync(1, threadIdx.x < 32 ? 64 : 96); // BUG barrier_counts
}
KERNEL(missing_barrier) {
    floats()[threadIdx.x] = 1.f;
    as<float>(out)[threadIdx.x] = floats()[63 - threadIdx.x]; // BUG missing_barrier
}
KERNEL(missing_barrier_raw) {
    __shared__ float s[64];
    s[threadIdx.x] = 1.f;
    as<float>(out)[threadIdx.x] = s[63 - threadIdx.x]; // BUG missing_barrier_raw
}
KERNEL(missing_barrier_before_write) {
    for (int i = 0; i < 3; i++) {
        floats()[threadIdx.x] = float(i); // BUG missing_barrier_before_write
        __syncthreads();
        as<float>(out)[threadIdx.x] = floats()[63 - threadIdx.x];
    }
}
KERNEL(missing_syncwarp) {
    floats()[threadIdx.x] = 1.f;
    as<float>(out)[threadIdx.x] = floats()[threadIdx.x ^ 1]; // BUG missing_syncwarp
}
KERNEL(shared_write_race) {
    floats()[threadIdx.x / 2] = float(threadIdx.x); // BUG shared_write_race
}
KERNEL(byte_race) {
    simt::smem_static<unsigned char[64]>()[threadIdx.x / 2] = 1; // BUG byte_race
}
KERNEL(uninitialised_shared) {
    if (threadIdx.x < 63)
        floats()[threadIdx.x] = 1.f;
    __syncthreads();
    as<float>(out)[threadIdx.x] = floats()[threadIdx.x]; // BUG uninitialised_shared
}
KERNEL(shared_overrun) {
    floats()[threadIdx.x + 1] = 1.f; // BUG shared_overrun
}
KERNEL(dynamic_shared_overrun) {
    float* s = simt::smem<float[64]>();
    s[threadIdx.x + 1] = 1.f; // BUG dynamic_shared_overrun
}
KERNEL(blocks_race) {
    as<int>(out)[threadIdx.x] += int(blockIdx.x); // BUG blocks_race
}
KERNEL(unfenced_publication) { // like last_block of semantics.cu, with no __threadfence()
    as<int>(out)[2 + blockIdx.x] = 1;
    if (atomicAdd(as<unsigned>(out), 1u) + 1 < gridDim.x)
        return;
    as<int>(out)[1] = as<int>(out)[2]; // BUG unfenced_publication
}
KERNEL(atomic_and_plain) {
    if (threadIdx.x == 0)
        as<int>(out)[0] = 1;
    else
        atomicAdd(as<int>(out), 1); // BUG atomic_and_plain
}
KERNEL(global_overrun) {
    as<float>(out)[threadIdx.x + 1] = 1.f; // BUG global_overrun
}
KERNEL(global_underrun) {
    as<float>(out)[int(threadIdx.x) - 1] = 1.f; // BUG global_underrun
}
KERNEL(guard_page) {
    as<float>(out)[threadIdx.x + unsigned(n)] = 1.f; // BUG guard_page
}
KERNEL(use_after_free) {
    as<float>(out)[threadIdx.x] = as<float>(in)[threadIdx.x]; // BUG use_after_free
}
KERNEL(host_pointer) {
    as<float>(out)[0] = *reinterpret_cast<const float*>(uintptr_t(n)); // BUG host_pointer
}
KERNEL(misaligned_load) {
    const auto* p = reinterpret_cast<const float4*>(as<float>(in) + 1);
    as<float>(out)[0] = simt::load(p).x; // BUG misaligned_load
}
KERNEL(misaligned_copy) {
    ptx::cp_async<16>(&floats()[0], as<float>(in) + 1); // BUG misaligned_copy
    ptx::cp_async_commit();
    ptx::cp_async_wait<0>();
}
KERNEL(misaligned_matrix_row) {
    auto& s = simt::smem_static<uint16_t[8 * 9 + 8]>();
    for (int i = int(threadIdx.x); i < 80; i += 32)
        s[i] = 0;
    __syncwarp();
    uint32_t r[1];
    ptx::ldmatrix_x1(r, &s[threadIdx.x % 8 * 9]); // BUG misaligned_matrix_row
    as<uint32_t>(out)[threadIdx.x] = r[0];
}
KERNEL(copy_not_waited) {
    ptx::cp_async<4>(&floats()[threadIdx.x], as<float>(in) + threadIdx.x);
    ptx::cp_async_commit();
    as<float>(out)[threadIdx.x] = floats()[threadIdx.x]; // BUG copy_not_waited
}
KERNEL(copy_without_barrier) {
    ptx::cp_async<4>(&floats()[threadIdx.x], as<float>(in) + threadIdx.x);
    ptx::cp_async_commit();
    ptx::cp_async_wait<0>();
    as<float>(out)[threadIdx.x] = floats()[threadIdx.x ^ 32]; // BUG copy_without_barrier
}
KERNEL(copy_over_reads) {
    floats()[threadIdx.x] = 1.f;
    __syncthreads();
    as<float>(out)[threadIdx.x] = floats()[threadIdx.x ^ 32];
    ptx::cp_async<4>(&floats()[threadIdx.x], as<float>(in) + threadIdx.x); // BUG copy_over_reads
    ptx::cp_async_commit();
    ptx::cp_async_wait<0>();
}
KERNEL(copy_out_of_bounds) {
    ptx::cp_async<16>(&floats()[0], as<float>(in) + 1024); // BUG copy_out_of_bounds
    ptx::cp_async_commit();
    ptx::cp_async_wait<0>();
}
KERNEL(misaligned_member) { // not by simt::load, which would check it in every build
    as<float>(out)[0] =
        reinterpret_cast<const float4*>(as<float>(in) + 1)->x; // BUG misaligned_member
}
KERNEL(local_overrun) {
    float local[8];
    for (int i = 0; i < 8; i++)
        local[i] = as<float>(in)[i];
    as<float>(out)[0] = local[n]; // BUG local_overrun
}
KERNEL(shift_too_far) {
    as<int>(out)[0] = 1 << n; // BUG shift_too_far
}
__device__ float fill_stack(int depth) {
    volatile float local[256];
    local[depth % 256] = float(depth);
    return depth > 1000 ? local[0] : fill_stack(depth + 1) + local[depth % 256];
}
KERNEL(stack_overflow) {
    as<float>(out)[0] = fill_stack(n);
}
KERNEL(trap) {
    if (threadIdx.x == 5)
        __trap();
}
KERNEL(raced_by_hidden_order) { // the values are right in order 0; still a race
    if (threadIdx.x == 0)
        floats()[0] = 1.f;
    __syncwarp();
    if (threadIdx.x == 32)
        as<float>(out)[0] = floats()[0]; // BUG raced_by_hidden_order
}

} // namespace
