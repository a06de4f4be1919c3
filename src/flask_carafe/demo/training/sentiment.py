"""Is a product review positive or negative? Words and pairs of words, weighed by logistic regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

SIGNS = {"+": "positive", "-": "negative"}


def read(path: Path) -> tuple[list[str], list[str]]:
    """Reviews and their labels from lines such as ``+ Works well.``"""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line[2:] for line in lines], [SIGNS[line[0]] for line in lines]


def pairs(labels: list[str]) -> list[int]:
    """A number per review; a positive one and the negative one right after it share theirs.

    Most of the corpus is written in such pairs, about one product in nearly the same words. Were one of a pair learnt
    and the other asked, the score would say how well the model falls into that trap, and not how it does on new reviews.
    """
    group, groups = 0, []
    for before, label in zip(["", *labels], labels, strict=False):
        group += (before, label) != ("positive", "negative")
        groups.append(group)
    return groups


def build() -> Any:
    """The unfitted pipeline. Pairs of words let "not good" weigh differently from "good"."""
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000))


def train(path: Path) -> tuple[Any, dict[str, float]]:
    """The pipeline fitted on all reviews, and the mean accuracy of ten-fold cross-validation that keeps pairs together."""
    texts, labels = read(path)
    accuracy = cross_val_score(build(), texts, labels, groups=pairs(labels), cv=GroupKFold(10)).mean()
    return build().fit(texts, labels), {"accuracy": float(accuracy)}
