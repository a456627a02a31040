"""Trains the tagger and writes its weights: `make train-names` (two cores, about half an hour).

Needs torch, pytrovich, navec and the data of natasha (MIT), installed by the make target in an environment of its own; none of them
is needed at run time. The same seed, versions and machine give the same weights.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2])]

import generator  # noqa: E402  (the paths must be there first)
import people  # noqa: E402

from policies.folding import fold  # noqa: E402
from policies.names import network  # noqa: E402
from policies.recognizers.tables import Headings, Tables  # noqa: E402

WORDS = 100_000  # of navec, the most frequent
SIZE = 64  # of a word's vector in the shipped table
TABLES = {
    "suffix": (network.SUFFIXES, 24),
    "ending": (network.ENDINGS, 12),
    "prefix": (network.PREFIXES, 20),
    "shape": (network.SHAPES, 12),
}
LAYERS = ((128, 1), (96, 2), (80, 4), (64, 1))  # width, dilation
HELD_OUT = 10  # every tenth context is for looking at, not for training


def is_held_out(context: str) -> bool:
    """By the text itself, so that a context stays where it is when others come."""
    return zlib.crc32(context.encode()) % HELD_OUT == 0


class Tagger(nn.Module):
    def __init__(self, vectors: np.ndarray) -> None:
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(torch.tensor(vectors), freeze=True)
        self.project = nn.Linear(vectors.shape[1], SIZE, bias=False)
        self.unknown = nn.Parameter(torch.zeros(SIZE))
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size, width in TABLES.values())
        width = SIZE + sum(size for _, size in TABLES.values()) + network.BITS
        self.layers = nn.ModuleList()
        for out, dilation in LAYERS:
            self.layers.append(nn.Conv1d(width, out, 3, padding=dilation, dilation=dilation))
            width = out
        self.head = nn.Linear(width, len(network.LABELS))
        self.drop = nn.Dropout(0.2)

    def forward(self, ids: torch.Tensor, bits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        words = ids[..., 0]
        known = (words > 0).unsqueeze(-1)
        vector = torch.where(known, self.project(self.vectors(words)), self.unknown)
        parts = [vector, *(table(ids[..., column + 1]) for column, table in enumerate(self.tables)), bits]
        hidden = self.drop(torch.cat(parts, -1)) * mask.unsqueeze(-1)
        for layer in self.layers:
            hidden = torch.relu(layer(hidden.transpose(1, 2)).transpose(1, 2)) * mask.unsqueeze(-1)
            hidden = self.drop(hidden)
        return self.head(hidden)


def encode(labelled: generator.Labelled, vocabulary: network.Vocabulary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    folded = fold(labelled.text)
    found = network.tokens(folded.text)
    seen = network.features(found, vocabulary, Headings(folded, Tables(labelled.text)))
    labels = np.zeros(len(found), np.int64)
    spans = list(labelled.spans)
    first = True
    for at, token in enumerate(found):
        start, end = folded.original(*token.span())
        while spans and spans[0][1] <= start:
            spans.pop(0)
            first = True
        if spans and spans[0][0] < end:
            labels[at] = {"PER": 1, "ADR": 3}[spans[0][2]] + (not first)
            first = False
    return seen.ids, seen.bits, labels


def batches(encoded: list, draw: Random, *, size: int = 48, train: bool) -> Iterator[tuple[torch.Tensor, ...]]:
    """Texts of like length together; in training some words are hidden, so that the form of a name must do."""
    order = sorted(range(len(encoded)), key=lambda place: len(encoded[place][2]) + draw.random() * 8)
    groups = [order[at : at + size] for at in range(0, len(order), size)]
    draw.shuffle(groups)
    noise = np.random.default_rng(draw.randrange(2**32))
    for group in groups:
        longest = max(len(encoded[place][2]) for place in group)
        ids = np.zeros((len(group), longest, len(network.COLUMNS)), np.int64)
        bits = np.zeros((len(group), longest, network.BITS), np.float32)
        labels = np.full((len(group), longest), -100, np.int64)
        mask = np.zeros((len(group), longest), np.float32)
        for row, place in enumerate(group):
            one_ids, one_bits, one_labels = encoded[place]
            count = len(one_labels)
            ids[row, :count], bits[row, :count], labels[row, :count], mask[row, :count] = (
                one_ids,
                one_bits,
                one_labels,
                1.0,
            )
            if train:
                hidden = noise.random(count) < np.where(one_labels > 0, 0.25, 0.06)
                ids[row, :count, 0][hidden] = 0
                forgotten = noise.random(count) < np.where(one_labels > 0, 0.3, 0.05)
                bits[row, :count, :8][forgotten] = 0.0
                # Every surname of the training is on the list; many of the world's are not.
                unlisted = noise.random(count) < np.where(one_labels > 0, 0.45, 0.05)
                bits[row, :count, 8 : network.KINDS][unlisted] = 0.0
        yield tuple(map(torch.from_numpy, (ids, bits, mask, labels)))


def news(folder: Path) -> list[generator.Labelled]:
    """The documents of factRuEval-2016's dev set, persons labelled."""
    found = []
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        spans = {}
        for line in path.with_suffix(".spans").read_text(encoding="utf-8").splitlines():
            parts = line.split("#")[0].split()
            spans[parts[0]] = (parts[1], int(parts[2]), int(parts[2]) + int(parts[3]))
        marked = []
        for line in path.with_suffix(".objects").read_text(encoding="utf-8").splitlines():
            parts = line.split("#")[0].split()
            if parts[1] == "Person":
                pieces = [
                    spans[each]
                    for each in parts[2:]
                    if each in spans and spans[each][0] in {"name", "surname", "patronymic"}
                ]
                if pieces:
                    marked.append((min(piece[1] for piece in pieces), max(piece[2] for piece in pieces), "PER"))
        clean: list[tuple[int, int, str]] = []
        for span in sorted(marked):
            if not clean or span[0] >= clean[-1][1]:
                clean.append(span)
        found += paragraphs(generator.Labelled(text, tuple(clean)))
    return found


def paragraphs(labelled: generator.Labelled) -> Iterator[generator.Labelled]:
    """A document in pieces of a prompt's length."""
    start = 0
    for part in labelled.text.split("\n"):
        end = start + len(part)
        spans = tuple((a - start, b - start, kind) for a, b, kind in labelled.spans if start <= a and b <= end)
        if part.strip():
            yield generator.Labelled(part, spans)
        start = end + 1


def spans_of(labels: Sequence[int]) -> set[tuple[int, int, int]]:
    found, start, kind = set(), -1, 0
    for place, label in enumerate([*labels, 0]):
        if start >= 0 and label != kind + 1:
            found.add((start, place, kind))
            start = -1
        if label in (1, 3) or (label in (2, 4) and start < 0):
            start, kind = place, label if label in (1, 3) else label - 1
    return found


def evaluate(model: Tagger, encoded: list) -> str:
    """Precision, recall, F1 of exact spans of both kinds, and the share of clean texts with any."""
    model.eval()
    counts = {1: [0, 0, 0], 3: [0, 0, 0]}
    clean = flagged = 0
    with torch.no_grad():
        for ids, bits, mask, labels in batches(encoded, Random(0), train=False):
            said = model(ids, bits, mask).argmax(-1)
            for row in range(len(ids)):
                count = int(mask[row].sum())
                gold, got = spans_of(labels[row, :count].tolist()), spans_of(said[row, :count].tolist())
                for kind, (hit, wrong, missed) in counts.items():
                    mine, theirs = {span for span in got if span[2] == kind}, {span for span in gold if span[2] == kind}
                    counts[kind] = [hit + len(mine & theirs), wrong + len(mine - theirs), missed + len(theirs - mine)]
                if not gold:
                    clean += 1
                    flagged += bool(got)
    words = []
    for kind, (hit, wrong, missed) in counts.items():
        precision, recall = hit / max(hit + wrong, 1), hit / max(hit + missed, 1)
        words.append(
            f"{network.LABELS[kind][2:]} P {precision:.3f} R {recall:.3f} F1 {2 * precision * recall / max(precision + recall, 1e-9):.3f}"
        )
    return "; ".join(words) + f"; clean flagged {flagged}/{clean}"


def navec(path: Path) -> tuple[list[str], np.ndarray]:
    """The most frequent Russian words and their vectors."""
    from navec import Navec

    loaded = Navec.load(str(path))
    words, vectors, seen = [], [], set()
    for word in loaded.vocab.words:
        plain = word.replace("ё", "е")
        if plain not in seen and "\n" not in plain and not plain.startswith("<"):
            seen.add(plain)
            words.append(plain)
            vectors.append(loaded[word])
        if len(words) == WORDS:
            break
    return words, np.stack([np.zeros(300, np.float32), *vectors]).astype(np.float32)


def common(words: Sequence[str]) -> list[str]:
    """Those that are words of the language and, in every reading, nobody's and no place's name."""
    import pymorphy3

    analyzer = pymorphy3.MorphAnalyzer()
    found = []
    for word in words:
        if len(word) > 3 and word.isalpha() and not word.isascii() and analyzer.word_is_known(word):
            tags = [str(parse.tag) for parse in analyzer.parse(word)]
            if not any(mark in tag for tag in tags for mark in ("Name", "Surn", "Patr", "Geox", "Orgn", "Init")):
                found.append(word)
    return found


def export(model: Tagger, words: list[str], surnames: np.ndarray, given: np.ndarray, path: Path) -> None:
    """The weights as the run time reads them: vectors projected and rounded to a byte, the rest to half precision."""
    with torch.no_grad():
        table = model.project(model.vectors.weight).numpy()
        table[0] = model.unknown.numpy()
    scale = np.abs(table).max(axis=0) / 127
    arrays: dict[str, np.ndarray] = {
        "embedding": np.round(table / scale).astype(np.int8),
        "scale": scale.astype(np.float32),
        "dilations": np.array([dilation for _, dilation in LAYERS], np.int32),
        "head": model.head.weight.detach().numpy().T.astype(np.float16),
        "bias": model.head.bias.detach().numpy().astype(np.float16),
    }
    for name, each in zip(TABLES, model.tables, strict=True):
        arrays[name] = each.weight.detach().numpy().astype(np.float16)
    for number, layer in enumerate(model.layers):
        arrays[f"w{number}"] = layer.weight.detach().numpy().transpose(2, 1, 0).astype(np.float16)
        arrays[f"b{number}"] = layer.bias.detach().numpy().astype(np.float16)
    arrays["surnames"], arrays["given"] = surnames, given
    arrays["words"] = np.frombuffer("\n".join(words).encode(), np.uint8)
    np.savez_compressed(path, **arrays)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--navec", type=Path, required=True)
    options.add_argument("--surnames", type=Path, required=True)
    options.add_argument("--given", type=Path, required=True)
    options.add_argument("--news", type=Path, help="factRuEval-2016's devset")
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--texts", type=int, default=16_000, help="of one epoch")
    options.add_argument("--seed", type=int, default=152)
    options.add_argument("--all", action="store_true", help="train on the held-out contexts too")
    options.add_argument("--out", type=Path, default=network.WEIGHTS)
    chosen = options.parse_args()

    torch.manual_seed(chosen.seed)
    torch.set_num_threads(2)
    people.RARE += chosen.surnames.read_text(encoding="utf-8").split()
    people.UNUSUAL += chosen.given.read_text(encoding="utf-8").split()
    surnames, given = network.hashes_of(people.RARE), network.hashes_of(people.UNUSUAL)
    words, vectors = navec(chosen.navec)
    generator.COMMON += common(words[:60_000])
    vocabulary = network.Vocabulary(words, surnames, given)
    model = Tagger(vectors)
    held = [encode(each, vocabulary) for each in generator.samples(1500, 1, keep=is_held_out)]
    papers = news(chosen.news) if chosen.news else []
    steps = chosen.epochs * (chosen.texts + len(papers)) // 48 + chosen.epochs
    optimizer = torch.optim.AdamW(
        (each for each in model.parameters() if each.requires_grad), lr=3e-3, weight_decay=1e-3
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + 10)
    loss_of = nn.CrossEntropyLoss(ignore_index=-100)
    # What is kept is the mean of the last thousand steps: it errs less on new texts than the last step does.
    mean = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999))
    for epoch in range(chosen.epochs):
        began, draw = time.time(), Random(chosen.seed * 1000 + epoch)
        texts = generator.samples(
            chosen.texts, draw.randrange(2**31), keep=lambda context: chosen.all or not is_held_out(context)
        )
        encoded = [encode(each, vocabulary) for each in texts] + [
            encode(generator.noisy(each, draw), vocabulary) for each in papers
        ]
        made, total, number = time.time() - began, 0.0, 0
        model.train()
        for ids, bits, mask, labels in batches(encoded, draw, train=True):
            number += 1
            loss = loss_of(model(ids, bits, mask).flatten(0, 1), labels.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            mean.update_parameters(model)
            total += loss.item()
        print(
            json.dumps(
                {"epoch": epoch, "loss": round(total / number, 4), "seconds": [round(made), round(time.time() - began)]}
            ),
            evaluate(mean.module, held),
            flush=True,
        )
        export(mean.module, words, surnames, given, chosen.out)


if __name__ == "__main__":
    main()
