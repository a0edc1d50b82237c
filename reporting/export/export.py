"""`earmark export`: annotations in a format that other programs read, a few at a time, to any file system."""

from earmark.reporting.export.formats import FORMATS
from earmark.reporting.export.job import ExportJob
from earmark.reporting.export.options import Exported, ExportOptions
from earmark.reporting.export.rows import Counts, check_condition, passing_tables, text_task
from earmark.reporting.export.target import new_target
from earmark.reporting.provenance import Provenance, read_provenance
from earmark.schemas.errors import JobError
from earmark.schemas.job_description import AskedTask
from earmark.schemas.suggest import suggest
from earmark.schemas.tables import extra_as_map
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.file_system import wrap_storage_errors


def export(output_url: str, to: str, options: ExportOptions) -> Exported:
    """Write the annotations of an output to `to`.

    Raises:
        JobError: An option is invalid, `to` exists, the output cannot be read, or `to` cannot be written.
    """
    options.check(to)
    store = OutputStore.at(output_url)
    try:
        with wrap_storage_errors():
            target = new_target(to)
            provenance = read_provenance(store)
            tasks = _chosen_tasks(provenance, options)
            parts = store.parts()
            if not parts:
                raise JobError(f"{store.root} has no annotations")
            schema = store.schema(parts[0])
            check_condition(extra_as_map(schema.empty_table()).schema, options.where)
            counts = Counts()
            tables = passing_tables(store, parts, options.where, counts)
            job = ExportJob(store, target, FORMATS[options.format], options.where, provenance, tasks, schema)
            with target.complete():
                job.format.writer()(job, tables, counts)
    except OSError as error:
        raise JobError(f"output {output_url} cannot be exported to {to}: {error}") from error
    return Exported(
        store.root,
        to,
        options.format,
        counts.of,
        counts.rows,
        counts.unknown,
        counts.left_out,
        tuple(counts.examples),
        counts.in_containers,
    )


def _chosen_tasks(provenance: Provenance, options: ExportOptions) -> tuple[AskedTask, ...]:
    by_name = {task.name: task for task in provenance.job.tasks}
    for name in options.task:
        if name not in by_name:
            raise JobError(
                f"--task={name} does not work: the output has answers to {', '.join(by_name)}{suggest(name, by_name)}"
            )
    tasks = tuple(by_name[name] for name in dict.fromkeys(options.task)) or provenance.job.tasks
    if FORMATS[options.format].needs_text and text_task(tasks) is None:
        names = ", ".join(task.name for task in tasks)
        raise JobError(f"--format={options.format} does not work: none of {names} answers in text; captions are text")
    return tasks
