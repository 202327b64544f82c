# The `_cuda` module (nvcc) and its twin `_cuda_emulated` (the host compiler and cuda/emulator), from the same sources:
#   cuda/<family>/*.cu       kernels and their launchers
#   cuda/bindings/*.cpp      the Python side
#   cuda/emulator/*.cpp      the emulator's runtime, in the emulated module only
file(GLOB cuda_kernels CONFIGURE_DEPENDS cuda/*/*.cu)
file(GLOB cuda_bindings CONFIGURE_DEPENDS cuda/bindings/*.cpp)
file(GLOB cuda_emulator CONFIGURE_DEPENDS cuda/emulator/*.cpp)
list(FILTER cuda_kernels EXCLUDE REGEX "/emulator/")
# Most of a binding's compile time is pybind11's headers: several bindings share them.
set_source_files_properties(${cuda_kernels} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
set(share_headers UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
set(cuda_warnings -Wall -Wextra -Wshadow $<$<BOOL:${FASTNN_WERROR}>:-Werror>)

if(FASTNN_CUDA_EMULATOR)
    if(NOT FASTNN_CUDA_EMULATOR MATCHES "^(plain|hooks|asan)$")
        message(FATAL_ERROR "FASTNN_CUDA_EMULATOR wants plain, hooks or asan, got '${FASTNN_CUDA_EMULATOR}'")
    endif()
    # Emulated kernels want speed enough, lines for the reports, and no contraction other than what they write.
    set(emulated_options ${cuda_warnings} -Wno-unknown-pragmas -g1 -fvisibility=hidden)
    set(code_options -O2)
    # A call at a kernel's end keeps the kernel's frame, so that the report of a fault finds its line.
    set(kernel_options -fno-optimize-sibling-calls)
    set(link_options)
    if(FASTNN_CUDA_EMULATOR STREQUAL "hooks")
        # The emulator itself defines the functions that this instrumentation calls; libtsan is not linked.
        list(APPEND kernel_options -fsanitize=thread --param=tsan-instrument-func-entry-exit=0 -Wno-tsan)
    elseif(FASTNN_CUDA_EMULATOR STREQUAL "asan")
        # -O1 compiles in half the time. Of the checks left out vptr wants symbols that are hidden; what the others would
        # find, AddressSanitizer reports at the access.
        list(APPEND kernel_options -fsanitize=address)
        set(code_options -O1 -fsanitize=undefined -fno-sanitize=null,object-size,pointer-overflow,vptr
            -fno-sanitize-recover=undefined)
        set(link_options -fsanitize=address,undefined)
    endif()
    list(APPEND emulated_options ${code_options})
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
        list(APPEND emulated_options -march=x86-64-v3) # half precision conversions in hardware
    endif()

    file(GLOB emulator_tests CONFIGURE_DEPENDS tests/cuda/emulator/*.cu)
    set_source_files_properties(${cuda_kernels} ${emulator_tests} PROPERTIES LANGUAGE CXX)
    # Kernels that take tensor maps pass 64-byte aligned structs, of which GCC says that it once did so otherwise.
    file(GLOB tensor_map_kernels CONFIGURE_DEPENDS cuda/*/*_sm90.cu)
    set_source_files_properties(${tensor_map_kernels} PROPERTIES COMPILE_OPTIONS -Wno-psabi)
    add_library(emulator_runtime OBJECT ${cuda_emulator})
    add_library(emulated_kernels OBJECT ${cuda_kernels})
    add_library(emulator_test_kernels OBJECT ${emulator_tests})
    pybind11_add_module(_cuda_emulated MODULE NO_EXTRAS ${cuda_bindings})
    pybind11_add_module(_cuda_emulator_tests MODULE NO_EXTRAS tests/cuda/emulator/module.cpp)
    set_target_properties(_cuda_emulated PROPERTIES ${share_headers})
    target_link_libraries(_cuda_emulated PRIVATE emulated_kernels)
    target_link_libraries(_cuda_emulator_tests PRIVATE emulator_test_kernels)
    foreach(kernels emulated_kernels emulator_test_kernels)
        target_compile_options(${kernels} PRIVATE -x c++ ${kernel_options})
    endforeach()
    foreach(module _cuda_emulated _cuda_emulator_tests)
        target_link_libraries(${module} PRIVATE emulator_runtime ${CMAKE_DL_LIBS})
        target_link_options(${module} PRIVATE ${link_options})
    endforeach()
    foreach(target emulator_runtime emulated_kernels emulator_test_kernels _cuda_emulated _cuda_emulator_tests)
        set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
        target_compile_features(${target} PRIVATE cxx_std_20)
        target_compile_options(${target} PRIVATE ${emulated_options})
        target_include_directories(${target} PRIVATE cuda)
        target_compile_definitions(${target} PRIVATE FASTNN_CUDA_EMULATED
            FASTNN_CUDA_EMULATED_MODE="${FASTNN_CUDA_EMULATOR}"
            $<$<STREQUAL:${FASTNN_CUDA_EMULATOR},asan>:SIMT_ASAN=1>)
    endforeach()
    set_target_properties(_cuda_emulated PROPERTIES
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/python/fastnn)
    set_target_properties(_cuda_emulator_tests PROPERTIES
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/tests/cuda/emulator)
endif()

if(NOT FASTNN_CUDA_MISSING)
    pybind11_add_module(_cuda MODULE NO_EXTRAS ${cuda_bindings} ${cuda_kernels})
    target_compile_features(_cuda PRIVATE cxx_std_20)
    target_include_directories(_cuda PRIVATE cuda)
    target_include_directories(_cuda SYSTEM PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
    target_compile_options(_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${cuda_warnings}>"
        # (CMake 3.25 does not know the dialects of nvcc 13.)
        $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>
        $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${FASTNN_WERROR}>>:-Werror=all-warnings>)
    target_link_directories(_cuda PRIVATE ${FASTNN_CUDA_LIBRARIES})
    set_target_properties(_cuda PROPERTIES ${share_headers} CUDA_ARCHITECTURES "${FASTNN_CUDA_ARCHITECTURES}"
        CUDA_RUNTIME_LIBRARY Static BUILD_WITH_INSTALL_RPATH ON)
    if("${FASTNN_CUDA_ARCHITECTURES}" MATCHES "90a")
        target_compile_definitions(_cuda PRIVATE FASTNN_CUDA_SM90A)
    endif()
    install(TARGETS _cuda LIBRARY DESTINATION fastnn)
    if(FASTNN_INPLACE)
        set_target_properties(_cuda PROPERTIES
            LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/python/fastnn)
    endif()
endif()
