/* SPDX-License-Identifier: MIT */
#include "recall_model.h"

#include <math.h>
#include <string.h>

/* ---- the task ------------------------------------------------------------------------------------------------ */

enum {
    FIRST_VALUE = RECALL_KEYS,
    FIRST_NOISE = FIRST_VALUE + RECALL_VALUES,
    QUESTION_MARK = FIRST_NOISE + RECALL_NOISES
};

static int below(int bound, uint64_t *state)
{
    return (int)(random_bits(state) % (uint64_t)bound);
}

/* Draws `count` different numbers below `bound`, in random order. */
static void draw(int *numbers, int count, int bound, uint64_t *state)
{
    int all[RECALL_LENGTH];
    for (int i = 0; i < bound; i++)
        all[i] = i;
    for (int i = 0; i < count; i++) {
        const int at = i + below(bound - i, state);
        numbers[i] = all[at];
        all[at] = all[i];
    }
}

static void make_sequence(recall_batch *batch, int b, uint64_t *state)
{
    int(*token)[2] = batch->token[b];
    int place[RECALL_PAIRS], key[RECALL_PAIRS];
    for (int t = 0; t < RECALL_FIRST_QUESTION; t++) {
        token[t][0] = FIRST_NOISE + below(RECALL_NOISES, state);
        token[t][1] = FIRST_VALUE + below(RECALL_VALUES, state);
    }
    draw(place, RECALL_PAIRS, RECALL_FIRST_QUESTION, state);
    draw(key, RECALL_PAIRS, RECALL_KEYS, state);
    for (int i = 0; i < RECALL_PAIRS; i++) {
        token[place[i]][0] = key[i];
        token[place[i]][1] = FIRST_VALUE + below(RECALL_VALUES, state);
    }
    for (int i = 0; i < RECALL_QUESTIONS; i++) {
        const int asked = place[below(RECALL_PAIRS, state)];
        token[RECALL_FIRST_QUESTION + i][0] = token[asked][0];
        token[RECALL_FIRST_QUESTION + i][1] = QUESTION_MARK;
        batch->pair[b][i] = asked;
        batch->value[b][i] = token[asked][1] - FIRST_VALUE;
    }
}

void recall_batch_make(recall_batch *batch, uint64_t *state)
{
    for (int b = 0; b < RECALL_BATCH; b++)
        make_sequence(batch, b, state);
}

/* ---- the model ----------------------------------------------------------------------------------------------- */

static void fill(double *array, int count, double deviation, uint64_t *state)
{
    for (int i = 0; i < count; i++)
        array[i] = deviation * random_normal(state);
}

void recall_model_make(recall_model *m, uint64_t seed)
{
    memset(m, 0, sizeof *m);
    fill(m->embedding[0], RECALL_TOKENS * RECALL_WIDTH, 1, &seed);
    fill(m->parameter, RECALL_AT_LOGITS, 1 / sqrt(RECALL_WIDTH), &seed);
    fill(m->parameter + RECALL_AT_LOGITS, RECALL_AT_DT_WEIGHT - RECALL_AT_LOGITS, 1 / sqrt(RECALL_HEADS * RECALL_DIM),
         &seed);
    /* Small weights: at first, nothing is known about importance, and a few steps should be able to change that. */
    fill(m->parameter + RECALL_AT_DT_WEIGHT, RECALL_DIM, 0.1 / sqrt(RECALL_DIM), &seed);
    m->parameter[RECALL_AT_A] = 0.5;
}

dmattn_dma_desc recall_attention(void)
{
    return (dmattn_dma_desc){
        .attention = {.type = DMATTN_TYPE_F32,
                      .batch = RECALL_BATCH,
                      .queries = RECALL_LENGTH,
                      .keys = RECALL_LENGTH,
                      .heads = RECALL_HEADS,
                      .kv_heads = 1,
                      .head_dim = RECALL_DIM,
                      .lse = true},
        .importance = {.activation = DMATTN_ACTIVATION_SOFTPLUS, .dt_bias = true},
        .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = RECALL_WINDOW, .causal = true},
    };
}

/* The embedding at a position: the sum over its two tokens. */
static void embed(const recall_model *m, const int token[2], double *x)
{
    for (int i = 0; i < RECALL_WIDTH; i++)
        x[i] = m->embedding[token[0]][i] + m->embedding[token[1]][i];
}

static void project(const double *weight, const double *x, float *rows, int position, int outputs)
{
    for (int row = 0; row < outputs; row++) {
        double y = 0;
        for (int i = 0; i < RECALL_WIDTH; i++)
            y += weight[row * RECALL_WIDTH + i] * x[i];
        rows[position * outputs + row] = (float)y;
    }
}

static void copy(const double *from, float *to, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = (float)from[i];
}

void recall_project(const recall_model *m, const recall_batch *batch, problem *p)
{
    double x[RECALL_WIDTH];
    for (int at = 0; at < RECALL_BATCH * RECALL_LENGTH; at++) {
        embed(m, batch->token[at / RECALL_LENGTH][at % RECALL_LENGTH], x);
        project(m->parameter + RECALL_AT_Q, x, p->tensor[TENSOR_Q], at, RECALL_HEADS * RECALL_DIM);
        project(m->parameter + RECALL_AT_K, x, p->tensor[TENSOR_K], at, RECALL_DIM);
        project(m->parameter + RECALL_AT_V, x, p->tensor[TENSOR_V], at, RECALL_DIM);
    }
    copy(m->parameter + RECALL_AT_DT_WEIGHT, p->tensor[TENSOR_DT_WEIGHT], RECALL_DIM);
    copy(m->parameter + RECALL_AT_A, p->tensor[TENSOR_A], 1);
    copy(m->parameter + RECALL_AT_DT_BIAS, p->tensor[TENSOR_DT_BIAS], 1);
}

/* Computes the part of one answer in the loss. Adds its part to the gradients of the logits' weights and of `row` of
 * the result. */
static double answer(recall_model *m, const float *row, float *drow, int value, bool *right)
{
    enum { ROW = RECALL_HEADS * RECALL_DIM };
    const double *weight = m->parameter + RECALL_AT_LOGITS;
    double *dweight = m->gradient + RECALL_AT_LOGITS;
    double logit[RECALL_VALUES] = {0}, sum = 0, drow_sum[ROW] = {0};
    int best = 0;
    for (int c = 0; c < RECALL_VALUES; c++) {
        for (int i = 0; i < ROW; i++)
            logit[c] += weight[c * ROW + i] * row[i];
        sum += exp(logit[c]);
        best = logit[c] > logit[best] ? c : best;
    }
    for (int c = 0; c < RECALL_VALUES; c++) {
        const double dlogit = (exp(logit[c]) / sum - (c == value)) / (RECALL_BATCH * RECALL_QUESTIONS);
        for (int i = 0; i < ROW; i++) {
            dweight[c * ROW + i] += dlogit * row[i];
            drow_sum[i] += dlogit * weight[c * ROW + i];
        }
    }
    copy(drow_sum, drow, ROW);
    *right = best == value;
    return (log(sum) - logit[value]) / (RECALL_BATCH * RECALL_QUESTIONS);
}

double recall_loss(recall_model *m, const recall_batch *batch, const float *out, problem *p, double *right)
{
    float *dout = p->tensor[TENSOR_DOUT];
    double loss = 0;
    memset(m->gradient, 0, sizeof m->gradient);
    memset(dout, 0, problem_bytes(p, TENSOR_DOUT));
    *right = 0;
    for (int b = 0; b < RECALL_BATCH; b++)
        for (int i = 0; i < RECALL_QUESTIONS; i++) {
            const int row = (b * RECALL_LENGTH + RECALL_FIRST_QUESTION + i) * RECALL_HEADS * RECALL_DIM;
            bool is_right;
            loss += answer(m, out + row, dout + row, batch->value[b][i], &is_right);
            *right += is_right / (double)(RECALL_BATCH * RECALL_QUESTIONS);
        }
    return loss;
}

static void project_backward(double *dweight, const double *x, const float *drows, int position, int outputs)
{
    for (int row = 0; row < outputs; row++)
        for (int i = 0; i < RECALL_WIDTH; i++)
            dweight[row * RECALL_WIDTH + i] += drows[position * outputs + row] * x[i];
}

void recall_backward(recall_model *m, const recall_batch *batch, const gradients *g)
{
    double x[RECALL_WIDTH];
    for (int at = 0; at < RECALL_BATCH * RECALL_LENGTH; at++) {
        embed(m, batch->token[at / RECALL_LENGTH][at % RECALL_LENGTH], x);
        project_backward(m->gradient + RECALL_AT_Q, x, g->tensor[TENSOR_DQ], at, RECALL_HEADS * RECALL_DIM);
        project_backward(m->gradient + RECALL_AT_K, x, g->tensor[TENSOR_DK], at, RECALL_DIM);
        project_backward(m->gradient + RECALL_AT_V, x, g->tensor[TENSOR_DV], at, RECALL_DIM);
    }
    for (int i = 0; i < RECALL_DIM; i++)
        m->gradient[RECALL_AT_DT_WEIGHT + i] = g->tensor[TENSOR_DDT_WEIGHT][i];
    m->gradient[RECALL_AT_A] = *g->tensor[TENSOR_DA];
    m->gradient[RECALL_AT_DT_BIAS] = *g->tensor[TENSOR_DDT_BIAS];
}

void recall_step(recall_model *m)
{
    const double rate = 0.03, momentum = 0.9;
    for (int i = 0; i < RECALL_PARAMETERS; i++) {
        m->velocity[i] = momentum * m->velocity[i] + m->gradient[i];
        m->parameter[i] -= rate * m->velocity[i];
    }
}
