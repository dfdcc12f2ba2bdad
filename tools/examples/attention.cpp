// SPDX-License-Identifier: MIT
// dmattn from C++20: causal attention of random tensors on the best device, by the host runtime, compared with the
// formula on the CPU. Handles are owned by std::unique_ptr, and a status that is not a success becomes an exception.
#include <dmattn/runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr uint32_t tokens = 100, heads = 4, kv_heads = 2, dim = 32;

// The sentence that explains the last failure. The runtime calls this on the thread that called dmattn.
std::string sentence;

void keep_sentence(void *, dmattn_severity severity, const char *text)
{
    if (severity == DMATTN_SEVERITY_ERROR)
        sentence = text;
}

void check(dmattn_status status)
{
    if (status != DMATTN_SUCCESS)
        throw std::runtime_error(sentence.empty() ? dmattn_status_string(status) : sentence);
}

template <auto destroy> struct destroyer {
    template <typename T> void operator()(T *object) const { destroy(object); }
};
using runtime_ptr = std::unique_ptr<dmattn_runtime, destroyer<dmattn_runtime_destroy>>;
using device_ptr = std::unique_ptr<dmattn_device, destroyer<dmattn_device_destroy>>;
using plan_ptr = std::unique_ptr<dmattn_plan, destroyer<dmattn_plan_destroy>>;

runtime_ptr open_runtime()
{
    dmattn_runtime *runtime = nullptr;
    dmattn_runtime_desc desc{};
    desc.message = keep_sentence;
    check(dmattn_runtime_create(&desc, &runtime));
    return runtime_ptr(runtime);
}

device_ptr open_best_device(dmattn_runtime *runtime)
{
    uint32_t best = 0;
    dmattn_device *device = nullptr;
    check(dmattn_runtime_find_device(runtime, nullptr, &best));
    check(dmattn_device_create(runtime, best, &device));
    return device_ptr(device);
}

// Members that stay zero have their defaults: here, the type (f32), the scale, and contiguous strides.
dmattn_attention_desc describe()
{
    dmattn_attention_desc desc{};
    desc.batch = 1;
    desc.queries = desc.keys = tokens;
    desc.heads = heads;
    desc.kv_heads = kv_heads;
    desc.head_dim = dim;
    desc.causal = true;
    return desc;
}

// A buffer of the device; the device destroys it.
dmattn_buffer upload(dmattn_device *device, const std::vector<float> &values)
{
    dmattn_buffer buffer{};
    check(dmattn_buffer_create(device, values.size() * sizeof(float), &buffer));
    check(dmattn_upload(device, &buffer, 0, values.data(), values.size() * sizeof(float)));
    return buffer;
}

std::vector<float> random_tensor(std::mt19937 &random, uint32_t of_heads)
{
    std::normal_distribution<float> normal;
    std::vector<float> values(size_t{tokens} * of_heads * dim);
    for (float &value : values)
        value = normal(random);
    return values;
}

std::vector<float> run(dmattn_device *device, const std::vector<float> &q, const std::vector<float> &k,
                       const std::vector<float> &v)
{
    dmattn_context *context = dmattn_device_context(device);
    const dmattn_attention_desc desc = describe();

    // In microseconds and without compiling: can it be planned, and how?
    dmattn_support support{};
    if (dmattn_attention_check(context, &desc, &support) != DMATTN_SUCCESS)
        throw std::runtime_error(support.message);
    std::printf("kernel: %s, workspace: %llu bytes\n", support.kernel, (unsigned long long)support.workspace_size);

    dmattn_plan *made = nullptr;
    check(dmattn_attention_plan(context, &desc, &made));
    const plan_ptr plan(made);

    std::vector<float> out(q.size());
    dmattn_attention_args args{};
    args.q = upload(device, q);
    args.k = upload(device, k);
    args.v = upload(device, v);
    args.out = upload(device, out);
    if (support.workspace_size)
        check(dmattn_buffer_create(device, support.workspace_size, &args.workspace));

    VkCommandBuffer commands{};
    check(dmattn_commands_begin(device, &commands));
    check(dmattn_attention_record(plan.get(), commands, &args));
    check(dmattn_commands_submit(device));
    check(dmattn_download(device, &args.out, 0, out.data(), out.size() * sizeof(float)));
    return out;
}

// out of one query and head, by the formula in dmattn/attention.h.
std::vector<double> formula(const std::vector<float> &q, const std::vector<float> &k, const std::vector<float> &v,
                            uint32_t query, uint32_t head)
{
    std::vector<double> scores(query + 1), out(dim);
    const uint32_t kv_head = head / (heads / kv_heads);
    double sum = 0;
    for (uint32_t key = 0; key <= query; key++) {
        for (uint32_t i = 0; i < dim; i++) {
            const double x = q[(query * heads + head) * dim + i], y = k[(key * kv_heads + kv_head) * dim + i];
            scores[key] += x * y;
        }
        scores[key] /= std::sqrt(double{dim});
    }
    const double most = *std::max_element(scores.begin(), scores.end());
    for (double &score : scores)
        sum += score = std::exp(score - most);
    for (uint32_t key = 0; key <= query; key++)
        for (uint32_t i = 0; i < dim; i++)
            out[i] += scores[key] / sum * v[(key * kv_heads + kv_head) * dim + i];
    return out;
}

} // namespace

int main()
{
    try {
        const runtime_ptr runtime = open_runtime();
        if (!dmattn_runtime_device_count(runtime.get())) {
            std::printf("there is no Vulkan device\n");
            return 1;
        }
        const device_ptr device = open_best_device(runtime.get());
        std::mt19937 random(1);
        const std::vector<float> q = random_tensor(random, heads), k = random_tensor(random, kv_heads),
                                 v = random_tensor(random, kv_heads), out = run(device.get(), q, k, v);
        double worst = 0;
        for (uint32_t query = 0; query < tokens; query++)
            for (uint32_t head = 0; head < heads; head++) {
                const std::vector<double> want = formula(q, k, v, query, head);
                for (uint32_t i = 0; i < dim; i++) {
                    const double error = std::fabs(out[(query * heads + head) * dim + i] - want[i]);
                    worst = error <= worst ? worst : error; // also if it is NaN
                }
            }
        std::printf("largest error: %.1e\n", worst);
        return worst < 1e-5 ? 0 : 1;
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return 1;
    }
}
