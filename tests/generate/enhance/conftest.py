"""Settings of an enhancement that asks the fake endpoint, and none of the user's own."""

import pytest

from fake_endpoint import KEY, KEY_ENV, TurnedClock
from mova.endpoints.client import Shared
from mova.generate.enhance.settings import EnhanceSettings


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    """A folder of settings without any."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("SETTINGS", "PROVIDER", "BASE_URL", "API_KEY_ENV", "MODEL", "VISION_MODEL", "IMAGE_MODEL"):
        monkeypatch.delenv(f"MOVA_ENHANCE_{name}", raising=False)


@pytest.fixture
def fake(served, monkeypatch):
    served.reset()
    monkeypatch.setenv(KEY_ENV, KEY)
    return served


@pytest.fixture
def shared():
    """Calls that wait without time passing."""
    return Shared(timing=TurnedClock().timing())


@pytest.fixture
def settings(fake):
    """Makes settings; the roles that are named are asked of the fake endpoint."""

    def make(*roles, **more):
        section = {"base_url": fake.base_url, "api_key_env": KEY_ENV, "timeout_s": 20, "attempts": 2}
        return EnhanceSettings.model_validate({role: section | {"model": f"m-{role}"} for role in roles} | more)

    return make
