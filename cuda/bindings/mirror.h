// Where a kernel finds an array: on a GPU where it lies; in the emulated build in a copy of it.
#pragma once

namespace fastnn::cuda::bindings {

class Array;
enum class Access;

// The device address of array.data. `*mirror` is to be closed when the call is over.
void* open_mirror(const Array& array, Access access, void** mirror);
void close_mirror(void* mirror);

} // namespace fastnn::cuda::bindings
