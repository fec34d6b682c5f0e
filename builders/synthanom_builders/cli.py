"""The command `build-dataset`; each data set is a subcommand. Everything heavy is imported when a command runs."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthanom import exits
from synthanom.errors import SynthanomError
from synthanom_builders.named import NAMES

if TYPE_CHECKING:
    from synthanom.progress import Progress
    from synthanom.unfinished.parts import Part
    from synthanom_builders.build import Lister, Outcome
    from synthanom_builders.known import KnownLister
    from synthanom_builders.plan import Plan
    from synthanom_builders.settings import BuildSettings

SHOWN = 5  # skipped rows that are printed; the rest is in skipped.csv

# what every data set's command takes
Variants = Annotated[int, typer.Option(help="Anomalous pictures per image and task.")]
Seed = Annotated[int, typer.Option(help="Settles folds and anomalies.")]
Workers = Annotated[int | None, typer.Option(help="Processes; the result does not depend on it. All cores.")]
TaskNames = Annotated[str | None, typer.Option(help="Stored names with commas between; all five by default.")]
TaskFile = Annotated[Path | None, typer.Option(help="YAML: task name to settings, 'label', 'options'.")]
DonorSet = Annotated[Path | None, typer.Option(help="Data set that inter_blend borrows from; else textures.")]
Folds = Annotated[int | None, typer.Option(help="Number of folds; as many as tasks by default.")]
CodecName = Annotated[str, typer.Option("--codec", help="gzip, or faster: lzf; zstd, lz4 (hdf5plugin). See speed.md.")]
Test = Annotated[bool, typer.Option("--test", help="List the scans to test on, with their truth, instead of building.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be built; write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, to stdout.")]
PartName = Annotated[str | None, typer.Option("--part", help="K/N: one of N jobs; then synthanom merge OUT.")]
Mixed = Annotated[
    bool,
    typer.Option(
        "--mixed-fingerprints",
        help="Let workers or parts with other libraries or processors take part; values then agree within 1e-4.",
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]

app = typer.Typer(
    name="build-dataset",
    help="Build a data set of healthy images and labelled synthetic anomalies.",
    no_args_is_help=True,
    add_completion=False,
)


def main() -> None:
    """Entry point of `build-dataset`."""
    kept = "it begins anew, and an earlier list is as it was" if "--test" in sys.argv else "what is finished is kept"
    exits.run(app, resume_hint=f"{exits.AGAIN}: {kept}")


@app.callback()
def _commands() -> None:
    """Build a data set of healthy images and labelled synthetic anomalies."""


@app.command()
def folder(
    raw: Annotated[Path, typer.Argument(help="Folder of NIfTI, DICOM, PNG, JPEG, NRRD or MetaImage files.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set; new, empty, or a build to go on with.")],
    variants: Variants = 10,
    seed: Seed = 0,
    workers: Workers = None,
    tasks: TaskNames = None,
    task_config: TaskFile = None,
    donors: DonorSet = None,
    normalise: Annotated[
        str | None, typer.Option(help="zscore (default for volumes), minus-one-one (default for pictures) or none.")
    ] = None,
    spacing: Annotated[str | None, typer.Option(help="Voxel size in mm to resample to: Z,Y,X or one number.")] = None,
    shape: Annotated[
        str | None, typer.Option(help="Z,Y,X voxels to crop and pad volumes to, Y,X to resize pictures to.")
    ] = None,
    foreground: Annotated[
        str | None,
        typer.Option(help="nonzero (default for volumes), otsu, none, or pattern of masks: '*_mask.nii.gz'."),
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="Regular expression whose group captures the contrast: '_(T1|T2)\\.nii'.")
    ] = None,
    subjects: Annotated[
        str | None, typer.Option(help="CSV with columns id,subject, or regular expression with a group.")
    ] = None,
    layout: Annotated[
        str, typer.Option(help="auto recognises bids, nnunet and anomalib by what lies where; plain takes every image.")
    ] = "auto",
    volume: Annotated[int | None, typer.Option(help="Which volume of 4D files and series, counted from 0.")] = None,
    allow_gaps: Annotated[
        bool, typer.Option("--allow-gaps", help="Interpolate missing and unevenly spaced DICOM slices.")
    ] = False,
    grey: Annotated[bool, typer.Option("--grey", help="Turn colour into grey (0.299 R + 0.587 G + 0.114 B).")] = False,
    folds: Folds = None,
    codec: CodecName = "gzip",
    part: PartName = None,
    mixed: Mixed = False,
    test: Test = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> int:
    """Build a data set from the images under a folder."""
    del debug  # taken care of before this is called
    from synthanom.volumes.reading import Reading
    from synthanom_builders.folder import list_cases, list_known
    from synthanom_builders.settings import (
        BuildSettings,
        TaskConfig,
        chosen_normalisation,
        chosen_tasks,
        read_task_config,
        shape_option,
        spacing_option,
    )

    config = TaskConfig() if task_config is None else read_task_config(task_config)
    chosen = chosen_tasks(tasks, config)
    settings = BuildSettings(
        variants=variants,
        seed=seed,
        tasks=chosen,
        labeller=config.labeller,
        options=config.options,
        normalise=chosen_normalisation(normalise),
        spacing=spacing_option(spacing),
        shape=shape_option(shape),
        foreground=foreground or "auto",
        channels=channels,
        subjects=subjects,
        folds=len(chosen) if folds is None else folds,
        donors=donors,
        reading=Reading(volume=volume, allow_gaps=allow_gaps, grey=grey),
        codec=codec,
        layout=layout,
    )
    if test:
        return _list_truth(raw, out, settings, list_known, workers=workers, dry_run=dry_run, as_json=as_json)
    how = Manner(workers=workers, part=part, mixed=mixed, dry_run=dry_run, as_json=as_json)
    return _build(raw, out, settings, list_cases, how)


def _add_named(name: str, words: str) -> None:
    """Add the command of a data set that is known by name; its files and steps are its own."""

    @app.command(name, help=words)
    def command(
        raw: Annotated[Path, typer.Argument(help="Folder of the data set as it is unpacked.")],
        out: Annotated[Path, typer.Option(help="Folder of the data set to be; new, empty, or a build to go on with.")],
        variants: Variants = 10,
        seed: Seed = 0,
        workers: Workers = None,
        tasks: TaskNames = None,
        task_config: TaskFile = None,
        donors: DonorSet = None,
        shape: Annotated[str | None, typer.Option(help="Sides of every image, instead of the usual ones.")] = None,
        folds: Folds = None,
        codec: CodecName = "gzip",
        contrasts: Annotated[
            str | None, typer.Option(help="Contrasts to take as channels, in this order: T1,T2 (brains).")
        ] = None,
        subjects: Annotated[
            str | None, typer.Option(help="CSV with columns id,subject, or pattern with a group (knee-us).")
        ] = None,
        split: Annotated[str | None, typer.Option(help="Name of the split in --split-file: ddad (vindr-cxr).")] = None,
        split_file: Annotated[Path | None, typer.Option(help="File that names the images to take (vindr-cxr).")] = None,
        part: PartName = None,
        mixed: Mixed = False,
        test: Test = False,
        dry_run: DryRun = False,
        as_json: Json = False,
        debug: Debug = False,
    ) -> int:
        del debug  # taken care of before this is called
        from synthanom.volumes.reading import Reading
        from synthanom_builders.named import named
        from synthanom_builders.settings import (
            BuildSettings,
            TaskConfig,
            check_split,
            check_subjects,
            chosen_contrasts,
            chosen_tasks,
            read_task_config,
            shape_option,
        )

        data_set = named(name)
        check_split(name, data_set.split, split, split_file)
        check_subjects(name, data_set.takes_subjects, subjects)
        config = TaskConfig() if task_config is None else read_task_config(task_config)
        chosen = chosen_tasks(tasks, config)
        settings = BuildSettings(
            variants=variants,
            seed=seed,
            tasks=chosen,
            labeller=config.labeller,
            options=config.options,
            shape=shape_option(shape) or data_set.shape,
            subjects=subjects,
            folds=len(chosen) if folds is None else folds,
            donors=donors,
            dataset=name,
            split=split_file,
            contrasts=chosen_contrasts(contrasts, data_set.contrasts, data_set.usual),
            reading=Reading(grey=data_set.grey),
            codec=codec,
        )
        if test:
            return _list_truth(
                raw, out, settings, data_set.list_known, workers=workers, dry_run=dry_run, as_json=as_json
            )
        if data_set.list_cases is None:
            raise SynthanomError(f"{name}: holds no healthy scans to train on; list those to test on with --test")
        how = Manner(workers=workers, part=part, mixed=mixed, dry_run=dry_run, as_json=as_json)
        return _build(raw, out, settings, data_set.list_cases, how)


for _name, _words in NAMES.items():
    _add_named(_name, _words)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a command builds, apart from what."""

    workers: int | None
    part: str | None
    mixed: bool
    dry_run: bool
    as_json: bool


def _build(raw: Path, out: Path, settings: "BuildSettings", lister: "Lister", how: Manner) -> int:
    """Build, say what came of it, and return the exit status."""
    from synthanom.long_runs import long_run
    from synthanom.run_log import log_beside
    from synthanom.unfinished.parts import parsed_part
    from synthanom_builders.answers import build_answer
    from synthanom_builders.build import Build, build

    size = _cores() if how.workers is None else how.workers
    part = parsed_part(how.part)
    with long_run(None if how.dry_run else log_beside(out), announce=True) as run:
        asked = Build(raw=raw.resolve(), out=out.resolve(), settings=settings, lister=lister, mixed=how.mixed)
        outcome = build(asked, size=size, progress=run.progress, dry_run=how.dry_run, part=part)
        if how.dry_run and outcome.manifest is None:
            _tell_plan(raw, size, outcome.plan, run.progress, as_json=how.as_json)
            return exits.DONE
        status = exits.SKIPPED if outcome.skipped else exits.DONE
        words = _told(outcome, part, out, settings, run.progress)
        run.end(status, words, wrote=not outcome.already)
        log = run.log_path
    if how.as_json:
        exits.report(build_answer(outcome, part, out) | {"log": log}, status)
    else:
        typer.echo(words)
    return status


def _list_truth(
    raw: Path,
    out: Path,
    settings: "BuildSettings",
    lister: "KnownLister | None",
    *,
    workers: int | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """List a test set, say what came of it, and return the exit status."""
    from synthanom.long_runs import long_run
    from synthanom.run_log import log_beside
    from synthanom_builders.answers import truth_answer
    from synthanom_builders.truth import list_truth

    if lister is None:
        raise SynthanomError(f"{settings.dataset}: has no scans whose truth is known; leave --test out")
    size = _cores() if workers is None else workers
    with long_run(None if dry_run else log_beside(out), announce=True) as run:
        found = list_truth(raw, out, settings, lister, size=size, progress=run.progress, dry_run=dry_run)
        for path, reason in found.skipped[:SHOWN]:
            run.progress.tell(f"skipped {path}: {reason}")
        for path, reason in found.skipped:
            run.progress.record(f"skipped {path}: {reason}")
        if len(found.skipped) > SHOWN:
            where = "" if dry_run else f", see {out / 'skipped.csv'}"
            run.progress.tell(f"skipped {len(found.skipped)} in all{where}")
        status = exits.SKIPPED if found.skipped else exits.DONE
        content = truth_answer(found, out)
        known = f"{content['anomalous']} anomalous, {content['healthy']} healthy, {content['masks']} masks"
        after = "nothing was written" if dry_run else f"score them with synthanom predict --input {out}"
        words = f"{out}: {content['scans']} scans to test on ({known}); {after}"
        run.end(status, words)
        log = run.log_path
    if as_json:
        exits.report(content | {"dry_run": dry_run, "log": log}, status)
    else:
        typer.echo(words)
    return status


def _cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _told(outcome: "Outcome", part: "Part | None", out: Path, settings: "BuildSettings", progress: "Progress") -> str:
    """Say on stderr what was skipped; the outcome in one line."""
    for row in outcome.skipped[:SHOWN]:
        progress.tell(f"skipped {row.path} ({row.stage}): {row.reason}")
    if outcome.manifest is None:
        more = f"; {len(outcome.skipped)} rows skipped" if outcome.skipped else ""
        return f"{out}: part {part} done{more}; when all are: synthanom merge {out}"
    manifest = outcome.manifest
    counts = f"{manifest.counts['healthy']} healthy images, {manifest.counts['anomalies']} anomalies"
    if outcome.already:
        return f"{out}: finished already ({counts}); nothing was written"
    if len(outcome.skipped) > SHOWN:
        progress.tell(f"skipped {len(outcome.skipped)} in all, see {out / 'skipped.csv'}")
    size = sum(file.bytes for file in manifest.files)
    tasks = f"{len(settings.tasks)} tasks x {settings.variants} variants, {settings.folds} folds"
    return f"{out}: {counts} ({tasks}), {_size(size)}"


def _tell_plan(raw: Path, workers: int, plan: "Plan", progress: "Progress", *, as_json: bool) -> None:
    """List what a build would make."""
    from synthanom_builders.answers import plan_answer
    from synthanom_builders.estimate import estimate

    needs = estimate(raw.resolve(), plan, workers, track=progress.track)
    if as_json:
        exits.report(plan_answer(plan, needs, workers))
        return
    folds = plan.resolved["folds"]
    typer.echo("fold  subject  image")
    for case, problem in zip(plan.cases, plan.problems, strict=True):
        typer.echo(f"{folds[case.subject]:4}  {case.subject}  {case.id}" + (f"  SKIPPED: {problem}" if problem else ""))
    usable = sum(not problem for problem in plan.problems)
    rows = usable * plan.variants * len(plan.tasks)
    typer.echo(f"images: {usable} of {len(plan.cases)}, {len(set(folds))} subjects in {len(set(folds.values()))} folds")
    typer.echo(f"shape: {' x '.join(map(str, plan.shape))}, channels: {plan.channels}")
    typer.echo(f"rows: {usable} healthy, up to {rows} anomalous ({', '.join(plan.tasks)}; {plan.variants} variants)")
    if needs is None:
        typer.echo("disk and time: unknown; nothing was written")
    else:
        what = f"disk: about {_size(needs.bytes)}; time: about {_duration(needs.seconds)} with {workers} workers"
        typer.echo(f"{what}; nothing was written")


def _size(count: int) -> str:
    """A number of bytes for people."""
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.3g} {unit}"
    return f"{count} bytes"


def _duration(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
