// Greedy decoding by llama.cpp without HTTP: its model in memory, one request a line.
//
//   llama_greedy FILE.gguf THREADS CONTEXT_TOKENS auto|on|off POLL
//
// (flash attention; how long its threads look for work before they sleep, 0 to 100) prints llama.cpp's system_info,
// then answers each line of stdin:
//   write NEW_TOKENS ID...   ->  MICROSECONDS ID...   the ids that it wrote, nothing stops it
//   logits FILE ID...        ->  OK                   the logits after each of the ids into FILE, float32; one token a step
//   read BYTES               ->  MICROSECONDS         of the fastest of its readings of an array of so many bytes

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "ggml-cpu.h"
#include "llama.h"

using Clock = std::chrono::steady_clock;

static double microseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

static void fail(const char * what) {
    std::fprintf(stderr, "%s failed\n", what);
    std::exit(1);
}

// In two passes that the compiler can make of whole vectors: faster than llama.cpp's own greedy sampler.
static llama_token most_probable(const float * logits, int count) {
    float largest = logits[0];
    for (int i = 1; i < count; i++) largest = largest < logits[i] ? logits[i] : largest;
    return (llama_token) (std::find(logits, logits + count, largest) - logits);
}

static void write_greedily(llama_context * context, int vocabulary, std::istringstream & order) {
    int new_tokens;
    order >> new_tokens;
    std::vector<llama_token> prompt, written;
    for (llama_token id; order >> id;) prompt.push_back(id);
    llama_memory_clear(llama_get_memory(context), true);
    const auto start = Clock::now();
    llama_batch batch = llama_batch_get_one(prompt.data(), (int32_t) prompt.size());
    llama_token id = 0;
    while (true) {
        if (llama_decode(context, batch) != 0) fail("llama_decode");
        id = most_probable(llama_get_logits_ith(context, -1), vocabulary);
        written.push_back(id);
        if ((int) written.size() == new_tokens) break;
        batch = llama_batch_get_one(&id, 1);
    }
    std::printf("%.1f", microseconds_since(start));
    for (llama_token each : written) std::printf(" %d", each);
    std::printf("\n");
}

static void write_logits(llama_context * context, int vocabulary, std::istringstream & order) {
    std::string file;
    order >> file;
    std::FILE * out = std::fopen(file.c_str(), "wb");
    llama_memory_clear(llama_get_memory(context), true);
    for (llama_token id; order >> id;) {
        if (out == nullptr || llama_decode(context, llama_batch_get_one(&id, 1)) != 0) fail("llama_decode");
        std::fwrite(llama_get_logits_ith(context, -1), sizeof(float), (size_t) vocabulary, out);
    }
    std::fclose(out);
    std::printf("OK\n");
}

// Of 64 sums, so that no addition waits for the one before it.
static uint64_t sum_of(const uint64_t * numbers, size_t count) {
    uint64_t sums[64] = {};
    for (size_t i = 0; i + 64 <= count; i += 64) {
        for (int lane = 0; lane < 64; lane++) sums[lane] += numbers[i + lane];
    }
    uint64_t total = 0;
    for (uint64_t each : sums) total += each;
    return total;
}

static void read_array(size_t threads, std::istringstream & order) {
    size_t bytes;
    order >> bytes;
    const size_t share = bytes / sizeof(uint64_t) / threads;
    std::vector<uint64_t> numbers(share * threads, 1), totals(threads);
    const int passes = (int) std::max<size_t>(1, (size_t{1} << 24) / bytes);
    double fastest = 1e18;
    for (int repeat = 0; repeat < 12; repeat++) {
        auto read = [&](size_t thread) {
            for (int pass = 0; pass < passes; pass++) {
                totals[thread] += sum_of(numbers.data() + thread * share, share);
                __asm__ volatile("" ::: "memory");
            }
        };
        const auto start = Clock::now();
        std::vector<std::thread> others;
        for (size_t thread = 1; thread < threads; thread++) others.emplace_back(read, thread);
        read(0);
        for (auto & each : others) each.join();
        fastest = std::min(fastest, microseconds_since(start) / passes);
    }
    std::printf("%.3f\n", fastest + (totals[0] == 0));
}

static llama_context * open(const char * file, int threads, int tokens, const char * flash, int poll) {
    llama_model_params of_model = llama_model_default_params();
    of_model.n_gpu_layers = 0;
    llama_model * model = llama_model_load_from_file(file, of_model);
    if (model == nullptr) fail("loading the file");
    llama_context_params of_context = llama_context_default_params();
    of_context.n_ctx = of_context.n_batch = (uint32_t) tokens;
    of_context.n_threads = of_context.n_threads_batch = threads;
    of_context.flash_attn_type = !std::strcmp(flash, "on")    ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                                 : !std::strcmp(flash, "off") ? LLAMA_FLASH_ATTN_TYPE_DISABLED
                                                              : LLAMA_FLASH_ATTN_TYPE_AUTO;
    llama_context * context = llama_init_from_model(model, of_context);
    if (context == nullptr) fail("making a context");
    ggml_threadpool_params of_pool = ggml_threadpool_params_default(threads);
    of_pool.poll = (uint32_t) poll;
    ggml_threadpool * pool = ggml_threadpool_new(&of_pool);
    llama_attach_threadpool(context, pool, pool);
    return context;
}

int main(int argc, char ** argv) {
    if (argc != 6) {
        std::fprintf(stderr, "usage: llama_greedy FILE.gguf THREADS CONTEXT_TOKENS auto|on|off POLL\n");
        return 2;
    }
    llama_log_set([](ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
    }, nullptr);
    llama_backend_init();
    const int threads = std::atoi(argv[2]);
    llama_context * context = open(argv[1], threads, std::atoi(argv[3]), argv[4], std::atoi(argv[5]));
    const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
    std::printf("%s\n", llama_print_system_info());
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream order(line);
        std::string what;
        order >> what;
        if (what == "write") write_greedily(context, vocabulary, order);
        else if (what == "logits") write_logits(context, vocabulary, order);
        else read_array((size_t) threads, order);
        std::fflush(stdout);
    }
}
