#include "cpu/thread_pool.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace splat {
namespace {

struct Job {
    void (*task)(void*, int64_t, int);
    void* context;
    int64_t tasks;
    std::atomic<int64_t> next{0};

    void work(int worker) {
        for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) task(context, i, worker);
    }
};

class ThreadPool {
  public:
    ~ThreadPool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        for (std::thread& thread : threads_) thread.join();
    }

    void run(int threads, Job& job) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            while (static_cast<int>(threads_.size()) < threads - 1) {
                const int worker = static_cast<int>(threads_.size()) + 1;
                threads_.emplace_back([this, worker] { serve(worker); });
            }
            job_ = &job, wanted_ = threads - 1, running_ = threads - 1, ++generation_;
        }
        wake_.notify_all();
        job.work(0);
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [this] { return running_ == 0; });
        job_ = nullptr;
    }

    std::mutex busy;  // one job at a time

  private:
    void serve(int worker) {
        uint64_t seen = 0;
        for (;;) {
            Job* job;
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
                if (stop_) return;
                seen = generation_;
                if (worker > wanted_) continue;
                job = job_;
            }
            job->work(worker);
            std::lock_guard<std::mutex> lock(mutex_);
            if (--running_ == 0) done_.notify_one();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::vector<std::thread> threads_;
    Job* job_ = nullptr;
    int wanted_ = 0, running_ = 0;
    uint64_t generation_ = 0;
    bool stop_ = false;
};

// A forked child inherits the pool's memory but none of its threads: it gets a pool of its own, and the parent's is
// deliberately never destroyed there.
ThreadPool& pool() {
    static ThreadPool* current = nullptr;
    static pid_t owner = 0;
    static std::mutex guard;
    std::lock_guard<std::mutex> lock(guard);
    if (owner != getpid()) current = new ThreadPool, owner = getpid();
    return *current;
}

}  // namespace

void run_tasks(int threads, int64_t tasks, void (*task)(void*, int64_t, int), void* context) {
    Job job{task, context, tasks};
    threads = static_cast<int>(std::min<int64_t>(threads, tasks));
    if (threads > 1) {
        ThreadPool& shared = pool();
        // Another Python thread is rendering: work alone rather than wait.
        std::unique_lock<std::mutex> lock(shared.busy, std::try_to_lock);
        if (lock.owns_lock()) {
            shared.run(threads, job);
            return;
        }
    }
    job.work(0);
}

}  // namespace splat
