"""The main ways of MLflow's Python client, against the server that MLFLOW_TRACKING_URI names. Fails at the first difference."""

import math
import os
import tempfile
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelStatus, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

client = MlflowClient()


def refused(code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MlflowException as error:
        assert error.error_code == code, (error.error_code, str(error))
    else:
        raise AssertionError(f"{call} was not refused")


def experiments():
    first = client.create_experiment("first", tags={"team": "blue"})
    second = client.create_experiment("second")
    assert client.get_experiment_by_name("first").tags == {"team": "blue"}
    assert client.get_experiment_by_name("none") is None
    refused("RESOURCE_ALREADY_EXISTS", client.create_experiment, "first")
    assert [found.name for found in client.search_experiments(filter_string="tags.team = 'blue'")] == ["first"]
    client.rename_experiment(second, "renamed")
    client.delete_experiment(second)
    assert client.get_experiment(second).lifecycle_stage == "deleted"
    assert second in [found.experiment_id for found in client.search_experiments(view_type=ViewType.DELETED_ONLY)]
    client.restore_experiment(second)
    return first


def runs(experiment):
    with mlflow.start_run(experiment_id=experiment, run_name="parent") as parent:
        mlflow.log_params({"lr": 0.1, "opt": "adamw"})
        for step in range(20):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"accuracy": 0.9, "nan": math.nan}, step=19)
        with mlflow.start_run(experiment_id=experiment, nested=True) as child:
            mlflow.set_tag("role", "child")
    run = client.get_run(parent.info.run_id)
    assert run.info.status == "FINISHED" and run.data.params == {"lr": "0.1", "opt": "adamw"}
    assert run.data.metrics["loss"] == 1 / 20 and math.isnan(run.data.metrics["nan"])
    assert [point.step for point in client.get_metric_history(run.info.run_id, "loss")] == list(range(20))
    refused("INVALID_PARAMETER_VALUE", client.log_param, run.info.run_id, "lr", "0.2")

    many = [Metric("m", float(step), step, step) for step in range(900)]
    client.log_batch(run.info.run_id, many, [Param("p", "1")], [RunTag("t", "v")])
    assert len(client.get_metric_history(run.info.run_id, "m")) == 900

    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    assert [found.info.run_id for found in children] == [child.info.run_id]
    best = client.search_runs([experiment], "metrics.accuracy > 0.5 and params.opt LIKE 'adam%'", order_by=["metrics.loss ASC"])
    assert [found.info.run_id for found in best] == [run.info.run_id]
    pages, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=1, page_token=token)
        pages += [found.info.run_id for found in page]
        token = page.token
        if not token:
            break
    assert sorted(pages) == sorted([run.info.run_id, child.info.run_id])
    client.delete_run(child.info.run_id)
    assert client.get_run(child.info.run_id).info.lifecycle_stage == "deleted"
    client.restore_run(child.info.run_id)
    return run.info.run_id


def artifacts(run):
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        (tree / "sub").mkdir(parents=True)
        (tree / "sub" / "a b ü.txt").write_text("hello")
        (tree / "big.bin").write_bytes(os.urandom(3 << 20))
        client.log_artifacts(run, str(tree), "tree")
        assert [found.path for found in client.list_artifacts(run, "tree/sub")] == ["tree/sub/a b ü.txt"]
        back = Path(mlflow.artifacts.download_artifacts(run_id=run, artifact_path="tree", dst_path=folder + "/back"))
        assert (back / "big.bin").read_bytes() == (tree / "big.bin").read_bytes()
        assert (back / "sub" / "a b ü.txt").read_text() == "hello"

        # In parts, and back in ranges.
        os.environ["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = os.environ["MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE"] = "1000000"
        os.environ["MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"] = os.environ["MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE"] = "1048576"
        client.log_artifact(run, str(tree / "big.bin"), "parts")
        back = mlflow.artifacts.download_artifacts(run_id=run, artifact_path="parts/big.bin", dst_path=folder + "/parts")
        assert Path(back).read_bytes() == (tree / "big.bin").read_bytes()
    client.log_text(run, "text", "notes/n.txt")
    client.log_dict(run, {"a": [1]}, "c.json")
    assert mlflow.artifacts.load_dict(f"runs:/{run}/c.json") == {"a": [1]}


def datasets(run):
    dataset = Dataset("digits", "0123abcd", "local", '{"path": "digits.csv"}', schema="[]", profile='{"rows": 3}')
    client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    (found,) = client.get_run(run).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.profile, found.tags[0].value) == ("digits", '{"rows": 3}', "training")


def logged_models(experiment, run):
    model = client.create_logged_model(experiment, "net", source_run_id=run, params={"depth": "18"}, tags={"a": "1"})
    client.log_metric(run, "accuracy", 0.95, step=7, model_id=model.model_id)
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.set_logged_model_tags(model.model_id, {"b": "2"})
    found = client.get_logged_model(model.model_id)
    assert str(found.status) in ("READY", "LoggedModelStatus.READY") and found.tags == {"a": "1", "b": "2"} and found.params == {"depth": "18"}
    assert [(metric.key, metric.value) for metric in found.metrics] == [("accuracy", 0.95)]
    search = client.search_logged_models([experiment], "metrics.accuracy > 0.9", order_by=[{"field_name": "metrics.accuracy"}])
    assert [found.model_id for found in search] == [model.model_id]
    return model.model_id


def registry(run, model_id):
    client.create_registered_model("net", tags={"task": "digits"}, description="a net")
    version = mlflow.register_model(f"models:/{model_id}", "net")
    assert str(version.version) == "1" and client.get_model_version_download_uri("net", "1").endswith(f"models/{model_id}/artifacts")
    second = client.create_model_version("net", f"runs:/{run}/model", run_id=run, tags={"k": "v"}, description="second")
    client.set_registered_model_alias("net", "champion", second.version)
    assert str(client.get_model_version_by_alias("net", "champion").version) == "2"
    client.set_model_version_tag("net", "2", "checked", "yes")
    assert client.get_model_version("net", "2").tags == {"k": "v", "checked": "yes"}
    assert [str(found.version) for found in client.search_model_versions(f"run_id = '{run}'", order_by=["version_number ASC"])] == ["1", "2"]
    refused("INVALID_PARAMETER_VALUE", client.create_model_version, "net", "/etc", run_id=run)
    client.rename_registered_model("net", "net2")
    assert [found.name for found in client.search_registered_models("name LIKE 'net%'")] == ["net2"]
    client.delete_registered_model("net2")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "net2")


experiment = experiments()
run = runs(experiment)
artifacts(run)
datasets(run)
registry(run, logged_models(experiment, run))
print("all is as it was written")
