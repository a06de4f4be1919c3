"""What the journal keeps of a model, as it is said on a command line, in YAML and in Python."""

from __future__ import annotations

import pytest

from flask_carafe.artifacts.journal import OFF, USUAL, JournalRules
from flask_carafe.artifacts.spec import from_options
from flask_carafe.errors import ConfigError
from flask_carafe.signature import Field, Signature


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (False, OFF),
        ("off", OFF),
        (True, USUAL),
        ("email=hashed, name=dropped", JournalRules(fields={"email": "hashed", "name": "dropped"})),
        ({"fields": {"email": "hashed"}, "answer": "dropped"}, JournalRules(fields={"email": "hashed"}, answer="dropped")),
        ({"sample": 0.1}, JournalRules(sample=0.1)),
    ],
)
def test_rules_read_the_same_from_everywhere(said, meant):
    assert from_options("m", files="m.joblib", journal=said).journal == meant


@pytest.mark.parametrize(
    ("said", "hint"),
    [({"field": {}}, "fields"), ("email=hash", "hashed"), ({"sample": 2}, ""), ({"sample": True}, ""), ("email", ""), (3, "")],
)
def test_what_cannot_be_meant_is_refused_with_what_is_expected(said, hint):
    with pytest.raises(ConfigError, match="journal") as caught:
        from_options("m", files="m.joblib", journal=said)
    assert hint in caught.value.hint


def test_a_rule_for_a_field_that_the_model_does_not_have_is_an_error_and_not_a_leak():
    signature = Signature(fields=(Field(name="email", kind="text", dtype="text"),))
    with pytest.raises(ConfigError, match="no field 'e-mail'") as caught:
        from_options("m", files="m.joblib", journal={"fields": {"e-mail": "hashed"}}).journal.fits(signature)
    assert "email" in caught.value.hint
