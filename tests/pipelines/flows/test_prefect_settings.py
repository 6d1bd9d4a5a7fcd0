"""A setting is what Prefect itself takes it to be, wherever it stands."""

from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.flows.prefect_settings import setting

URL, LOGIN = "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty current folder, and Prefect's home below it."""
    for key in (URL, LOGIN, "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def theirs() -> tuple[str | None, str | None]:
    """What Prefect says."""
    from prefect.settings import Settings

    api = Settings().api
    return api.url or None, api.auth_string.get_secret_value() if api.auth_string else None


def profiles(url: str) -> str:
    return f'active = "team"\n[profiles.team]\n{URL} = "{url}"\n{LOGIN} = "a:b"\n[profiles.other]\n'


def test_each_place_comes_before_the_one_below(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (setting(URL), setting(LOGIN)) == theirs() == (None, None)
    (home / "profiles.toml").write_text(profiles("http://profile/api"))
    assert (setting(URL), setting(LOGIN)) == theirs() == ("http://profile/api", "a:b")
    Path("pyproject.toml").write_text('[tool.prefect]\napi = {url = "http://pyproject/api"}\n')
    assert (setting(URL), setting(LOGIN)) == theirs() == ("http://pyproject/api", "a:b")
    Path("prefect.toml").write_text('[api]\nurl = "http://toml/api"\nauth_string = "c:d"\n')
    assert (setting(URL), setting(LOGIN)) == theirs() == ("http://toml/api", "c:d")
    Path(".env").write_text("export prefect_api_url='http://dotenv/api'\n")
    assert (setting(URL), setting(LOGIN)) == theirs() == ("http://dotenv/api", "c:d")
    monkeypatch.setenv(URL, "http://environment/api")
    monkeypatch.setenv(LOGIN, "")
    assert (setting(URL), setting(LOGIN)) == theirs() == ("http://environment/api", None)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".env", "PREFECT_PROFILES_PATH=other.toml\n"),
        ("prefect.toml", 'profiles_path = "other.toml"\n'),
        ("pyproject.toml", '[tool.prefect]\nprofiles_path = "other.toml"\n'),
    ],
)
def test_the_file_of_profiles_may_be_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str
) -> None:
    (home / "profiles.toml").write_text(profiles("http://home/api"))
    Path("other.toml").write_text(profiles("http://other/api"))
    Path(file).write_text(text)
    assert (setting(URL), setting(LOGIN)) == theirs() == ("http://other/api", "a:b")
    monkeypatch.setenv("PREFECT_PROFILE", "other")
    assert (setting(URL), setting(LOGIN)) == theirs() == (None, None)


def test_a_file_that_is_no_toml_is_named_as_prefect_would_not_start(home: Path) -> None:
    (home / "profiles.toml").write_text("[")
    assert setting(URL) is None
    Path("prefect.toml").write_text("[api\n")
    with pytest.raises(PipelineError, match=r"^prefect\.toml cannot be read \("):
        setting(URL)
