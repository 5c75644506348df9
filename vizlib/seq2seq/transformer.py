"""The Transformer encoder-decoder (Vaswani et al., 2017), norms first, with sinusoidal positions and every head written out."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vizlib.seq2seq.attention import attend, score_dot, weigh
from vizlib.seq2seq.decoder_state import AS_TRAINED, Memory, Reading, Steering


class Heads(NamedTuple):
    """One attention with its heads apart: query (B, heads, t, d), keys and values (B, heads, n, d), scores and weights (B, heads, t, n)."""

    query: Tensor
    keys: Tensor
    values: Tensor
    scores: Tensor
    weights: Tensor
    context: Tensor


def positions(length: int, width: int) -> Tensor:
    """The sinusoidal positions (length, width): sin(p / 10000^(2i / width)) in column 2i, the cosine in column 2i + 1."""
    place = torch.arange(length, dtype=torch.float32)[:, None]
    angle = place * torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).reshape(length, width)


class Attention(nn.Module):
    """softmax(q k / sqrt(d)) v in ``heads`` heads of d = width / heads, put together by one more product."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, source: Tensor, mask: Tensor, steering: Steering = AS_TRAINED) -> tuple[Tensor, Heads]:
        """From x (B, t, w) to source (B, n, w), where mask, that (B, 1 or t, n) stretches to, is True: (B, t, w) and what was done."""
        query, keys, values = self._split(self.query(x)), self._split(self.key(source)), self._split(self.value(source))
        flat_query, flat_keys, flat_values = query.flatten(0, 1), keys.flatten(0, 1), values.flatten(0, 1)
        scores = score_dot(flat_query, flat_keys)
        scores = scores if steering.scale is False else scores / math.sqrt(keys.shape[-1])
        if steering.scores is not None:
            scores = steering.scores.expand_as(scores)
        readable = mask[:, None].expand(-1, self.heads, x.shape[1], -1).flatten(0, 1)
        weights, context = attend(scores, flat_values, readable, steering.temperature)
        if steering.weights is not None:
            weights = steering.weights.expand_as(weights)
            context = weigh(weights, flat_values)
        by_head = [part.unflatten(0, (-1, self.heads)) for part in (scores, weights, context)]
        return self.out(by_head[2].transpose(1, 2).flatten(2)), Heads(query, keys, values, *by_head)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class EncoderLayer(nn.Module):
    """x + attention(norm x), then x + feed-forward(norm x)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, n, w) and the attention's weights (B, heads, n, n)."""
        normed = self.attention_norm(x)
        added, heads = self.attention(normed, normed, mask)
        x = x + added
        return x + self.narrow(F.relu(self.widen(self.feed_norm(x)))), heads.weights


class DecoderLayer(nn.Module):
    """x + attention to what is written, then + attention to the source, then + feed-forward, each of norm x."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.own_norm, self.cross_norm, self.feed_norm = (nn.LayerNorm(width) for _ in range(3))
        self.own, self.cross = Attention(width, heads), Attention(width, heads)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor, causal: Tensor, memory: Memory, steering: Steering) -> tuple[Tensor, Tensor, Heads, Tensor]:
        """x (B, t, w), own weights (B, heads, t, t), the heads on the source, and x as it was after them."""
        normed = self.own_norm(x)
        added, own = self.own(normed, normed, causal)
        x = x + added
        added, cross = self.cross(self.cross_norm(x), memory.states, memory.mask[:, None], steering)
        read = x + added
        return read + self.narrow(F.relu(self.widen(self.feed_norm(read)))), own.weights, cross, read


class TransformerTranslator(nn.Module):
    """Encoder and decoder of ``layers`` layers each; ids as in ``RecurrentTranslator``. The decoder's state is what was written so far."""

    def __init__(self, sources: int, targets: int, *, width: int, heads: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.width = width
        self.source_embedding = nn.Embedding(sources + 1, width)
        self.target_embedding = nn.Embedding(targets + 1, width)
        for embedding in (self.source_embedding, self.target_embedding):
            nn.init.normal_(embedding.weight, std=width**-0.5)  # times sqrt(width) they are as large as the positions
        self.encoder = nn.ModuleList(EncoderLayer(width, heads, hidden) for _ in range(layers))
        self.decoder = nn.ModuleList(DecoderLayer(width, heads, hidden) for _ in range(layers))
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.readout = nn.Linear(width, targets)

    @property
    def start(self) -> int:
        """The id that starts a target."""
        return self.target_embedding.num_embeddings - 1

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """Logits (B, T, V) of each next character, from source ids (B, n) of so many characters and target ids (B, T) that are fed."""
        return self.forward_embedded(self.source_embedding(source), lengths, target)

    def forward_embedded(self, embedded: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """As ``forward``, from embedded characters (B, n, w)."""
        return self.decode(self.encode_embedded(embedded, lengths), target)

    def decode(self, memory: Memory, target: Tensor) -> Tensor:
        """Logits (B, T, V) of each next character, target ids (B, T) being fed."""
        begun = torch.cat([torch.full_like(target[:, :1], self.start), target[:, :-1]], dim=1)
        return self.readout(self._decode(memory, begun, AS_TRAINED)[0])

    def encode(self, source: Tensor, lengths: Tensor) -> Memory:
        """What the decoder gets of source ids (B, n), of which ``lengths`` (B,) count: padding changes nothing."""
        return self.encode_embedded(self.source_embedding(source), lengths)

    def encode_embedded(self, embedded: Tensor, lengths: Tensor) -> Memory:
        """As ``encode``, from embedded characters (B, n, w)."""
        mask = torch.arange(embedded.shape[1], device=lengths.device) < lengths[:, None]
        x, layer_weights = self._placed(embedded), []
        for layer in self.encoder:
            x, weights = layer(x, mask[:, None])
            layer_weights.append(weights)
        nothing = torch.empty(len(embedded), 0, dtype=torch.long, device=embedded.device)
        return Memory(self.encoder_norm(x), mask, (nothing,), tuple(layer_weights))

    def step(
        self, memory: Memory, state: tuple[Tensor, ...], last: Tensor, steering: Steering = AS_TRAINED
    ) -> tuple[tuple[Tensor, ...], Reading]:
        """What was written with the last character (B,) behind it, and everything that leads from it to the next one."""
        written = torch.cat([state[0], last[:, None]], dim=1)
        output, own, cross, read = self._decode(memory, written, steering)
        final = cross[-1]
        per_head = {
            "query": final.query[:, :, -1], "keys": final.keys, "values": final.values,
            "scores": final.scores[:, :, -1], "weights": final.weights[:, :, -1], "context": final.context[:, :, -1],
        }  # fmt: skip
        return (written,), Reading(
            output=output[:, -1],
            logits=self.readout(output[:, -1]),
            combined=read[:, -1],
            query=per_head["query"].flatten(1),
            keys=final.keys.transpose(1, 2).flatten(2),
            values=final.values.transpose(1, 2).flatten(2),
            scores=per_head["scores"].mean(1),
            weights=per_head["weights"].mean(1),
            context=per_head["context"].flatten(1),
            heads=torch.stack([heads.weights[:, :, -1] for heads in cross], dim=1),
            self_weights=torch.stack([weights[:, :, -1] for weights in own], dim=1),
            per_head=per_head,
        )

    def _decode(self, memory: Memory, written: Tensor, steering: Steering) -> tuple[Tensor, list[Tensor], list[Heads], Tensor]:
        count = written.shape[1]
        causal = torch.ones(count, count, dtype=torch.bool, device=written.device).tril()[None]
        everywhere = Steering(steering.temperature, steering.scale)
        x = self._placed(self.target_embedding(written))
        own, cross, read = [], [], x
        for number, layer in enumerate(self.decoder, 1):
            layer_steering = steering if number == len(self.decoder) else everywhere
            x, weights, heads, read = layer(x, causal.expand(len(x), -1, -1), memory, layer_steering)
            own.append(weights)
            cross.append(heads)
        return self.decoder_norm(x), own, cross, read

    def _placed(self, embedded: Tensor) -> Tensor:
        where = positions(embedded.shape[1], self.width).to(embedded)
        return embedded * math.sqrt(self.width) + where
