"""The score functions, the softmax and every quantity of a step against loops and numpy."""

import math

import numpy as np
import pytest
import torch

from vizlib.seq2seq import Options, cards, translate, untrained
from vizlib.seq2seq.attention import attend, score_concat, score_dot, score_general, score_scaled_dot


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loop(score, query: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    rows = range(len(query))
    scores = [[float(score(query[row].numpy(), key.numpy())) for key in keys[row]] for row in rows]
    return torch.tensor(scores, dtype=torch.float64)


class TestScores:
    query, keys = numbers(3, 4), numbers(3, 5, 4, seed=1)

    def test_dot(self) -> None:
        expected = by_loop(lambda q, k: sum(a * b for a, b in zip(q, k, strict=True)), self.query, self.keys)
        torch.testing.assert_close(score_dot(self.query, self.keys), expected)

    def test_scaled_dot(self) -> None:
        expected = by_loop(lambda q, k: sum(a * b for a, b in zip(q, k, strict=True)) / 2, self.query, self.keys)
        torch.testing.assert_close(score_scaled_dot(self.query, self.keys), expected)

    def test_general(self) -> None:
        weight, keys = numbers(4, 6, seed=2), numbers(3, 5, 6, seed=3)
        expected = by_loop(lambda q, k: sum(q[i] * weight[i, j].item() * k[j] for i in range(4) for j in range(6)), self.query, keys)
        torch.testing.assert_close(score_general(self.query, keys, weight), expected)

    def test_concat_is_luongs_over_the_joined_vectors(self) -> None:
        of_query, of_key, vector = numbers(7, 4, seed=4), numbers(7, 4, seed=5), numbers(7, seed=6)
        joined = torch.cat([of_query, of_key], dim=1).numpy()
        expected = by_loop(lambda q, k: float(vector.numpy() @ np.tanh(joined @ np.concatenate([q, k]))), self.query, self.keys)
        torch.testing.assert_close(score_concat(self.query, self.keys, of_query, of_key, vector), expected)

    def test_many_queries_at_once(self) -> None:
        queries = numbers(3, 2, 4, seed=7)
        weights = numbers(7, 4, seed=4), numbers(7, 4, seed=5), numbers(7, seed=6)
        for score in (score_dot, score_scaled_dot, lambda q, k: score_concat(q, k, *weights)):
            one_by_one = torch.stack([score(queries[:, step], self.keys) for step in range(2)], dim=1)
            torch.testing.assert_close(score(queries, self.keys), one_by_one)


class TestAttend:
    scores, values = numbers(2, 5), numbers(2, 5, 3, seed=1)

    def test_by_hand(self) -> None:
        weights, context = attend(self.scores, self.values, temperature=0.5)
        for row in range(2):
            raised = [math.exp(score / 0.5) for score in self.scores[row].tolist()]
            expected = [value / sum(raised) for value in raised]
            np.testing.assert_allclose(weights[row], expected, rtol=1e-12)
            np.testing.assert_allclose(
                context[row], sum(w * v for w, v in zip(expected, self.values[row].numpy(), strict=True)), rtol=1e-12
            )

    def test_masked_keys_might_as_well_not_be_there(self) -> None:
        mask = torch.tensor([True, False, True, True, False])
        weights, context = attend(self.scores, self.values, mask)
        shorter, same = attend(self.scores[:, mask], self.values[:, mask])
        assert (weights[:, ~mask] == 0).all()
        torch.testing.assert_close(weights[:, mask], shorter)
        torch.testing.assert_close(context, same)

    def test_a_mask_for_each_sentence_and_many_queries(self) -> None:
        mask = torch.tensor([[True, True, False, True, True], [True, False, False, False, True]])
        scores = numbers(2, 4, 5, seed=2)
        weights, context = attend(scores, self.values, mask)
        for step in range(4):
            torch.testing.assert_close(weights[:, step], attend(scores[:, step], self.values, mask)[0])
            torch.testing.assert_close(context[:, step], attend(scores[:, step], self.values, mask)[1])

    def test_temperature_sharpens_and_flattens(self) -> None:
        cold, hot = (attend(self.scores, self.values, temperature=t)[0] for t in (1e-3, 1e6))
        assert (cold.argmax(1) == self.scores.argmax(1)).all()
        torch.testing.assert_close(cold.amax(1), torch.ones(2, dtype=torch.float64))
        torch.testing.assert_close(hot, torch.full((2, 5), 0.2, dtype=torch.float64), atol=1e-5, rtol=0)


def softmax(row: np.ndarray) -> np.ndarray:
    raised = np.exp(row.astype(np.float64) - row.max())
    return raised / raised.sum()


@pytest.mark.parametrize("name", [name for name in cards() if name.startswith("dates") and "transformer" not in name])
@pytest.mark.parametrize("scale", [None, True, False])
def test_every_quantity_of_a_recurrent_step_follows_from_the_one_before(name: str, scale: bool | None) -> None:
    translator = untrained(name)
    weights = {key: value.double().numpy() for key, value in translator.module.state_dict().items()}
    if not translator.card.attention and scale is not None:
        return
    translation = translate(translator, "3 may 1994", options=Options(scale=scale, temperature=0.7 if translator.card.attention else 1.0))
    for step in translation.steps:
        if translator.card.attention:
            query, keys = step.query.astype(np.float64), step.keys.astype(np.float64)
            scores = {
                "dot": lambda q, k: k @ q,
                "scaled_dot": lambda q, k: k @ q,
                "general": lambda q, k: k @ (weights["score_weight"].T @ q),
                "concat": lambda q, k: np.tanh(weights["query_weight"] @ q + k @ weights["key_weight"].T) @ weights["score_vector"],
            }[translator.card.score](query, keys)
            scaled = translator.card.score == "scaled_dot" if scale is None else scale
            np.testing.assert_allclose(step.scores, scores / (math.sqrt(96) if scaled else 1), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(step.weights, softmax(step.scores / 0.7), rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(step.context, step.weights @ step.values, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(step.combined, [*step.context, *step.query])
        np.testing.assert_allclose(
            step.output, np.tanh(weights["combine.weight"] @ step.combined + weights["combine.bias"]), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(step.logits, weights["readout.weight"] @ step.output + weights["readout.bias"], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(step.probabilities, softmax(step.logits), rtol=1e-4)
        assert set(step.formula) == {name for name in step.formula if getattr(step, name) is not None}


def test_every_quantity_of_a_transformers_step_follows_from_the_one_before() -> None:
    translator = untrained("dates_transformer")
    for step in translate(translator, "3 may 1994").steps[:3]:
        head = step.per_head
        for number in range(4):
            np.testing.assert_allclose(head["scores"][number], head["keys"][number] @ head["query"][number] / 4, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(head["weights"][number], softmax(head["scores"][number]), rtol=1e-4)
            np.testing.assert_allclose(head["context"][number], head["weights"][number] @ head["values"][number], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(step.heads[-1], head["weights"])
        np.testing.assert_allclose(step.weights, head["weights"].mean(0), rtol=1e-5)
        np.testing.assert_array_equal(step.query, head["query"].reshape(-1))
        np.testing.assert_array_equal(step.keys[:, 16:32], head["keys"][1])
        np.testing.assert_allclose(step.self_weights.sum(-1), 1, rtol=1e-5)
        np.testing.assert_allclose(step.heads.sum(-1), 1, rtol=1e-5)
        assert set(step.formula) == {name for name in step.formula if getattr(step, name) is not None}
