"""Labels the new recordings of a manifest every night (docs/nightly.md).

Airflow's machines need earmark in its own virtual environment, /opt/earmark. The Airflow variable `earmark_nightly`
holds the manifest, the output and the options as a JSON object:

    {"runner": "DataflowRunner",
     "manifest": "gs://bucket/manifest.jsonl",
     "output": "gs://bucket/labels",
     "options": {"model": "owner/name@commit", "task": "transcribe", "temp_location": "gs://bucket/tmp", …},
     "dataflow": {"project_id": "…", "location": "europe-west4"}}

`options` are those of `earmark annotate` and of the runner, as in docs/deploy.md; a list repeats an option. `dataflow`
is only for the DataflowRunner.
"""

import datetime

from airflow.providers.apache.beam.operators.beam import BeamRunPythonPipelineOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

EARMARK = "/opt/earmark/bin"
JOB = "var.json.earmark_nightly"

with DAG(
    dag_id="earmark_nightly",
    description="Labels the new recordings of a manifest",
    schedule="0 1 * * *",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    catchup=False,  # each run labels everything new, so missed nights need no run of their own
    max_active_runs=1,
    render_template_as_native_obj=True,
    default_args={
        # earmark picks up where it stopped. A run whose machine died holds the output for two minutes.
        "retries": 2,
        "retry_delay": datetime.timedelta(minutes=10),
    },
) as dag:
    # The operator waits for the command, whose exit status is 1 if the run failed. Do not pass `verbose`: the operator
    # would find the id of the Dataflow job in the log, and stop waiting for the command.
    annotate = BeamRunPythonPipelineOperator(
        task_id="annotate",
        py_interpreter=f"{EARMARK}/python",
        py_options=["-m"],
        py_file="earmark.pipeline.annotate_from_flags",
        runner=f"{{{{ {JOB}['runner'] }}}}",
        default_pipeline_options={
            "manifest": f"{{{{ {JOB}['manifest'] }}}}",
            "output": f"{{{{ {JOB}['output'] }}}}",
        },
        pipeline_options=f"{{{{ {JOB}['options'] }}}}",  # type: ignore[arg-type]  # an object once it is rendered
        dataflow_config=f"{{{{ {JOB}.get('dataflow', {{}}) }}}}",  # type: ignore[arg-type]
    )
    # Each night leaves small parts.
    compact = BashOperator(
        task_id="compact",
        bash_command=f'{EARMARK}/earmark compact "$OUTPUT"',
        env={"OUTPUT": f"{{{{ {JOB}['output'] }}}}"},
        append_env=True,
    )
    annotate >> compact
