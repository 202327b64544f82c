// Errors: the first is kept, with kernel, block, thread, file and line; the launch then returns it.
#include <cxxabi.h>
#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <cstdarg>
#include <cstring>
#include <stdexcept>

#include "emulator/state.h"

namespace simt {
namespace {

// addr2line's frames of an address, innermost first: function and file:line.
std::vector<std::pair<std::string, std::string>> frames_of(uint32_t pc) {
    std::vector<std::pair<std::string, std::string>> frames;
    char command[700];
    std::snprintf(command, sizeof command, "addr2line -f -C -i -e '%s' 0x%x 2>/dev/null",
                  state.module_path.c_str(), pc);
    FILE* pipe = popen(command, "r");
    if (pipe == nullptr)
        return frames;
    char function[2000], line[2000];
    const auto trimmed = [](const char* text) {
        std::string s = text;
        s.erase(s.find_last_not_of(" \n") + 1);
        if (const auto extra = s.find(" (disc"); extra != s.npos)
            s.erase(extra);
        return s;
    };
    while (fgets(function, sizeof function, pipe) && fgets(line, sizeof line, pipe))
        frames.emplace_back(trimmed(function), trimmed(line));
    pclose(pipe);
    return frames;
}

std::string file_name(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == path.npos ? path : path.substr(slash + 1);
}

void append(const char* format, va_list arguments) {
    if (state.error[0])
        return;
    const int n = std::snprintf(state.error, sizeof state.error,
                                "%s: ", hot.in_kernel ? place(*state.current).c_str() : "launch");
    std::vsnprintf(state.error + n, sizeof state.error - size_t(n), format, arguments);
}

void on_fault(int number, siginfo_t* info, void* machine_context) {
    if (!hot.in_kernel) {
        signal(number, SIG_DFL);
        return;
    }
    uintptr_t pc = 0;
#if defined(__x86_64__)
    pc = uintptr_t(static_cast<ucontext_t*>(machine_context)->uc_mcontext.gregs[REG_RIP]) + 1;
#elif defined(__aarch64__)
    pc = static_cast<ucontext_t*>(machine_context)->uc_mcontext.pc + 1;
#endif
    const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
    const std::string where = code_token(relative_pc(reinterpret_cast<const void*>(pc)));
    const Buffer* b = nearest_buffer(address);
    if (address - hot.arena < arena_bytes && b != nullptr)
        set_error("global access %ld bytes into a buffer of %zu bytes (guard page), at %s",
                  long(address - b->base), b->bytes, where.c_str());
    else if (address - reinterpret_cast<uintptr_t>(state.current->stack) < page)
        set_error("stack overflow (%zu bytes), at %s", stack_bytes, where.c_str());
    else
        set_error("access to address %p, which is not device memory, at %s",
                  reinterpret_cast<void*>(address), where.c_str());
    state.failed = true;
    leave_fibers();
}

constexpr int watched[] = {SIGSEGV, SIGBUS};
struct sigaction previous_action[2];
stack_t previous_stack;
char signal_stack[65536];

} // namespace

const char* last_error() {
    return state.error;
}

void set_error(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    append(format, arguments);
    va_end(arguments);
}

void fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (!hot.in_kernel) {
        char text[1000];
        std::vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        throw std::runtime_error(text);
    }
    append(format, arguments);
    va_end(arguments);
    // The other fibers never return from their stacks: objects that they hold are not destroyed.
    state.failed = true;
    leave_fibers();
}

void fail_at(const void* pc, const char* format, ...) {
    char text[1500];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fail("%s, at %s", text, code_token(relative_pc(pc)).c_str());
}

std::string place(const Thread& t) {
    char text[120];
    const uint3 b = t.context.block_index, i = t.context.thread_index;
    std::snprintf(text, sizeof text, "block (%u,%u,%u) thread (%u,%u,%u)", b.x, b.y, b.z, i.x, i.y,
                  i.z);
    return text;
}

std::string place(Site site) {
    return file_name(site.file) + ":" + std::to_string(site.line);
}

uint32_t relative_pc(const void* pc) {
    return uint32_t(reinterpret_cast<uintptr_t>(pc) - state.module_base - 1); // of the call itself
}

std::string code_token(uint32_t pc) {
    char text[32];
    std::snprintf(text, sizeof text, "\x01%08x\x02", pc);
    return text;
}

std::string line_of(uint32_t pc) {
    static const std::string here = __FILE__, own_folder = here.substr(0, here.rfind('/') + 1);
    static std::map<uint32_t, std::string> known;
    std::string& text = known[pc];
    if (!text.empty())
        return text;
    const auto frames = frames_of(pc);
    for (const auto& [function, line] : frames) { // the innermost that is not the emulator's
        if (line[0] == '?' || line.compare(0, own_folder.size(), own_folder) == 0 ||
            line.find("/c++/") != line.npos)
            continue;
        if (text.empty()) {
            text = file_name(line);
            if (line.find(".cuh:") == line.npos)
                break;
        } else if (line.find(".cu:") != line.npos) { // a helper's caller tells more
            text += " called from " + file_name(line);
            break;
        }
    }
    if (text.empty()) {
        char address[32];
        std::snprintf(address, sizeof address, "pc+0x%x", pc);
        text = address;
    }
    return text;
}

std::string kernel_name(const void* kernel) {
    static std::map<const void*, std::string> known;
    std::string& name = known[kernel];
    if (!name.empty())
        return name;
    Dl_info info;
    if (dladdr(kernel, &info) && info.dli_sname && info.dli_saddr == kernel) {
        int status;
        char* demangled = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
        name = demangled ? demangled : info.dli_sname;
        std::free(demangled);
    } else {
        const auto frames =
            frames_of(uint32_t(reinterpret_cast<uintptr_t>(kernel) - state.module_base));
        name = frames.empty() || frames.back().first[0] == '?' ? "kernel" : frames.back().first;
    }
    for (const char* noise : {"fastnn::cuda::", "(anonymous namespace)::", "void "})
        for (auto at = name.find(noise); at != name.npos; at = name.find(noise))
            name.erase(at, std::strlen(noise));
    int depth = 0; // no parameter list
    for (size_t i = 0; i < name.size(); i++) {
        depth += name[i] == '<' ? 1 : name[i] == '>' ? -1 : 0;
        if (name[i] == '(' && depth == 0) {
            name.erase(i);
            break;
        }
    }
    return name;
}

// Names the kernel, and puts lines in place of code addresses; on the host's stack, since it starts
// a process.
void expand_error() {
    std::string text = kernel_name(state.kernel).substr(0, 160) + ": " + state.error;
    for (auto at = text.find('\x01'); at != text.npos; at = text.find('\x01', at))
        text.replace(at, 10, line_of(uint32_t(std::stoul(text.substr(at + 1, 8), nullptr, 16))));
    std::snprintf(state.error, sizeof state.error, "%s", text.c_str());
}

FaultGuard::FaultGuard() {
    if (with_asan) // AddressSanitizer reports faults itself
        return;
    stack_t s{};
    s.ss_sp = signal_stack;
    s.ss_size = sizeof signal_stack;
    sigaltstack(&s, &previous_stack);
    struct sigaction action{};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    for (int i = 0; i < 2; i++)
        sigaction(watched[i], &action, &previous_action[i]);
}

FaultGuard::~FaultGuard() {
    if (with_asan)
        return;
    for (int i = 0; i < 2; i++)
        sigaction(watched[i], &previous_action[i], nullptr);
    sigaltstack(&previous_stack, nullptr);
}

} // namespace simt
