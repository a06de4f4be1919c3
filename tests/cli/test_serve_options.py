"""What ``carafe serve`` refuses before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_carafe.artifacts.spec import from_options
from flask_carafe.cli.serve import check_default
from flask_carafe.config import Settings
from flask_carafe.errors import ConfigError


def test_a_default_model_that_is_not_served_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    specs = [from_options("iris", files="iris.joblib"), from_options("spam", files="spam.joblib")]
    check_default(Settings(home=tmp_path, default_model="iris"), specs)
    with pytest.raises(ConfigError, match="no model 'irs'") as caught:
        check_default(Settings(home=tmp_path, default_model="irs"), specs)
    assert caught.value.hint == "Did you mean 'iris'?"
