// Parts of libtorch that tch does not bind: the backward pass of a convolution, the fused optimizers, the thread pool
// and the loading of CUDA; and what must happen before libtorch is initialized. Functions that call libtorch catch all
// exceptions, which must not propagate into Rust, and store the message in a thread-local buffer.

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/convolution_backward.h>

namespace {

thread_local std::string message;

template <typename Body>
int guarded(Body body) noexcept {
  try {
    body();
    return 0;
  } catch (const std::exception& error) {
    message = error.what();
  } catch (...) {
    message = "unknown C++ exception";
  }
  return 1;
}

std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> out;
  out.reserve(count);
  for (size_t i = 0; i < count; ++i) out.push_back(*tensors[i]);
  return out;
}

// Entry points of libgomp. They are looked up at run time, because each libtorch build includes its OpenMP library
// under a different name, and linking a second one would create a second set of threads that competes for the cores.
using GompParallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
using ThreadNumber = int (*)();
using SetThreads = void (*)(int);

template <typename Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

// The range of indices of one thread. `next` is the first index that no thread has taken.
struct alignas(64) Range {
  std::atomic<size_t> next{0};
  size_t end = 0;
};

struct Job {
  void (*task)(void*, size_t);
  void* context;
  std::vector<Range> ranges;
  ThreadNumber number;
};

// Each thread processes one contiguous range of indices, so that a kernel finds the results of the previous one in the
// cache of its core. A thread that has finished its range helps with those of the others: beside other processes, a
// core may be slow or a thread may not have started at all.
void run_ranges(void* data) {
  Job& job = *static_cast<Job*>(data);
  const size_t threads = job.ranges.size(), mine = static_cast<size_t>(job.number());
  for (size_t k = 0; k < threads; ++k) {
    Range& range = job.ranges[(mine + k) % threads];
    for (size_t i; (i = range.next.fetch_add(1, std::memory_order_relaxed)) < range.end;) job.task(job.context, i);
  }
}

#ifdef __linux__

// The address space below which the initializers of libtorch fail with a C++ exception that nobody can catch.
constexpr rlim_t ADDRESS_SPACE = 512UL << 20;

// Runs before the initializers of the libraries. Those of libtorch take a tenth of a second, in which a signal would
// end a process with its default action. A scheduler may send SIGUSR1 or SIGUSR2 to ask for a checkpoint at any time,
// so until the trainer handles them, they have no effect.
void early(int count, char** words, char**) {
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(words[i], "train") == 0) {
      signal(SIGUSR1, SIG_IGN);
      signal(SIGUSR2, SIG_IGN);
    }
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur < ADDRESS_SPACE) {
    static const char text[] =
        "error: the limit of the address space (ulimit -v) is below 512 MiB, too little to load libtorch; "
        "raise it, for example with `ulimit -v unlimited`\n";
    if (write(2, text, sizeof text - 1) < 0) _exit(2);
    _exit(1);
  }
}

__attribute__((section(".preinit_array"), used)) void (*preinit)(int, char**, char**) = early;

#endif

}  // namespace

extern "C" {

const char* epochtop_error() { return message.c_str(); }

int epochtop_convolution_backward(const at::Tensor* gradient, const at::Tensor* input, const at::Tensor* weight,
                                  int64_t padding, bool wants_input, bool wants_weight, at::Tensor** input_gradient,
                                  at::Tensor** weight_gradient) {
  return guarded([&] {
    const std::array<int64_t, 2> one{1, 1}, none{0, 0}, pad{padding, padding};
    auto [x, w, bias] = at::convolution_backward(*gradient, *input, *weight, at::OptionalIntArrayRef(), one, pad, one,
                                                 false, none, 1, {wants_input, wants_weight, false});
    *input_gradient = wants_input ? new at::Tensor(std::move(x)) : nullptr;
    *weight_gradient = wants_weight ? new at::Tensor(std::move(w)) : nullptr;
  });
}

int epochtop_fused_adam(bool decoupled, size_t count, at::Tensor* const* parameters, at::Tensor* const* gradients,
                        at::Tensor* const* means, at::Tensor* const* squares, const at::Tensor* steps, double lr,
                        double beta1, double beta2, double weight_decay, double eps, const at::Tensor* scale,
                        const at::Tensor* skip) {
  return guarded([&] {
    auto p = list(parameters, count), g = list(gradients, count), m = list(means, count), v = list(squares, count);
    const std::vector<at::Tensor> s(count, *steps), maxima;
    (decoupled ? at::_ops::_fused_adamw_::call : at::_ops::_fused_adam_::call)(
        p, g, m, v, maxima, s, lr, beta1, beta2, weight_decay, eps, false, false, *scale, *skip);
  });
}

int epochtop_fused_sgd(size_t count, at::Tensor* const* parameters, at::Tensor* const* gradients,
                       at::Tensor* const* velocities, double lr, double momentum, double weight_decay, bool nesterov,
                       const at::Tensor* scale, const at::Tensor* skip) {
  return guarded([&] {
    // Without momentum the kernel expects an empty list of velocities.
    auto p = list(parameters, count), g = list(gradients, count), b = list(velocities, momentum == 0.0 ? 0 : count);
    at::_ops::_fused_sgd_::call(p, g, b, weight_decay, momentum, lr, 0.0, nesterov, false, false, *scale, *skip);
  });
}

void epochtop_parallel(size_t count, void (*task)(void*, size_t), void* context) {
  static const auto parallel = find<GompParallel>("GOMP_parallel");
  static const auto number = find<ThreadNumber>("omp_get_thread_num");
  const size_t threads = std::min(count, static_cast<size_t>(std::max(at::get_num_threads(), 1)));
  if (threads < 2 || parallel == nullptr || number == nullptr) {
    for (size_t i = 0; i < count; ++i) task(context, i);
    return;
  }
  Job job{task, context, std::vector<Range>(threads), number};
  for (size_t t = 0; t < threads; ++t) {
    job.ranges[t].next = count * t / threads;
    job.ranges[t].end = count * (t + 1) / threads;
  }
  parallel(run_ranges, &job, static_cast<unsigned>(threads), 0);
}

// Calls `handler` when any code ends the process with exit(3), as libraries do that cannot continue.
void epochtop_at_exit(void (*handler)()) { std::atexit(handler); }

// Makes the calling thread the first of a team of `threads` threads, which exists until the calling thread ends.
void epochtop_make_team(unsigned threads) {
  static const auto parallel = find<GompParallel>("GOMP_parallel");
  if (parallel != nullptr) parallel([](void*) {}, nullptr, threads, 0);
}

// Makes libtorch compute on the calling thread alone when called from it. Other threads are not affected.
void epochtop_compute_alone() {
  static const auto set = find<SetThreads>("omp_set_num_threads");
  at::get_num_threads();  // the first call of a thread sets its number of threads
  if (set != nullptr) set(1);
}

// Every step allocates and frees the same large blocks. By default glibc returns them to the kernel and requests them
// again, which zeroes every page. With these settings, blocks up to 32 MiB (glibc's limit) are allocated on the heap,
// which is trimmed only if more than 1 GiB is free.
void epochtop_keep_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
  mallopt(M_ARENA_MAX, 1);
#endif
}

// Returns 1 if libtorch's CUDA library was loaded, 0 if there is none, -1 if it cannot be loaded (see epochtop_error).
int epochtop_load_cuda() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&at::get_num_threads), &info) == 0 || info.dli_fname == nullptr) return 0;
  std::string path(info.dli_fname);
  path = path.substr(0, path.find_last_of('/') + 1) + "libtorch_cuda.so";
  // Check that the file exists by opening it: a broken symbolic link counts as no CUDA library.
  if (FILE* file = std::fopen(path.c_str(), "rb")) {
    std::fclose(file);
  } else {
    return 0;
  }
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr) return 1;
  const char* why = dlerror();
  message = why == nullptr ? path : why;
  return -1;
}

}  // extern "C"
