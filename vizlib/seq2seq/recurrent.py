"""Recurrent encoder-decoders, with and without attention, after Sutskever, Cho, Bahdanau and Luong.

With attention the encoder reads in both directions, and each of its states, [forward; backward], is a key and a value. Without it the
encoder reads once from left to right, and its last state is all that the decoder gets. The query is the decoder's state after it has
read the last character written. What attention finds is not fed back into that state (Luong's model without input feeding), so a
change of attention at one step reaches the next only through the character that it wrote.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from vizlib.errors import ModelError
from vizlib.seq2seq.attention import attend, score_concat, score_dot, score_general, weigh
from vizlib.seq2seq.decoder_state import AS_TRAINED, Memory, Reading, Steering

_CELLS: dict[str, type[nn.GRU | nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentTranslator(nn.Module):
    """h_t = RNN(y_(t-1), h_(t-1)); o_t = tanh(W_c [c_t; h_t]), or tanh(W_c h_t) without attention; logits W_s o_t; biases left out.

    Source ids are 1 to ``sources``, 0 pads; target ids 0 to ``targets`` - 1, and ``targets`` is what starts a target.
    """

    def __init__(self, sources: int, targets: int, *, cell: str, score: str | None, width: int, embedding: int) -> None:
        super().__init__()
        if score not in (None, "dot", "scaled_dot", "general", "concat"):
            raise ModelError(f"There is no score function {score!r}: choose dot, scaled_dot, general, concat or None.")
        self.cell, self.score = cell, score
        recurrence = _CELLS[cell]
        self.source_embedding = nn.Embedding(sources + 1, embedding)
        self.target_embedding = nn.Embedding(targets + 1, embedding)
        directions = 2 if score else 1
        self.encoder = recurrence(embedding, width // directions, batch_first=True, bidirectional=bool(score))
        self.bridge = nn.Linear(width, width * (2 if cell == "lstm" else 1))
        self.decoder = recurrence(embedding, width, batch_first=True)
        if score == "general":
            self.score_weight = nn.Parameter(torch.empty(width, width).uniform_(-1, 1) / math.sqrt(width))
        elif score == "concat":
            self.query_weight = nn.Parameter(torch.empty(width, width).uniform_(-1, 1) / math.sqrt(width))
            self.key_weight = nn.Parameter(torch.empty(width, width).uniform_(-1, 1) / math.sqrt(width))
            self.score_vector = nn.Parameter(torch.empty(width).uniform_(-1, 1) / math.sqrt(width))
        self.combine = nn.Linear(directions * width, width)
        self.readout = nn.Linear(width, targets)

    @property
    def start(self) -> int:
        """The id that starts a target."""
        return self.target_embedding.num_embeddings - 1

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """Logits (B, T, V) of each next character, from source ids (B, n) of so many characters and target ids (B, T) that are fed."""
        return self.forward_embedded(self.source_embedding(source), lengths, target)

    def forward_embedded(self, embedded: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """As ``forward``, from embedded characters (B, n, e)."""
        return self.decode(self.encode_embedded(embedded, lengths), target)

    def decode(self, memory: Memory, target: Tensor) -> Tensor:
        """Logits (B, T, V) of each next character, target ids (B, T) being fed."""
        begun = torch.cat([torch.full_like(target[:, :1], self.start), target[:, :-1]], dim=1)
        states, _ = self.decoder(self.target_embedding(begun), self._as_layers(memory.first))
        return self._read(states, memory, AS_TRAINED).logits

    def encode(self, source: Tensor, lengths: Tensor) -> Memory:
        """What the decoder gets of source ids (B, n), of which ``lengths`` (B,) count: padding changes nothing."""
        return self.encode_embedded(self.source_embedding(source), lengths)

    def encode_embedded(self, embedded: Tensor, lengths: Tensor) -> Memory:
        """As ``encode``, from embedded characters (B, n, e)."""
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, last = self.encoder(packed)
        padded, _ = pad_packed_sequence(states, batch_first=True, total_length=embedded.shape[1])
        hidden = last[0] if self.cell == "lstm" else last
        first = torch.tanh(self.bridge(torch.cat(tuple(hidden), dim=-1)))
        mask = torch.arange(embedded.shape[1], device=lengths.device) < lengths[:, None]
        return Memory(padded, mask, first.chunk(2, dim=-1) if self.cell == "lstm" else (first,))

    def step(
        self, memory: Memory, state: tuple[Tensor, ...], last: Tensor, steering: Steering = AS_TRAINED
    ) -> tuple[tuple[Tensor, ...], Reading]:
        """The state after reading the last character (B,), and everything that leads from it to the next one."""
        _, layers = self.decoder(self.target_embedding(last)[:, None], self._as_layers(state))
        after = tuple(part[0] for part in (layers if self.cell == "lstm" else (layers,)))
        return after, self._read(after[0], memory, steering)

    def _as_layers(self, state: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        layers = tuple(part[None].contiguous() for part in state)
        return layers if self.cell == "lstm" else layers[0]

    def _read(self, query: Tensor, memory: Memory, steering: Steering) -> Reading:
        """From the decoder's states (B, ..., d) to logits (B, ..., V)."""
        if self.score is None:
            output = torch.tanh(self.combine(query))
            return Reading(output, self.readout(output), query)
        scores = self._scores(query, memory.states, steering) if steering.scores is None else steering.scores.expand(len(query), -1)
        weights, context = attend(scores, memory.states, memory.mask, steering.temperature)
        if steering.weights is not None:
            weights = steering.weights.expand(len(query), -1)
            context = weigh(weights, memory.states)
        combined = torch.cat([context, query], dim=-1)
        output = torch.tanh(self.combine(combined))
        return Reading(output, self.readout(output), combined, query, memory.states, memory.states, scores, weights, context)

    def _scores(self, query: Tensor, keys: Tensor, steering: Steering) -> Tensor:
        if self.score == "concat":
            scores = score_concat(query, keys, self.query_weight, self.key_weight, self.score_vector)
        elif self.score == "general":
            scores = score_general(query, keys, self.score_weight)
        else:
            scores = score_dot(query, keys)
        scaled = self.score == "scaled_dot" if steering.scale is None else steering.scale
        return scores / math.sqrt(keys.shape[-1]) if scaled else scores
