// Parts of libtorch that tch does not bind: the backward pass of a convolution, the fused optimizers, the thread pool
// and the loading of CUDA. Functions that call libtorch catch all exceptions, which must not propagate into Rust, and
// store the message in a thread-local buffer.

#include <array>
#include <exception>
#include <string>
#include <vector>

#include <dlfcn.h>
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

struct Job {
  void (*task)(void*, size_t);
  void* context;
  size_t count;
  size_t threads;
  ThreadNumber number;
};

// Each thread processes one contiguous range of indices, so that a kernel finds the results of the previous one in the
// cache of its core.
void run_range(void* data) {
  const Job& job = *static_cast<Job*>(data);
  const size_t mine = static_cast<size_t>(job.number());
  const size_t begin = job.count * mine / job.threads;
  const size_t end = job.count * (mine + 1) / job.threads;
  for (size_t i = begin; i < end; ++i) job.task(job.context, i);
}

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
  static const auto parallel = reinterpret_cast<GompParallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  static const auto number = reinterpret_cast<ThreadNumber>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
  const size_t threads = std::min(count, static_cast<size_t>(std::max(at::get_num_threads(), 1)));
  if (threads < 2 || parallel == nullptr || number == nullptr) {
    for (size_t i = 0; i < count; ++i) task(context, i);
    return;
  }
  Job job{task, context, count, threads, number};
  parallel(run_range, &job, static_cast<unsigned>(threads), 0);
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
