"""The corpus that ships with the package."""

from __future__ import annotations

from collections import Counter

from flask_carafe.demo import REVIEWS


def lines() -> list[str]:
    return REVIEWS.read_text(encoding="utf-8").splitlines()


def test_there_are_several_hundred_reviews_as_many_good_as_bad() -> None:
    signs = Counter(line[:2] for line in lines())
    assert signs["+ "] == signs["- "] >= 300
    assert set(signs) == {"+ ", "- "}


def test_no_review_stands_twice() -> None:
    texts = [line[2:].lower() for line in lines()]
    assert len(set(texts)) == len(texts)


def test_reviews_are_varied() -> None:
    words = [line[2:].lower().split() for line in lines()]
    starts = Counter(tuple(review[:3]) for review in words)
    assert len({word for review in words for word in review}) > 1200
    assert starts.most_common(1)[0][1] <= 8
