# The `_cpu` module. Every folder of csrc/ is a family of kernels, found by its file names:
#   csrc/<family>/*_kernels.cpp   compiled once per ISA level, with FASTNN_ISA=<level> as its namespace
#   csrc/<family>/narrow_kernels.cpp  for the levels of FASTNN_NARROW_LEVELS too
#   csrc/<family>/*.cpp           (the others) compiled once, for any machine
#   csrc/bindings/*.cpp           the Python side
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    set(FASTNN_ISA_LEVELS sse avx2 avx512)
    set(isa_flags_sse -march=x86-64-v2)
    set(isa_flags_avx2 -march=x86-64-v3)
    set(isa_flags_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
    # Levels that add instructions for products of narrow types.
    set(FASTNN_NARROW_LEVELS avx512_vnni avx512_bf16 amx)
    set(isa_flags_avx512_vnni ${isa_flags_avx512} -mavx512vnni)
    set(isa_flags_avx512_bf16 ${isa_flags_avx512_vnni} -mavx512bf16)
    set(isa_flags_amx ${isa_flags_avx512_bf16} -mamx-tile -mamx-int8 -mamx-bf16)
    if(FASTNN_EMULATED_ISA)
        # The same sources with vectors of two AVX2 registers and stand-ins for the other instructions.
        set(isa_flags_avx512 -march=x86-64-v3 -DFASTNN_EMULATED_ISA)
        set(isa_flags_avx512_vnni ${isa_flags_avx512} -DFASTNN_EMULATED_VNNI)
        set(isa_flags_avx512_bf16 ${isa_flags_avx512_vnni} -DFASTNN_EMULATED_BF16)
        set(isa_flags_amx ${isa_flags_avx512_bf16} -DFASTNN_EMULATED_AMX)
    endif()
else()
    set(FASTNN_ISA_LEVELS baseline)
    set(FASTNN_NARROW_LEVELS)
    # GCC's scheduling before registers are given out (off on x86) fetches all of a tile's operands first: accumulators
    # of the micro-kernels were then spilled on AArch64.
    set(isa_flags_baseline $<$<CXX_COMPILER_ID:GNU>:-fno-schedule-insns>)
endif()

set(FASTNN_ALL_LEVELS ${FASTNN_ISA_LEVELS} ${FASTNN_NARROW_LEVELS})

add_library(fastnn_options INTERFACE)
target_compile_features(fastnn_options INTERFACE cxx_std_20)
target_include_directories(fastnn_options INTERFACE csrc)
# Vector types are passed between inlined functions only, so the ABI note (-Wpsabi) does not matter.
target_compile_options(fastnn_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
    -Wno-psabi -Wno-sign-conversion -fvisibility=hidden $<$<BOOL:${FASTNN_WERROR}>:-Werror>)
foreach(sanitizer IN LISTS FASTNN_SANITIZE)
    target_compile_options(fastnn_options INTERFACE -fsanitize=${sanitizer} -fno-sanitize-recover=all
        -fno-omit-frame-pointer)
    target_link_options(fastnn_options INTERFACE -fsanitize=${sanitizer})
endforeach()

file(GLOB sources CONFIGURE_DEPENDS csrc/*/*.cpp)
set(kernel_sources ${sources})
list(FILTER kernel_sources INCLUDE REGEX "_kernels\\.cpp$")
list(FILTER sources EXCLUDE REGEX "_kernels\\.cpp$")

set(narrow_sources ${kernel_sources})
list(FILTER narrow_sources INCLUDE REGEX "/narrow_kernels\\.cpp$")

pybind11_add_module(_cpu MODULE NO_EXTRAS ${sources})
if(FASTNN_EMULATED_ISA)
    target_compile_definitions(_cpu PRIVATE FASTNN_EMULATED_ISA)
endif()
target_link_libraries(_cpu PRIVATE fastnn_options)
find_package(Threads REQUIRED)
target_link_libraries(_cpu PRIVATE Threads::Threads)
foreach(isa IN LISTS FASTNN_ALL_LEVELS)
    if(isa IN_LIST FASTNN_NARROW_LEVELS)
        add_library(kernels_${isa} OBJECT ${narrow_sources})
    else()
        add_library(kernels_${isa} OBJECT ${kernel_sources})
    endif()
    set_target_properties(kernels_${isa} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    # Kernels round a*b+c once where the machine can, and do not touch errno or floating-point traps.
    target_compile_options(kernels_${isa} PRIVATE ${isa_flags_${isa}} -ffp-contract=fast
        -fno-math-errno -fno-trapping-math)
    target_compile_definitions(kernels_${isa} PRIVATE FASTNN_ISA=${isa})
    target_link_libraries(kernels_${isa} PRIVATE fastnn_options)
    target_link_libraries(_cpu PRIVATE kernels_${isa})
endforeach()

# An inline function that the linker may share between objects must not come from an object compiled for a newer
# CPU: `cmake --build build --target check_symbols` fails if a kernel object holds one.
set(kernel_objects)
foreach(isa IN LISTS FASTNN_ALL_LEVELS)
    list(APPEND kernel_objects $<TARGET_OBJECTS:kernels_${isa}>)
endforeach()
add_custom_target(check_symbols VERBATIM COMMAND_EXPAND_LISTS
    COMMAND ${Python_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/cmake/check_symbols.py
            --nm ${CMAKE_NM} --levels ${FASTNN_ALL_LEVELS} --objects ${kernel_objects}
    DEPENDS ${kernel_objects})

install(TARGETS _cpu LIBRARY DESTINATION fastnn)
if(FASTNN_INPLACE)
    set_target_properties(_cpu PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/python/fastnn)
endif()
