"""MLflow's server with users, as docs/operations.md starts it: what each may ask of it.

On SQLite, so that it needs no PostgreSQL; test_team_server.py has the project's own commands.
"""

import re
import sys
from collections.abc import Iterator

import httpx
import pytest
from mlflow.server.auth import routes

from pipelines.flows import local_server
from pipelines.names import MODEL
from pipelines.workspaces import process_group
from tests.pipelines.standin import ROOT, clean_environment, closed_port
from tests.pipelines.team.team_server import ADMIN
from tests.pipelines.workspaces.test_process_group import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
EDITOR, READER = ("editor", "password-of-editor"), ("reader", "password-of-reader")
OPEN = {"/health", "/ajax-api/3.0/mlflow/server-info", "/api/3.0/mlflow/server-info"}
OPEN |= {"/static-files/<path:path>"}
API = "/api/2.0/mlflow"
ALIAS = {"name": MODEL, "alias": "champion", "version": "1"}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Asks the server, which has a version, an editor and a reader."""
    folder, port = tmp_path_factory.mktemp("closed"), closed_port()
    url = f"http://127.0.0.1:{port}"
    settings = (ROOT / "docker" / "mlflow-auth.ini").read_text()
    settings = settings.replace("postgresql:///mlflow_auth", f"sqlite:///{folder}/auth.db")
    (folder / "auth.ini").write_text(settings)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--app-name", "basic-auth"]
    command += ["--allowed-hosts", f"127.0.0.1:{port}"]
    command += ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    env = {**clean_environment(), **local_server.QUIET}
    env |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN[0],
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of a test",  # pragma: allowlist secret
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "log").open("w") as log:
        process = process_group.start(command, folder, env, output=log)
    try:
        wait_for(lambda: local_server.answers(f"{url}/health"), "MLflow's server answers", 120)
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            prepare(client)
            yield client
    finally:
        process.communicate()


def prepare(client: httpx.Client) -> None:
    for name, password in (EDITOR, READER):
        given = {"username": name, "password": password}
        assert client.post(f"{API}/users/create", json=given, auth=ADMIN).is_success
    made = {"name": MODEL}
    assert client.post(f"{API}/registered-models/create", json=made, auth=ADMIN).is_success
    run = client.post(f"{API}/runs/create", json={"experiment_id": "0"}, auth=ADMIN).json()["run"]
    source = {"source": run["info"]["artifact_uri"], "run_id": run["info"]["run_id"]}
    version = client.post(f"{API}/model-versions/create", json=made | source, auth=ADMIN)
    assert version.json()["model_version"]["version"] == "1", version.text
    right = {"resource_type": "registered_model", "resource_id": MODEL}
    right |= {"username": EDITOR[0], "permission": "EDIT"}
    assert client.post(routes.GRANT_USER_PERMISSION, json=right, auth=ADMIN).is_success


def test_who_gives_no_name_gets_nothing_at_any_address(asked: httpx.Client) -> None:
    from mlflow.server import app

    rules = {(rule.rule, method) for rule in app.url_map.iter_rules() for method in rule.methods}
    of_users = {path for name, path in vars(routes).items() if name.isupper()}
    rules |= {(path, method) for path in of_users for method in ("GET", "POST", "PATCH", "DELETE")}
    rules |= {(f"/ajax-api/3.0/jobs{end}", "POST") for end in ("/", "/search")}
    rules |= {(path, "GET") for path in ("/graphql", "/docs", "/openapi.json", "/v1/traces")}
    assert len(rules) > 400
    answers = {
        rule: asked.request(method, re.sub(r"<[^>]+>", "1", rule)).status_code
        for rule, method in sorted(rules)
        if method not in ("HEAD", "OPTIONS")
    }
    assert {rule for rule, status in answers.items() if status != 401} == OPEN
    assert asked.get(f"{API}/experiments/get?experiment_id=0", auth=("admin", "no")).is_client_error


@pytest.mark.parametrize("who", [None, READER, EDITOR])
def test_only_who_may_edit_moves_an_alias(asked: httpx.Client, who) -> None:
    got = asked.post(f"{API}/registered-models/alias", json=ALIAS, auth=who)
    assert got.status_code == {None: 401, READER: 403, EDITOR: 200}[who]
    path = f"{API}/registered-models/get?name={MODEL}"
    assert asked.get(path, auth=who).is_success == (who is not None)
    if who is EDITOR:
        asked.request("DELETE", f"{API}/registered-models/alias", json=ALIAS, auth=ADMIN)


@pytest.mark.parametrize("who", [READER, EDITOR])
@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("POST", f"{API}/runs/create", {"experiment_id": "0"}),
        ("PUT", f"{API}-artifacts/artifacts/0/1/artifacts/model/MLmodel", None),
        ("DELETE", f"{API}/registered-models/delete", {"name": MODEL}),
        ("POST", routes.CREATE_USER, {"username": "x", "password": EDITOR[1]}),
        ("PATCH", routes.UPDATE_USER_ADMIN, {"username": "reader", "is_admin": True}),
        ("POST", routes.GRANT_USER_PERMISSION,
         {"resource_type": "experiment", "resource_id": "0", "username": "reader",
          "permission": "MANAGE"}),
    ],
)  # fmt: skip
def test_neither_a_reader_nor_an_editor_of_the_model_may_do_more(
    asked: httpx.Client, who, method: str, path: str, given
) -> None:
    assert asked.request(method, path, json=given, auth=who).status_code == 403


@pytest.mark.parametrize("who", [ADMIN, READER])
@pytest.mark.parametrize(
    "path",
    [
        "/api/2.0/mlflow-artifacts/artifacts/..%2f..%2fauth.db",
        "/api/2.0/mlflow-artifacts/artifacts/%2e%2e/%2e%2e/auth.db",
        "/api/2.0/mlflow-artifacts/artifacts/%252e%252e/auth.db",
        "/api/2.0/mlflow-artifacts/artifacts//etc/passwd",
        "/api/2.0/mlflow-artifacts/artifacts?path=../",
        "/get-artifact?run_uuid=1&path=../../auth.db",
    ],
)
def test_no_path_leads_out_of_the_artifacts(asked: httpx.Client, who, path: str) -> None:
    got = asked.get(path, auth=who)
    assert got.is_client_error or got.status_code == 500, got.text
    assert b"SQLite format" not in got.content
    assert b"root:" not in got.content


def test_no_version_is_made_of_the_servers_own_files(asked: httpx.Client) -> None:
    for source in ("file:///etc", "/etc", "mlflow-artifacts:/../../etc"):
        given = {"name": MODEL, "source": source}
        assert asked.post(f"{API}/model-versions/create", json=given, auth=EDITOR).is_client_error


def test_nobody_starts_a_job(asked: httpx.Client) -> None:
    for who in (ADMIN, READER):
        job = {"job_name": "invoke_scorer", "params": {}}
        got = asked.post("/ajax-api/3.0/jobs/", json=job, auth=who)
        assert "job execution feature is not enabled" in got.text


def test_another_host_name_is_refused(asked: httpx.Client) -> None:
    for host in ("evil.example", "localhost:5000"):
        got = asked.get(
            f"{API}/experiments/get?experiment_id=0", headers={"Host": host}, auth=ADMIN
        )
        assert (got.status_code, "Invalid Host header" in got.text) == (403, True)
