# SPDX-License-Identifier: MIT
"""What the models learn. A task makes batches: tokens [seeds, batch, sequence], the places of questions, and the right
answers, which are the next tokens there; for the needles also where each one is, from 0 (first token) to 1 (last)."""
import torch


def distinct(shape, count, most, generator):
    """`count` distinct numbers below `most` in random order, [*shape, count]."""
    return torch.rand(*shape, most, generator=generator, device=generator.device).topk(count).indices


class Recall:
    """Multi-query associative recall: `pairs` keys, each followed by its value; then each key once more, in random
    order and at random places, where its value is asked for. Everything else is noise. A quarter of the vocabulary are
    keys, a quarter values, and half is noise. At most `questions` of the keys count."""
    vocabulary = 8192

    def __init__(self, pairs, questions=128, vocabulary=vocabulary):
        self.pairs, self.questions, self.vocabulary = pairs, min(questions, pairs), vocabulary

    def batch(self, shape, length, generator):
        pairs, quarter = self.pairs, self.vocabulary // 4
        random = lambda first, most, *size: first + torch.randint(most, size, generator=generator,
                                                                  device=generator.device)
        keys, values = distinct(shape, pairs, quarter, generator), random(quarter, quarter, *shape, pairs)
        tokens = random(2 * quarter, 2 * quarter, *shape, length)
        tokens[..., 0:2 * pairs:2], tokens[..., 1:2 * pairs:2] = keys, values
        places = 2 * pairs + 2 * distinct(shape, pairs, length // 2 - pairs, generator)
        tokens.scatter_(-1, places, keys)  # the keys are random, so the first questions are random ones, too
        return tokens, places[..., :self.questions], values[..., :self.questions], None


class Needles:
    """Needles in a haystack: `count` pairs of a key and a word at random places of a text of random words; then each
    key once more, in random order, where its word is asked for. A word says nothing: only the key before it marks the
    needle."""
    vocabulary = 512

    def __init__(self, count=8, vocabulary=vocabulary):
        self.count, self.vocabulary = count, vocabulary

    def batch(self, shape, length, generator):
        count, words = self.count, self.vocabulary // 4  # words are the tokens from there on
        rest = self.vocabulary - words
        random = lambda *size: words + torch.randint(rest, size, generator=generator, device=generator.device)
        keys, answers, tokens = distinct(shape, count, words, generator), random(*shape, count), random(*shape, length)
        hay = length - 2 * count
        there = 2 * distinct(shape, count, hay // 2, generator)
        places = (hay + 2 * torch.arange(count, device=generator.device)).expand(*shape, -1)
        for where in (there, places):  # the needles are in random order, so the questions are, too
            tokens.scatter_(-1, where, keys).scatter_(-1, where + 1, answers)
        return tokens, places, answers, there / hay
